package executors_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
)

// Whatever plan is run against whatever faults: nothing is touched that wasn't journaled as started or whose After didn't
// succeed, one batch a target at a time, each change ends once, and what Run says is what happened.
func TestRunProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		w := &witness{
			t: t, plan: p, refused: drawSome(t, p, "refused"), broken: drawSome(t, p, "broken"),
			busy: map[string]bool{}, started: map[int]bool{}, finished: map[int]error{}, ended: map[int]int{},
		}
		w.far = &memory.Executor{
			Whole:  rapid.Bool().Draw(t, "whole"),
			Refuse: func(o planner.Object) error { return w.when(w.refused, o.Ref()) },
			Fault:  w.fault,
			Effect: w.effect,
		}
		if rapid.Bool().Draw(t, "crashes") {
			w.crashAt = rapid.IntRange(1, len(p.Changes)+1).Draw(t, "crash")
		}
		err := executors.Run(context.Background(), p, w, w, executors.Options{Progress: w.progress})
		w.check(err)
	})
}

func drawPlan(t *rapid.T) planner.Plan {
	const most = 40
	var p planner.Plan
	for i := range rapid.IntRange(1, most).Draw(t, "changes") {
		target := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "target")
		owner := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "owner")
		c := route(i, rapid.IntRange(0, 3).Draw(t, "stage"), target, fmt.Sprintf("%s-%d", owner, i))
		for _, before := range p.Changes {
			if before.Stage < c.Stage && rapid.IntRange(0, 5).Draw(t, "after") == 0 {
				c.After = append(c.After, before.ID)
			}
		}
		p.Changes = append(p.Changes, c)
	}
	return p
}

// drawSome picks a few objects of a plan.
func drawSome(t *rapid.T, p planner.Plan, label string) map[planner.Ref]bool {
	some := map[planner.Ref]bool{}
	for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(p.Changes)-1), 0, 3).Draw(t, label) {
		some[p.Changes[i].Ref()] = true
	}
	return some
}

// witness is the executor and the recorder of a run, and sees all of it.
type witness struct {
	t               *rapid.T
	plan            planner.Plan
	far             *memory.Executor
	refused, broken map[planner.Ref]bool // broken ones fail after their effect
	crashAt         int                  // number of the effect after which the far side is gone; 0 never

	mu       sync.Mutex
	effects  int
	busy     map[string]bool // targets
	started  map[int]bool
	finished map[int]error
	ended    map[int]int
}

func (w *witness) when(some map[planner.Ref]bool, r planner.Ref) error {
	if some[r] {
		return errors.New("no")
	}
	return nil
}

func (w *witness) fault(p memory.Point, c planner.Change) error {
	if p == memory.Before {
		return nil
	}
	if w.crashAt > 0 && w.effects >= w.crashAt {
		return memory.ErrCrash
	}
	return w.when(w.broken, c.Ref())
}

func (w *witness) effect(c planner.Change, _ planner.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects++
	if !w.started[c.ID] {
		w.t.Errorf("%s touched and not journaled", c.Ref())
	}
	for _, id := range c.After {
		if err, ok := w.finished[id]; !ok || err != nil {
			w.t.Errorf("%s touched before %d succeeded", c.Ref(), id)
		}
	}
}

// Apply implements executors.Executor.
func (w *witness) Apply(ctx context.Context, cs []planner.Change) []error {
	target := cs[0].Ref().Target
	w.mu.Lock()
	if w.busy[target] {
		w.t.Errorf("two batches for %s at a time", target)
	}
	w.busy[target] = true
	w.mu.Unlock()
	errs := w.far.Apply(ctx, cs)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, target)
	return errs
}

// Started implements executors.Recorder.
func (w *witness) Started(_ context.Context, cs []planner.Change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		if w.started[c.ID] {
			w.t.Errorf("%s started twice", c.Ref())
		}
		w.started[c.ID] = true
	}
	return nil
}

// Finished implements executors.Recorder.
func (w *witness) Finished(_ context.Context, cs []planner.Change, errs []error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range cs {
		if _, twice := w.finished[c.ID]; twice || !w.started[c.ID] {
			w.t.Errorf("%s finished twice, or never started", c.Ref())
		}
		w.finished[c.ID] = errs[i]
	}
	return nil
}

func (w *witness) progress(e executors.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Phase != executors.PhaseStarted {
		w.ended[e.Change.ID]++
	}
}

// check compares what Run says with what happened.
func (w *witness) check(err error) {
	failures := map[int]error{}
	var re *executors.RunError
	if errors.As(err, &re) {
		for _, f := range re.Failures {
			failures[f.Change.ID] = f.Err
		}
	} else if err != nil {
		w.t.Fatalf("Run: %v", err)
	}
	state := w.far.State()
	for _, c := range w.plan.Changes {
		err, tried := w.finished[c.ID]
		_, there := state[c.Ref()]
		switch {
		case w.ended[c.ID] != 1:
			w.t.Errorf("%s ended %d times", c.Ref(), w.ended[c.ID])
		case tried && !errors.Is(failures[c.ID], err):
			w.t.Errorf("%s: journaled %v, told %v", c.Ref(), err, failures[c.ID])
		case tried && err == nil && !there:
			w.t.Errorf("%s succeeded and isn't there", c.Ref())
		case !tried && (there || executors.KindOf(failures[c.ID]) != executors.Blocked):
			w.t.Errorf("%s wasn't tried: %v, there %v", c.Ref(), failures[c.ID], there)
		case tried && err != nil && w.crashAt == 0 && !w.guilty(c):
			w.t.Errorf("%s failed and is innocent: %v", c.Ref(), err)
		}
	}
}

// guilty reports whether a change fails by itself, or with another one of its owner.
func (w *witness) guilty(c planner.Change) bool {
	if w.broken[c.Ref()] || w.refused[c.Ref()] {
		return true
	}
	for _, other := range w.plan.Changes {
		if w.far.Whole && other.Owner().ID() == c.Owner().ID() && w.refused[other.Ref()] {
			return true
		}
	}
	return false
}
