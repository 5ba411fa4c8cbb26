package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/cmd/internal/editor"
)

func secretEditVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "edit FILE",
		Short: "Edit an encrypted file's values in clear",
		Long: `edit opens FILE, has $EDITOR (or $VISUAL, or vi) edit its values in a private file in memory (/dev/shm), and writes
them back encrypted. A value that you leave as it is keeps its ciphertext, so that nothing is planned for it. $EDITOR is
split at spaces and run without a shell.`,
		Example: "  hostctl secret edit --state DIR tenants/acme/shop.sops.yaml",
		Args:    needs("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := o.openSecretFile(args[0])
			if err != nil {
				return err
			}
			before, err := f.Clear()
			if err != nil {
				return err
			}
			after, err := editor.Edit(cmd.Context(), before, o.out, o.err)
			if err != nil {
				return err
			}
			if slices.Equal(before, after) {
				_, err = fmt.Fprintln(o.out, "Nothing was changed.")
				return err
			}
			if err := f.SetClear(after); err != nil {
				return fmt.Errorf("what you wrote can't be taken, and nothing was changed: %w", err)
			}
			if err := writeSecretFile(args[0], f); err != nil {
				return err
			}
			_, err = fmt.Fprintf(o.out, "%s is written. Commit it.\n", args[0])
			return err
		},
	}
}

func secretRecipientsVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recipients [list FILE | add FILE RECIPIENT | remove FILE RECIPIENT]",
		Short: "Show the platform's age recipient; list, add and remove who can open a file",
		Long: `Without arguments it prints the platform's recipient, that files must be encrypted to; its key is made where there is
none. Whoever is removed from a file has seen its values: its data key is made anew, and you change the values.`,
		Example: `  hostctl secret recipients --state DIR
  hostctl secret recipients add --state DIR tenants/acme/shop.sops.yaml age1…`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				own, err := o.platformRecipient()
				if err == nil {
					_, err = fmt.Fprintln(o.out, own)
				}
				return err
			}
			want := map[string]int{"list": 2, "add": 3, "remove": 3}[args[0]]
			if want == 0 || len(args) != want {
				return errors.New("recipients: want 'list FILE', 'add FILE RECIPIENT' or 'remove FILE RECIPIENT'")
			}
			return o.recipients(args[0], args[1], args[len(args)-1])
		},
	}
	return cmd
}

func (o *options) recipients(verb, file, who string) error {
	f, err := o.openSecretFile(file)
	if err != nil {
		return err
	}
	all := f.Recipients()
	switch verb {
	case "list":
		_, err := fmt.Fprintln(o.out, strings.Join(all, "\n"))
		return err
	case "add":
		if slices.Contains(all, who) {
			return fmt.Errorf("%s can open %s already", who, file)
		}
		err = f.SetRecipients(append(all, who))
	case "remove":
		left := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == who })
		if len(left) == len(all) {
			return fmt.Errorf("%s isn't a recipient of %s; there are: %s", who, file, strings.Join(all, ", "))
		}
		if err = f.SetRecipients(left); err == nil {
			err = f.Rotate()
		}
	}
	if err != nil {
		return err
	}
	if err := writeSecretFile(file, f); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "%s is for %s now. Commit it.\n", file, count(len(f.Recipients()), "recipient", "recipients"))
	return err
}
