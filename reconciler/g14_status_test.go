package reconciler_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
)

// told is an inventory that tells something else than it holds.
type told struct {
	reconciler.Inventory
	on     atomic.Bool
	run    func(*reconciler.Run)
	change func(*reconciler.ChangeStatus)
	object func(*reconciler.ObjectStatus)
}

func (i *told) Runs(ctx context.Context, limit int) ([]reconciler.Run, error) {
	runs, err := i.Inventory.Runs(ctx, limit)
	if i.on.Load() && i.run != nil && limit > 1 {
		i.run(&runs[len(runs)-1])
	}
	return runs, err
}

func (i *told) Changes(ctx context.Context, run int64) ([]reconciler.ChangeStatus, error) {
	changes, err := i.Inventory.Changes(ctx, run)
	if i.on.Load() && i.change != nil {
		i.change(&changes[0])
	}
	return changes, err
}

func (i *told) Objects(ctx context.Context) ([]reconciler.ObjectStatus, error) {
	objects, err := i.Inventory.Objects(ctx)
	if i.on.Load() && i.object != nil {
		i.object(&objects[0])
	}
	return objects, err
}

// What a status says has a revision, a start, a deadline and, where it is final, an end. A state that can't be is found,
// whatever lacks (G14).
func TestG14_ImpossibleStatesAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.far.fail(func(_ memory.Point, c planner.Change) error {
		if c.Ref().Kind == planner.KindRoute {
			return errors.New("a fault")
		}
		return nil
	})
	commit := w.push(minimal(t))
	if err := w.apply(commit); err == nil {
		t.Fatal("nothing failed")
	}
	w.far.fail(nil)
	w.must(w.apply(commit))
	honest := &told{Inventory: w.store}
	if found, err := reconciler.Impossible(t.Context(), honest, 10); err != nil || len(found) > 0 {
		t.Fatalf("after two runs: %q, %v", found, err)
	}
	var none time.Time
	for name, c := range map[string]struct {
		says string
		told *told
	}{
		"a run without a deadline":      {"lacks its", &told{run: func(r *reconciler.Run) { r.Deadline = none }}},
		"a run without a start":         {"lacks its", &told{run: func(r *reconciler.Run) { r.Started = none }}},
		"a run without a commit":        {"lacks its commit", &told{run: func(r *reconciler.Run) { r.Commit = "" }}},
		"a run without a holder":        {"lacks its", &told{run: func(r *reconciler.Run) { r.Holder = "" }}},
		"a final run without an end":    {"without an end", &told{run: func(r *reconciler.Run) { r.Finished = none }}},
		"an end before the start":       {"before it began", &told{run: func(r *reconciler.Run) { r.Finished = r.Started.Add(-time.Second) }}},
		"two runs under way":            {"is newer", &told{run: func(r *reconciler.Run) { r.State, r.Finished = reconciler.Running, none }}},
		"an unknown state":              {"no such state", &told{run: func(r *reconciler.Run) { r.State = "stuck" }}},
		"a wrong count":                 {"counts", &told{run: func(r *reconciler.Run) { r.Done++ }}},
		"a change without an end":       {"its change 1", &told{change: func(c *reconciler.ChangeStatus) { c.Finished = none }}},
		"a change that still goes on":   {"its change 1", &told{change: func(c *reconciler.ChangeStatus) { c.State, c.Finished = "started", none }}},
		"a failure without its error":   {"its change 1", &told{change: func(c *reconciler.ChangeStatus) { c.State, c.Error = "failed", "" }}},
		"a change in no state":          {"its change 1", &told{change: func(c *reconciler.ChangeStatus) { c.State = "lost" }}},
		"an object without a revision":  {"no revision", &told{object: func(o *reconciler.ObjectStatus) { o.Revision = 0 }}},
		"an object without an end":      {"has no end", &told{object: func(o *reconciler.ObjectStatus) { o.Finished = none }}},
		"a clean object with an error":  {"or an error", &told{object: func(o *reconciler.ObjectStatus) { o.Error = "x" }}},
		"a clean object of no commit":   {"no commit", &told{object: func(o *reconciler.ObjectStatus) { o.Commit = "" }}},
		"an object that ended too soon": {"before it began", &told{object: func(o *reconciler.ObjectStatus) { o.Finished = o.Started.Add(-1) }}},
	} {
		inv := c.told
		inv.Inventory = w.store
		inv.on.Store(true)
		found, err := reconciler.Impossible(t.Context(), inv, 10)
		if err != nil || !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.says) }) {
			t.Errorf("%s: found %q, %v; want one with %q", name, found, err, c.says)
		}
	}
}

// The loop's janitor says what it has found, and that it is over (G14).
func TestG14_TheJanitorSaysIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applied(minimal(t))
	inv := &told{Inventory: w.store, object: func(o *reconciler.ObjectStatus) { o.Finished = time.Time{} }}
	w.rec.Inventory = inv
	loop := &reconciler.Loop{Reconciler: w.rec, Feed: &reconciler.Feed{}, ObserveEvery: 10 * time.Millisecond, LookEvery: time.Hour}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	defer func() { stop(); w.must(<-ended) }()
	until(t, "all is looked at", func() bool { return loop.Status().Drift != nil })
	if s := loop.Status(); len(s.Impossible) > 0 {
		t.Errorf("without a cause: %q", s.Impossible)
	}
	inv.on.Store(true)
	until(t, "what can't be is said", func() bool { return len(loop.Status().Impossible) == 1 })
	inv.on.Store(false)
	until(t, "it is over", func() bool { return len(loop.Status().Impossible) == 0 })
}
