package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"hostctl/cmd/internal/wire"
	"hostctl/schema/sops"
)

func secretVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret set|edit|rotate|recipients|check|list|show",
		Short: "Write and look after secrets: encrypted files of the repository, and generated values",
		Long: `A secret is never in clear in the repository. These verbs write files in the SOPS format, encrypted to age recipients,
which the sops program reads and writes too, and tend the values that 'generate: true' makes. The platform's age key is
age.key in the state folder, or the file that --age-key names.`,
		Example: `  hostctl secret set --state DIR tenants/acme/shop.sops.yaml database.password
  hostctl secret check
  hostctl secret show --state DIR acme/shop-db`,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("secret has no verb %q; want set, edit, rotate, recipients, check, list or show", args[0])
		},
	}
	cmd.AddCommand(secretSetVerb(o), secretEditVerb(o), secretRotateVerb(o), secretRecipientsVerb(o), secretCheckVerb(o), secretListVerb(o), secretShowVerb(o))
	return cmd
}

func secretSetVerb(o *options) *cobra.Command {
	var recipients []string
	cmd := &cobra.Command{
		Use:   "set FILE KEY",
		Short: "Give a key of an encrypted file a value, read from standard input",
		Long: `set reads a value from standard input, or asks for it on a terminal, and writes it to a key of FILE, encrypted; a line
break at its end isn't part of it. KEY may be nested: database.password. A FILE that isn't there is made, for the
platform's age key and those that --recipient names.`,
		Example: `  pwgen 32 1 | hostctl secret set --state DIR tenants/acme/shop.sops.yaml database.password`,
		Args:    two("a file and a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := sops.CheckKey(args[1]); err != nil {
				return fmt.Errorf("%q %w", args[1], err)
			}
			f, err := o.openOrNew(args[0], recipients)
			if err != nil {
				return err
			}
			value, err := readSecret(cmd.InOrStdin(), o.err, args[1])
			if err != nil {
				return err
			}
			if err := f.Set(args[1], value); err != nil {
				return err
			}
			if err := writeSecretFile(args[0], f); err != nil {
				return err
			}
			_, err = fmt.Fprintf(o.out, "%s has %s, for %s. Commit it, and refer to it:\n  secretRef: {file: %s, key: %s}\n",
				args[0], args[1], count(len(f.Recipients()), "recipient", "recipients"), filepath.Base(args[0]), args[1])
			return err
		},
	}
	cmd.Flags().StringArrayVar(&recipients, "recipient", nil, "of a new file: an age `recipient` besides the platform's; may be repeated")
	return cmd
}

// two takes exactly two arguments.
func two(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 2 {
			return fmt.Errorf("%s needs %s; want '%s'", c.Name(), what, c.UseLine())
		}
		return nil
	}
}

// openSecretFile opens a file with the platform's age key.
func (o *options) openSecretFile(file string) (*sops.Opened, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	f, err := sops.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", file, err)
	}
	ids, err := o.identities()
	if err != nil {
		return nil, err
	}
	opened, err := f.Open(ids...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return opened, nil
}

func (o *options) identities() ([]age.Identity, error) {
	if o.state == "" && o.ageKey == "" {
		return nil, errors.New("secrets need an age key: name the platform's state folder with --state DIR, or a key with --age-key FILE")
	}
	return o.config().Identities()
}

func (o *options) openOrNew(file string, recipients []string) (*sops.Opened, error) {
	if _, err := os.Stat(file); err == nil {
		if len(recipients) > 0 {
			return nil, fmt.Errorf("%s is there already; 'hostctl secret recipients add %s age1…' adds a recipient", file, file)
		}
		return o.openSecretFile(file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !strings.HasSuffix(file, ".yaml") && !strings.HasSuffix(file, ".yml") {
		return nil, fmt.Errorf("%s: name the file so that it ends in .sops.yaml", file)
	}
	own, err := o.platformRecipient()
	if err != nil && len(recipients) == 0 {
		return nil, err
	}
	if err == nil {
		recipients = append([]string{own}, recipients...)
	}
	return sops.New(recipients...)
}

// platformRecipient returns the platform's age recipient, making its key where there is none.
func (o *options) platformRecipient() (string, error) {
	if o.ageKey == "" && o.state != "" {
		if _, err := os.Stat(o.state); err != nil {
			return "", fmt.Errorf("the state folder %s isn't there; 'hostctl init' makes it", o.state)
		}
		return o.config().MakeAgeKey()
	}
	ids, err := o.identities()
	if err != nil {
		return "", err
	}
	return wire.RecipientOf(ids)
}

// writeSecretFile writes a file in one step.
func writeSecretFile(file string, f *sops.Opened) error {
	data, err := f.Encode(time.Now())
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".hostctl-*.yaml")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// maxSecret is the most bytes a value may have: what a node takes.
const maxSecret = 64 << 10

// readSecret reads a value. On a terminal it isn't echoed.
func readSecret(in io.Reader, say io.Writer, key string) ([]byte, error) {
	f, ok := in.(*os.File)
	if ok {
		if old, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			fmt.Fprintf(say, "Value of %s (not shown): ", key)
			quiet := *old
			quiet.Lflag &^= unix.ECHO
			if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &quiet); err != nil {
				return nil, err
			}
			defer func() {
				_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, old)
				fmt.Fprintln(say)
			}()
			in = &line{in: f}
		}
	}
	value, err := io.ReadAll(io.LimitReader(in, maxSecret+2))
	if err != nil {
		return nil, err
	}
	value = bytes.TrimSuffix(value, []byte("\n"))
	switch {
	case len(value) > maxSecret:
		return nil, fmt.Errorf("the value has more than %d bytes", maxSecret)
	case len(value) == 0:
		return nil, errors.New("there is no value on standard input")
	}
	return value, nil
}

// line reads up to the end of a line.
type line struct {
	in   io.Reader
	over bool
}

func (l *line) Read(p []byte) (int, error) {
	if l.over || len(p) == 0 {
		return 0, io.EOF
	}
	n, err := l.in.Read(p[:1])
	l.over = n == 1 && p[0] == '\n'
	return n, err
}

func secretCheckVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Open every encrypted file and check its MAC",
		Long: `check opens the named files, or every *.sops.yaml of the config repository's folder, as applying them will: the
platform's age key must be among the recipients, and no value may have been changed by hand. Of a whole folder, the keys of its Certificates must be
those of their chains too. It prints no value.`,
		Example:     "  hostctl secret check --state DIR",
		Annotations: map[string]string{exitStatus: "0 all can be opened, 1 some can't."},
		RunE: func(cmd *cobra.Command, args []string) error {
			files := args
			if len(files) == 0 {
				var err error
				if files, err = secretFiles(o.dir); err != nil {
					return err
				}
			}
			var errs []error
			values := 0
			for _, file := range files {
				f, err := o.openSecretFile(file)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				values += len(f.Keys())
			}
			if len(args) == 0 {
				errs = append(errs, o.checkKeys(cmd.Context())...)
			}
			if len(errs) > 0 {
				return errors.Join(errs...)
			}
			_, err := fmt.Fprintf(o.out, "%s with %s can be opened.\n", count(len(files), "file", "files"), count(values, "value", "values"))
			return err
		},
	}
}

// secretFiles finds the encrypted files of a folder.
func secretFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && (strings.HasSuffix(path, ".sops.yaml") || strings.HasSuffix(path, ".sops.yml")) {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}
