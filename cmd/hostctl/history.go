package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hostctl/reconciler"
)

func historyVerb(o *options) *cobra.Command {
	var (
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "history [RUN]",
		Short: "List the runs, newest first, or the changes of one",
		Long:  `history lists the runs that the inventory remembers, and of one run every change with how it ended.`,
		Example: `  hostctl history --state DIR
  hostctl history --state DIR 12`,
		ValidArgsFunction: o.live(runNames),
		Args:              atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("history"); err != nil {
				return err
			}
			store, err := o.inventory(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }() // only read
			if len(args) == 0 {
				runs, err := store.Runs(cmd.Context(), limit)
				if err != nil {
					return err
				}
				return printRuns(o.out, runs, asJSON)
			}
			run, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return errors.New("a run is named by its number; 'hostctl history' lists them")
			}
			changes, err := store.Changes(cmd.Context(), run)
			if err != nil {
				return err
			}
			return printChanges(o.out, changes, asJSON)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "list at most so many runs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func printRuns(w io.Writer, runs []reconciler.Run, asJSON bool) error {
	if asJSON {
		return writeJSON(w, runs)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	writeRuns(t, runs)
	return t.Flush()
}

func writeRuns(w io.Writer, runs []reconciler.Run) {
	fmt.Fprint(w, "RUN\tCOMMIT\tSTATE\tCHANGES\tFAILED\tSTARTED\tTOOK\tBY\n")
	for _, run := range runs {
		fmt.Fprintf(w, "%d\t%.12s\t%s\t%d of %d\t%d\t%s\t%s\t%s\n", run.ID, run.Commit, run.State, run.Done, run.Changes, run.Failed,
			run.Started.UTC().Format(time.RFC3339), took(run), run.Holder)
	}
}

func printChanges(w io.Writer, cs []reconciler.ChangeStatus, asJSON bool) error {
	if asJSON {
		return writeJSON(w, cs)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "CHANGE\tSTATE\tTOOK\tERROR\n")
	for _, c := range cs {
		took := "-"
		if !c.Finished.IsZero() {
			took = round(c.Finished.Sub(c.Started)).String()
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\t%s\n", sign(c.Action), c.Ref, c.State, took, firstLine(c.Error))
	}
	return t.Flush()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
