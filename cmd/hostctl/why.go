package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
)

func whyVerb(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why HOSTNAME|REF",
		Short: "Follow a host name through all that serves it, with the commit and line behind each part",
		Long: `why prints the way of a host name, each part below the one that needs it: route, backend, servers, nodes, vhost,
runtime, webroot, user, and the records of its zone. Beside each stand its health, the file and line that it comes
from, and the commit that made it so; beside a Valkey instance its host and port too. It asks the inventory alone.`,
		Example: `  hostctl why --state DIR shop.acme.test
  hostctl why --state DIR vhost/web-1-0/acme.shop`,
		ValidArgsFunction: o.live(hostNames),
		Args:              needs("a host name, or a reference: kind/target/name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("why"); err != nil {
				return err
			}
			store, err := o.inventory(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }() // only read
			steps, err := reconciler.Why(cmd.Context(), store, args[0])
			if err != nil {
				return err
			}
			if len(steps) == 0 {
				return fmt.Errorf("nothing live is called %s; 'hostctl plan' shows whether it is about to be", args[0])
			}
			if asJSON {
				return writeJSON(o.out, steps)
			}
			return o.printWhy(cmd.Context(), o.out, steps)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (o *options) printWhy(ctx context.Context, w io.Writer, steps []reconciler.Step) error {
	by := o.authors(ctx, steps)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "OBJECT\tHEALTH\tWRITTEN AT\tCOMMIT\n")
	for _, s := range steps {
		at := "-"
		if s.Owner.File != "" {
			at = fmt.Sprintf("%s:%d", s.Owner.File, s.Owner.Line)
		}
		name := s.Ref.String()
		if s.Endpoint != "" {
			name += " at " + s.Endpoint
		}
		fmt.Fprintf(t, "%s%s\t%s\t%s\t%.12s %s\n", strings.Repeat("  ", s.Depth), name, firstLine(s.Health), at, s.Commit, by[s.Commit])
	}
	return t.Flush()
}

// authors looks up who wrote the commits, where the repository is at hand.
func (o *options) authors(ctx context.Context, steps []reconciler.Step) map[string]string {
	by := map[string]string{}
	repo, err := git.Open(o.dir, o.branch)
	if errors.Is(err, git.ErrNoRepository) {
		return by
	}
	for _, s := range steps {
		if _, ok := by[s.Commit]; ok || err != nil {
			continue
		}
		if info, err := repo.Commit(ctx, s.Commit); err == nil {
			by[s.Commit] = info.Author
		}
	}
	return by
}
