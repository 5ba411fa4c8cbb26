package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// manyChanges is from how many changes on a run is told in sums instead of line by line.
const manyChanges = 200

// progress tells a run as it goes, a line for each change that has ended; as JSON, an event a line.
type progress struct {
	w       io.Writer
	json    *json.Encoder // nil for people
	total   int
	done    int
	untried int
	began   time.Time
	told    time.Time
	last    reconciler.Event // the final one
}

func newProgress(w io.Writer, asJSON bool) *progress {
	p := &progress{w: w, began: time.Now()}
	if asJSON {
		p.json = json.NewEncoder(w)
	}
	return p
}

// event tells one event.
func (p *progress) event(e reconciler.Event) {
	if e.Kind.Final() {
		p.last = e
	}
	switch {
	case p.json != nil:
		_ = p.json.Encode(e)
		return
	case e.Change == nil:
		if e.Text != "" && !e.Kind.Final() {
			p.print("%s\n", e.Text)
		}
		return
	case e.Change.Phase == string(executors.PhaseStarted):
		return
	}
	c := e.Change
	p.total = c.Of
	p.done++
	switch {
	case c.Phase == string(executors.PhaseBlocked), c.Phase == string(executors.PhaseCanceled):
		p.untried++
		return
	case c.Error != "":
		p.print("  ! %s %s: %s\n", c.Action, c.Ref, firstLine(c.Error))
		return
	}
	if p.total <= manyChanges {
		p.print("  %s %s (%s)\n", sign(c.Action), c.Ref, round(c.Elapsed))
		return
	}
	if time.Since(p.told) > time.Second {
		p.told = time.Now()
		p.print("  … %d of %d changes\n", p.done, p.total)
	}
}

// outcome tells how a run of hostd's has ended.
func (p *progress) outcome() error {
	switch p.last.Kind {
	case reconciler.EventApplied:
		p.applied()
		return nil
	case reconciler.EventFailed:
		return fmt.Errorf("%s\nhostd tries again by itself; follow it with 'hostctl status'", p.last.Text)
	}
	return errors.New(p.last.Text)
}

func (p *progress) applied() {
	if p.json == nil && p.done > 0 {
		p.print("Applied %s in %s.\n", count(p.done, "change", "changes"), round(time.Since(p.began)))
	}
}

// ended tells how a run of our own has ended.
func (p *progress) ended(plan planner.Plan, err error) error {
	e := reconciler.Event{Time: time.Now().UTC(), Commit: plan.Commit, Kind: reconciler.EventApplied}
	var unfinished *executors.RunError
	switch {
	case errors.As(err, &unfinished):
		e.Kind, e.Text = reconciler.EventFailed, err.Error()
		err = fmt.Errorf("%w\nwhat was done is recorded; 'hostctl apply' goes on from there", err)
	case err != nil:
		e.Kind, e.Text = reconciler.EventRefused, err.Error()
	}
	p.event(e)
	if err == nil {
		p.applied()
	}
	return err
}

// print writes to a terminal or a push's output; there is nobody to tell where that fails.
func (p *progress) print(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

func sign(a planner.Action) string {
	switch a {
	case planner.Create:
		return "+"
	case planner.Update:
		return "~"
	case planner.Replace:
		return "±"
	}
	return "-"
}

// firstLine is enough of an error while a run goes on: its end tells all.
func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
