package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

// statusReport is what status prints with -json.
type statusReport struct {
	Format int `json:"format"` // statusFormat; within one, keys are added only
	reconciler.Standing
	Hostd *reconciler.Status `json:"hostd,omitempty"` // missing where none runs
}

// statusFormat is the version of what status prints with -json.
const statusFormat = 1

// allObjects is more than an inventory holds.
const allObjects = 1 << 40

// shownRuns is how many runs status shows.
const shownRuns = 5

func statusVerb(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell how the platform stands: what is applied, what isn't, and the latest runs",
		Long: `status prints what the inventory knows: where the platform answers, what is dirty (a change of it has not finished, or
it differs from what was applied), which nodes don't answer, the latest runs, and what hostd is doing.`,
		Example:           "  hostctl status --state DIR",
		Annotations:       map[string]string{exitStatus: "0 told, whatever it is; 1 an error."},
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.needState("status"); err != nil {
				return err
			}
			r, err := o.status(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(o.out, r)
			}
			return r.print(o.out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (o *options) status(cmd *cobra.Command) (statusReport, error) {
	ctx := cmd.Context()
	var r statusReport
	store, err := o.inventory(ctx)
	if err != nil {
		return r, err
	}
	defer func() { _ = store.Close() }() // only read
	r.Format = statusFormat
	if r.Standing, err = reconciler.Stand(ctx, store, shownRuns, allObjects); err != nil {
		return r, err
	}
	if hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName)); err == nil {
		s, err := hostd.Status(ctx)
		if err != nil {
			return r, err
		}
		r.Hostd = &s
	}
	return r, nil
}

func (r statusReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "instance\t%s\n", r.Instance)
	fmt.Fprintf(t, "hostd\t%s\n", r.hostd())
	r.printRemote(t)
	fmt.Fprintf(t, "objects\t%d, of which %d are dirty\n", r.Objects, len(r.Dirty))
	for _, e := range r.Endpoints {
		fmt.Fprintf(t, "%s\t%s (%s, %s)\n", e.Name, e.Address, e.Protocol, e.Node)
	}
	for _, node := range slices.Sorted(maps.Keys(r.Down)) {
		fmt.Fprintf(t, "down\t%s: %s\n", node, r.Down[node])
	}
	for _, tenant := range slices.Sorted(maps.Keys(r.Suspended)) {
		fmt.Fprintf(t, "suspended\t%s%s\n", tenant, planner.Printable(reasonOf(r.Suspended[tenant])))
	}
	r.printNodes(t)
	r.printDrift(t)
	for _, s := range r.Dirty {
		fmt.Fprintf(t, "dirty\t%s: %s\n", s.Ref, firstOf(s.Error, s.Dirty))
	}
	if len(r.Runs) > 0 {
		fmt.Fprintln(t)
		writeRuns(t, r.Runs)
	}
	return t.Flush()
}

func (r statusReport) hostd() string {
	switch {
	case r.Hostd == nil:
		return "not running"
	case r.Hostd.Converged:
		return fmt.Sprintf("converged at %.12s", r.Hostd.Applied)
	case r.Hostd.Message != "":
		return "not converged: " + r.Hostd.Message
	}
	return fmt.Sprintf("working on %.12s", r.Hostd.Head)
}

// printRemote tells how hostd stands with a config repository that lies elsewhere.
func (r statusReport) printRemote(w io.Writer) {
	if r.Hostd == nil || r.Hostd.Remote == nil {
		return
	}
	from := r.Hostd.Remote
	read := "not read since hostd started"
	if !from.Read.IsZero() {
		read = "read " + from.Read.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "follows\t%s of %s, %s\n", from.Branch, from.URL, read)
	if from.Error != "" {
		fmt.Fprintf(w, "not read\t%s\n", planner.Printable(from.Error))
	}
}

// printNodes tells what isn't well on nodes that answer, by their own account.
func (r statusReport) printNodes(w io.Writer) {
	if r.Hostd == nil {
		return
	}
	for _, node := range slices.Sorted(maps.Keys(r.Hostd.Nodes)) {
		for _, p := range r.Hostd.Nodes[node].Sick() {
			fmt.Fprintf(w, "not well\t%s: %s: %s\n", node, p.Name, p.Message)
		}
	}
}

// printDrift tells what hostd's latest look for drift has found, where it has found any, in the inventory itself too.
func (r statusReport) printDrift(w io.Writer) {
	if r.Hostd == nil {
		return
	}
	for _, what := range r.Hostd.Impossible {
		fmt.Fprintf(w, "can't be\t%s\n", what)
	}
	if r.Hostd.Drift == nil {
		return
	}
	d := r.Hostd.Drift
	if d.Differs+d.Orphans+d.Unread > 0 {
		fmt.Fprintf(w, "drift\t%s, %s that nobody declared, %s that couldn't be looked at; 'hostctl drift' tells more\n",
			count(d.Differs, "object differs", "objects differ"), count(d.Orphans, "object", "objects"), count(d.Unread, "target", "targets"))
	}
	for _, ref := range d.Fighting {
		fmt.Fprintf(w, "fighting\t%s: somebody undoes each correction\n", ref)
	}
}

func took(r reconciler.Run) string {
	if r.Finished.IsZero() {
		return "-"
	}
	return round(r.Finished.Sub(r.Started)).String()
}

func reasonOf(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
