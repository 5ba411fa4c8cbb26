package reconciler_test

import (
	"context"
	"errors"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

func TestHandOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	first := w.push(minimal(t))
	l.follow(first)
	w.far.loseContainer("web-1-0")
	w.look()
	var told int
	plan := w.plan(first)
	w.must(l.Apply(t.Context(), plan, func(e reconciler.Event) {
		if e.Change == nil || e.Change.Of != len(plan.Changes) {
			t.Errorf("told %+v", e)
		}
		told++
	}))
	if told != 2*len(plan.Changes) {
		t.Errorf("%d events of %d changes", told, len(plan.Changes))
	}
	l.converged(first)
	w.wantTrue(first)

	if err := l.Apply(t.Context(), plan, func(reconciler.Event) {}); !errors.Is(err, reconciler.ErrStale) {
		t.Errorf("the same plan again: %v", err)
	}
	second := w.push(two(t))
	l.converged(second)
	plan = w.plan(first)
	if err := l.Apply(t.Context(), plan, func(reconciler.Event) {}); !asType[*reconciler.BehindError](err) {
		t.Errorf("a plan of an older commit: %v", err)
	}
	l.converged(second)
	w.wantTrue(second)
}

// A run doesn't wait for one who handed it over and doesn't read what happens.
func TestHandOverBySomebodyWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	commit := w.push(minimal(t))
	l.follow(commit)
	w.far.loseContainer("web-1-0")
	w.look()
	plan, stuck, read := w.plan(commit), make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		first := true
		done <- l.Apply(context.Background(), plan, func(reconciler.Event) {
			if first {
				close(stuck)
				<-read
			}
			first = false
		})
	}()
	<-stuck
	wantKinds(t, "another push", l.follow(w.push(two(t))), "planned applied")
	close(read)
	w.must(<-done)
}

// A plan that fails is tried again by the loop as one of its own.
func TestHandOverThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(two(t))
	w.far.loseContainer("web-1-0")
	w.look()
	l := run(t, w)
	l.converged(commit)
	w.far.loseContainer("web-1-0")
	w.look()
	plan := w.plan(commit)
	w.far.silence("web-1-0")
	if err := l.Apply(t.Context(), plan, func(reconciler.Event) {}); !asType[*executors.RunError](err) {
		t.Errorf("got %v", err)
	}
	w.far.silence()
	l.Retry()
	l.converged(commit)
	w.wantTrue(commit)
}

func TestHandOverToALoopThatStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	l.stop()
	w.must(l.wait())
	if err := l.Apply(t.Context(), planner.Plan{}, func(reconciler.Event) {}); !errors.Is(err, reconciler.ErrStopped) {
		t.Errorf("got %v", err)
	}
	busy := &reconciler.Loop{Reconciler: w.rec, Feed: &reconciler.Feed{}} // it doesn't run
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := busy.Apply(ctx, planner.Plan{}, func(reconciler.Event) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
