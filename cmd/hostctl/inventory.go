package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hostctl/cmd/internal/wire"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

func inventoryVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inventory backup|restore|rebuild",
		Short: "Back up the inventory, put a backup back, or make a lost one again from what is really there",
		Long: `The inventory is the record of what is live and of the decisions that must not be made twice: uids, addresses, ports,
which node is on which host. These verbs keep it from being lost, and help when it is.`,
		Example: `  hostctl inventory backup --state DIR today.backup
  hostctl inventory restore --state DIR --database postgres://hostctl@db/hostctl today.backup
  hostctl inventory rebuild -C hosting.git --state DIR --instance 3f9a2b1c…`,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("inventory has no verb %q; want backup, restore or rebuild", args[0])
		},
	}
	cmd.AddCommand(inventoryBackupVerb(o), inventoryRestoreVerb(o), inventoryRebuildVerb(o))
	return cmd
}

func inventoryBackupVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of the inventory to a new file",
		Long: `backup writes the inventory as of one moment, while hostd may run: what is live, the allocations, and the last 100 runs
with their plans. The file is the same whatever the inventory stands in, so that a backup moves it. The CA in the state
folder is not in it: nodes trust no other, so back that folder up too.`,
		Example: "  hostctl inventory backup --state DIR today.backup",
		Args:    needs("a file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("inventory backup"); err != nil {
				return err
			}
			store, err := o.inventory(cmd.Context())
			if err != nil {
				return err
			}
			if err := errors.Join(store.Backup(cmd.Context(), args[0]), store.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(o.out, "The inventory is in %s. Keep a copy of %s with it: nodes trust no other CA.\n", args[0], o.caFolder())
			return err
		},
	}
}

func (o *options) caFolder() string { return filepath.Join(o.state, "ca") }

func inventoryRestoreVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into an empty inventory",
		Long: `restore puts a backup into an inventory that is empty, made where there is none; it is then the inventory of the same
instance. What was done since the backup it doesn't know: 'hostctl inventory rebuild' does.`,
		Example: "  hostctl inventory restore --state DIR today.backup",
		Args:    needs("the file of a backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needIdle(cmd.Context(), "inventory restore"); err != nil {
				return err
			}
			return o.restore(cmd.Context(), args[0])
		},
	}
}

// needIdle refuses to go on where hostd works with the inventory.
func (o *options) needIdle(ctx context.Context, verb string) error {
	if err := o.needState(verb); err != nil {
		return err
	}
	if _, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName)); err == nil {
		return fmt.Errorf("hostd runs on %s; stop it, then try again", o.state)
	}
	return nil
}

func (o *options) restore(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := os.MkdirAll(o.state, 0o700); err != nil {
		return err
	}
	store, err := wire.OpenInventory(ctx, wire.Config{State: o.state, Database: o.database})
	if err != nil {
		return err
	}
	if err := errors.Join(store.Restore(ctx, f), store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "The inventory is restored. 'hostctl plan' shows what has changed since.\n")
	return errors.Join(err, o.missingCA())
}

// missingCA tells that the CA is lost, where it is: what can be done without it, and what not.
func (o *options) missingCA() error {
	_, err := os.Stat(o.caFolder())
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("the CA in %s is lost: the platform's nodes trust no other and give no answer; put the folder back from a backup, "+
		"or else remove the platform's containers (their volumes keep the data) and let them be made again with a new CA", o.caFolder())
}

func inventoryRebuildVerb(o *options) *cobra.Command {
	var instance string
	cmd := &cobra.Command{
		Use:   "rebuild --instance ID",
		Short: "Make a lost inventory again from what hosts and nodes really hold",
		Long: `rebuild observes the hosts that the repository declares and the nodes on them, and records what they hold in an empty
inventory: with it the placements, addresses, ports and uids, which stay as they are. It changes nothing but the inventory.
What was found and isn't declared is listed, and left alone. The CA in the state folder must be there.

The instance is that of the lost inventory: the label hostctl.instance of the platform's containers.`,
		Example: "  hostctl inventory rebuild -C hosting.git --state DIR --instance 3f9a2b1c…",
		Args:    noOperands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.needIdle(cmd.Context(), "inventory rebuild"); err != nil {
				return err
			}
			if instance == "" {
				return errors.New(`rebuild needs --instance, the id of the lost inventory; it is in the label hostctl.instance of the platform's ` +
					`containers: docker ps --filter label=hostctl.instance --format '{{.Names}} {{.Label "hostctl.instance"}}'`)
			}
			out, err := o.rebuild(cmd.Context(), instance)
			if err != nil {
				return o.explain(err)
			}
			return printRebuilt(o.out, out)
		},
	}
	cmd.Flags().StringVar(&instance, "instance", "", "the `id` of the lost inventory")
	return cmd
}

func (o *options) rebuild(ctx context.Context, instance string) (reconciler.Rebuilt, error) {
	if err := o.missingCA(); err != nil {
		return reconciler.Rebuilt{}, err
	}
	s, err := o.tree(ctx, "")
	if err != nil {
		return reconciler.Rebuilt{}, err
	}
	if s.commit == "" {
		return reconciler.Rebuilt{}, errors.New("the files aren't those of a commit: commit them, or name the bare repository with -C")
	}
	// Before all else: what is wired below speaks to the nodes as this instance.
	store, err := wire.OpenInventory(ctx, wire.Config{State: o.state, Database: o.database})
	if err != nil {
		return reconciler.Rebuilt{}, err
	}
	if err := errors.Join(store.Adopt(ctx, instance, 0), store.Close()); err != nil {
		return reconciler.Rebuilt{}, err
	}
	platform, err := o.platform(ctx, s.repository)
	if err != nil {
		return reconciler.Rebuilt{}, err
	}
	out, err := platform.Rebuild(ctx, s.tree, s.commit)
	return out, errors.Join(err, platform.Close())
}

func printRebuilt(w io.Writer, r reconciler.Rebuilt) error {
	_, err := fmt.Fprintf(w, "Recorded %s and %s; runs go on from number %d.\n",
		count(r.Objects, "object", "objects"), count(len(r.Allocations), "allocation", "allocations"), r.Fence+1)
	if err != nil {
		return err
	}
	for _, list := range []struct {
		what string
		refs []planner.Ref
	}{
		{"Declared and not there; the next plan makes it:", r.Missing},
		{"There and not declared; nothing touches it:", r.Orphans},
	} {
		if len(list.refs) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", list.what); err != nil {
			return err
		}
		for _, ref := range list.refs {
			if _, err := fmt.Fprintf(w, "  %s\n", ref); err != nil {
				return err
			}
		}
	}
	for i, g := range r.Lost {
		if i == 0 {
			fmt.Fprint(w, "\nGenerated, and lost with the inventory; the nodes that have the value keep it, and no other can have it. To make another:\n")
		}
		fmt.Fprintf(w, "  hostctl secret rotate --generated %s\n", g)
	}
	_, err = fmt.Fprintln(w, "\n'hostctl plan' shows what differs from the repository.")
	return err
}
