package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// manyChanges is from how many changes on a run is told in sums instead of line by line.
const manyChanges = 200

// progress tells a run as it goes: on a terminal in lines that are painted again and again, elsewhere a line for each
// change that has ended, and as JSON an event a line. Its methods may be called at any time until close.
type progress struct {
	w     io.Writer
	json  *json.Encoder // nil for people
	began time.Time

	mu      sync.Mutex
	live    *live // nil where w is no terminal
	tick    *time.Ticker
	over    chan struct{} // closed with the ticker
	total   int
	done    int
	untried int
	told    time.Time
	last    reconciler.Event // the final one
}

// repaint is how often a terminal's lines are painted, for the elapsed times in them.
const repaint = 100 * time.Millisecond

func newProgress(w io.Writer, asJSON bool) *progress {
	p := &progress{w: w, began: time.Now()}
	if asJSON {
		p.json = json.NewEncoder(w)
		return p
	}
	if size, ok := terminal(w); ok {
		p.live = &live{w: w, size: size, now: time.Now, colour: colours(w)}
		p.tick, p.over = time.NewTicker(repaint), make(chan struct{})
		go p.repaint()
	}
	return p
}

// repaint paints the lines of a terminal until close.
func (p *progress) repaint() {
	for {
		select {
		case <-p.over:
			return
		case <-p.tick.C:
		}
		p.mu.Lock()
		if p.live != nil && len(p.live.running) > 0 {
			p.live.paint("")
		}
		p.mu.Unlock()
	}
}

// close takes away the lines that were painted. What is told afterwards is plain.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil {
		p.tick.Stop()
		close(p.over)
		p.live.clear()
		p.live = nil
	}
}

// event tells one event.
func (p *progress) event(e reconciler.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Kind.Final() {
		p.last = e
	}
	switch {
	case p.json != nil:
		if e.Time.IsZero() {
			e.Time = time.Now().UTC()
		}
		_ = p.json.Encode(e)
	case e.Change != nil:
		p.change(*e.Change)
	case e.Text != "" && !e.Kind.Final():
		p.print("%s\n", e.Text)
	}
}

// change tells a step of a change.
func (p *progress) change(c reconciler.ChangeEvent) {
	if p.live != nil {
		p.live.event(c)
	}
	if c.Phase == string(executors.PhaseStarted) {
		return // the next tick paints it
	}
	p.total = c.Of
	p.done++
	switch {
	case c.Phase == string(executors.PhaseBlocked), c.Phase == string(executors.PhaseCanceled):
		p.untried++
		return
	case c.Error != "":
		p.print("  ! %s %s: %s\n", c.Action, c.Ref, planner.Printable(firstLine(c.Error)))
		return
	case p.live != nil:
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
	p.close()
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
	p.close()
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
func (p *progress) print(format string, args ...any) {
	if p.live != nil {
		p.live.paint(fmt.Sprintf(format, args...))
		return
	}
	_, _ = fmt.Fprintf(p.w, format, args...)
}

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
