package reconciler_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
)

// One who comes late follows the attempt of now, not the failure of before.
func TestLoopFollowsThePresentAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.far.fail(func(_ memory.Point, c planner.Change) error {
		if c.Ref().Kind == planner.KindRoute {
			return errors.New("no room")
		}
		return nil
	})
	l := run(t, w)
	commit := w.push(minimal(t))
	events := l.follow(commit)
	wantKinds(t, "the first attempt", events, "planned failed")
	if !strings.Contains(last(events), "no room") || !strings.Contains(last(events), "next attempt in 1m0s") {
		t.Errorf("the failure says: %s", last(events))
	}
	wantKinds(t, "between two attempts", l.follow(commit), "planned failed")

	g := newGate()
	w.far.fail(nil)
	w.far.onApply = g.pass
	l.Retry()
	<-g.reached
	following := l.following(commit)
	close(g.open)
	wantKinds(t, "the second attempt", following(), "planned applied")
	l.converged(commit)
}

// After a failure nothing but the time, a new commit, something found, or somebody who asks for it leads to another try.
func TestLoopWaitsAfterAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.far.fail(func(memory.Point, planner.Change) error { return errors.New("a fault") })
	l := run(t, w)
	commit := w.push(minimal(t))
	l.follow(commit)
	tried := len(w.runs())
	for range 5 { // each of these wakes the loop, and waits for a pass
		l.Look()
		wantKinds(t, "a failed commit", l.follow(commit), "planned failed")
	}
	if n := len(w.runs()); n != tried {
		t.Errorf("%d runs were begun without cause", n-tried)
	}
	w.far.fail(nil)
	wantKinds(t, "the next commit", l.follow(w.push(two(t))), "planned applied")
}

// The time after a failure is doubled, up to a limit, and another commit begins anew.
func TestLoopBacksOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.far.fail(func(memory.Point, planner.Change) error { return errors.New("a fault") })
	l := run(t, w)
	commit := w.push(minimal(t))
	for _, want := range []string{"in 1m0s", "in 2m0s", "in 2m0s"} {
		if events := l.follow(commit); !strings.Contains(last(events), want) {
			t.Errorf("want %q: %s", want, last(events))
		}
		l.Retry()
	}
	if events := l.follow(w.push(two(t))); !strings.Contains(last(events), "in 1m0s") {
		t.Errorf("another commit: %s", last(events))
	}
}

// A node that turns out to be down in a run is planned around at once.
func TestLoopPlansAroundANodeThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	l.follow(w.push(two(t)))
	w.far.silence("web-1-1")
	commit := w.push(with(t, two(t), "fqdns: [acme.test, ", "fqdns: [new.acme.test, acme.test, "))
	wantKinds(t, "the push", l.follow(commit), "planned planned applied")
	if s := l.Status(); s.Applied != commit || s.Converged || !strings.Contains(s.Message, "web-1-1 can't be reached") {
		t.Errorf("the status is %+v", s)
	}
	w.far.silence()
	l.Look()
	l.converged(commit)
	w.wantTrue(commit)
}

// A failure that stays doesn't keep another node's death from being planned around at once, and neither spins.
func TestLoopDoesNotSpin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	l.follow(w.push(two(t)))
	w.far.fail(func(_ memory.Point, c planner.Change) error {
		if c.Ref().Kind == planner.KindVhost {
			return errors.New("a mistake of a tenant")
		}
		return nil
	})
	commit := w.push(with(t, two(t), "fqdns: [acme.test, ", "fqdns: [new.acme.test, acme.test, "))
	wantKinds(t, "the mistake", l.follow(commit), "planned failed")
	before := len(w.runs())
	w.far.silence("web-1-1")
	l.Look()
	until(t, "the node that is down is planned around", func() bool { return len(w.live().Down) == 1 && len(w.runs()) > before })
	until(t, "the loop rests", func() bool { return w.runs()[0].State == reconciler.Failed && time.Until(l.Status().NextAttempt) > 0 })
	for range 3 {
		l.follow(commit)
	}
	if n := len(w.runs()) - before; n > 2 {
		t.Errorf("%d runs", n)
	}
}

// A failure to read is no refusal: it is tried again.
func TestLoopTellsFailureFromRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inventory := &failing{Inventory: w.store}
	w.rec.Inventory = inventory
	inventory.set(executors.Errorf(executors.Busy, "the database is busy"))
	l := run(t, w)
	commit := w.push(minimal(t))
	events := l.follow(commit)
	wantKinds(t, "the push", events, "failed")
	if !strings.Contains(last(events), "the database is busy") {
		t.Errorf("the failure says: %s", last(events))
	}
	inventory.set(nil)
	l.Retry()
	l.converged(commit)
}

// failing is an inventory that can't be read.
type failing struct {
	reconciler.Inventory
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) Runs(ctx context.Context, limit int) ([]reconciler.Run, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Inventory.Runs(ctx, limit)
}
