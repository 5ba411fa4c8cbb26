package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
)

func showVerb(o *options) *cobra.Command {
	var form form
	cmd := &cobra.Command{
		Use:   "show RUN|HASH|FILE",
		Short: "Print a run with its journal, or the plan of one, or a saved plan",
		Long: `show prints a run, by its number: how it ended, and each of its changes. It prints the plan that a run has carried out,
by the plan's hash or the beginning of it, at least eight digits. And it prints a plan that 'hostctl plan -out FILE'
has saved; a file that was edited or cut off, or that another version has made, is refused. Runs and hashes need
--state.`,
		Example: `  hostctl show v2.plan
  hostctl show --state DIR 12
  hostctl show --state DIR 3f1c9a20 -markdown`,
		Annotations:       map[string]string{exitStatus: "0 printed, 1 there is no such thing."},
		Args:              needs("the number of a run, the hash of a plan, or the file of a saved one"),
		ValidArgsFunction: o.live(runNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err == nil || !isRunOrHash(args[0]) {
				p, err := readPlan(args[0])
				if err != nil {
					return err
				}
				return o.printPlan(p, form)
			}
			if err := o.needState("show of a run or a hash"); err != nil {
				return err
			}
			store, err := o.inventory(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }() // only read
			if id, err := strconv.ParseInt(args[0], 10, 64); err == nil && len(args[0]) < shortHash {
				return o.showRun(cmd.Context(), store, id, form)
			}
			return o.showPlan(cmd.Context(), store, args[0], form)
		},
	}
	form.flags(cmd)
	return cmd
}

// shortHash is how many digits of a hash name a plan.
const shortHash = 8

// allRuns is more runs than an inventory remembers plans of.
const allRuns = 10_000

// isRunOrHash reports whether a name can be that of a run or a plan.
func isRunOrHash(name string) bool {
	_, err := strconv.ParseInt(name, 10, 64)
	return err == nil || len(name) >= shortHash && strings.Trim(name, "0123456789abcdef") == ""
}

// shownRun is what show prints of a run with -json.
type shownRun struct {
	reconciler.Run
	Journal []reconciler.ChangeStatus `json:"journal"`
}

func (o *options) showRun(ctx context.Context, store *inventory.Store, id int64, f form) error {
	if f.markdown {
		return errors.New("a run has no Markdown; that of its plan is printed for the plan's hash")
	}
	runs, err := store.Runs(ctx, allRuns)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run.ID != id {
			continue
		}
		journal, err := store.Changes(ctx, id)
		if err != nil {
			return err
		}
		if f.json {
			return writeJSON(o.out, shownRun{run, journal})
		}
		return o.printRun(run, journal)
	}
	return fmt.Errorf("there is no run %d; 'hostctl history' lists them", id)
}

func (o *options) printRun(run reconciler.Run, journal []reconciler.ChangeStatus) error {
	t := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "run\t%d, %s\n", run.ID, run.State)
	fmt.Fprintf(t, "commit\t%s\nplan\t%s\nby\t%s\n", run.Commit, run.Plan, run.Holder)
	fmt.Fprintf(t, "started\t%s\n", run.Started.UTC().Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(t, "took\t%s\n", took(run))
	fmt.Fprintf(t, "changes\t%d of %d done, %d failed\n", run.Done, run.Changes, run.Failed)
	if run.Message != "" {
		fmt.Fprintf(t, "message\t%s\n", planner.Printable(firstLine(run.Message)))
	}
	if err := t.Flush(); err != nil || len(journal) == 0 {
		return err
	}
	fmt.Fprintln(o.out)
	return printChanges(o.out, journal, false)
}

func (o *options) showPlan(ctx context.Context, store *inventory.Store, hash string, f form) error {
	runs, err := store.Runs(ctx, allRuns)
	if err != nil {
		return err
	}
	found := ""
	for _, run := range runs {
		if !strings.HasPrefix(run.Plan, hash) {
			continue
		}
		if found != "" && found != run.Plan {
			return fmt.Errorf("more than one plan's hash begins with %s; give more of its digits", hash)
		}
		found = run.Plan
	}
	if found == "" {
		return fmt.Errorf("no run has carried out a plan %s; 'hostctl history -json' tells the plan of each, and a file of that name isn't there either", hash)
	}
	p, err := store.Plan(ctx, found)
	if err != nil {
		return err
	}
	return o.printPlan(p, f)
}
