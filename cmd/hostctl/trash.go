package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
)

// trashReport is what trash prints with -json.
type trashReport struct {
	Format int               `json:"format"` // trashFormat; within one, keys are added only
	Kept   []reconciler.Kept `json:"kept"`
}

// trashFormat is the version of what trash prints with -json.
const trashFormat = 1

func trashVerb(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "trash",
		Short: "List what nobody declares any more and is kept for its data, and until when",
		Long: `trash lists data that has outlived its resource: nothing serves it, and it is all there. Declare the resource again,
best with 'git revert', and it has its data back. When its time is over, the next plan deletes it and says so. How long
that is, Platform.spec.keep says; metadata.deletionPolicy: Delete deletes a resource's data with it.`,
		Example:           "  hostctl trash --state DIR",
		Annotations:       map[string]string{exitStatus: "0 told, whatever it is; 1 an error."},
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.needState("trash"); err != nil {
				return err
			}
			store, err := o.inventory(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }() // only read
			kept, err := store.Kept(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(o.out, trashReport{Format: trashFormat, Kept: append([]reconciler.Kept{}, kept...)})
			}
			return printTrash(o.out, kept, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func printTrash(w io.Writer, kept []reconciler.Kept, now time.Time) error {
	if len(kept) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is kept.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEPT\tOF\tSINCE\tUNTIL")
	for _, k := range kept {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.Ref, ownerOf(k.Owner), k.Since.Local().Format(time.DateTime), until(k, now))
	}
	return t.Flush()
}

func ownerOf(o planner.Owner) string {
	if o.Tenant == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Name + " of tenant " + o.Tenant
}

func until(k reconciler.Kept, now time.Time) string {
	switch left := k.Until.Sub(now); {
	case k.Until.IsZero():
		return "removed by hand"
	case left <= 0:
		return "the next plan"
	default:
		return fmt.Sprintf("%s (%s)", k.Until.Local().Format(time.DateTime), left.Round(time.Minute))
	}
}
