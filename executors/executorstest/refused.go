package executorstest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
)

// A change that the far side refuses stops no other of its batch, be it that the far side refuses changes one by one or
// a batch as a whole: Run finds the guilty ones.
func testRefused(t *testing.T, s *suite) {
	if len(s.Bad) == 0 {
		t.Fatal("harness: no Bad object; every far side refuses something")
	}
	p := planner.Plan{Changes: s.withBad(t)}
	ctx, cancel := context.WithTimeout(t.Context(), s.Wait)
	defer cancel()
	j := &journal{}
	err := executors.Run(ctx, p, s.e, j, executors.Options{})
	var failed *executors.RunError
	if !errors.As(err, &failed) {
		t.Fatalf("Run: %v, want a *RunError", err)
	}
	for _, f := range failed.Failures {
		if !s.isBad(f.Change.Ref()) {
			t.Errorf("%s failed beside a bad one: %v", f.Change.Ref(), f.Err)
		} else if executors.KindOf(f.Err) != executors.Refused {
			t.Errorf("bad %s: %v (%s), want it refused", f.Change.Ref(), f.Err, executors.KindOf(f.Err))
		}
	}
	if failed.Failed != len(s.Bad) {
		t.Errorf("%d of %d bad changes failed", failed.Failed, len(s.Bad))
	}
	if j.started != len(p.Changes) || j.finished != len(p.Changes) {
		t.Errorf("%d changes journaled as started and %d as finished, want each of %d once", j.started, j.finished, len(p.Changes))
	}
	s.want(t, s.created())
}

// withBad is the creates of all samples, in stages, with each bad object in the middle of the last batch of its kind and
// target, or in a batch of its own at the end.
func (s *suite) withBad(t *testing.T) []planner.Change {
	t.Helper()
	stages := batches(s.creates())
	for _, bad := range s.Bad {
		for _, x := range s.Samples {
			if x.Create.Owner().ID() == bad.Owner().ID() {
				t.Fatalf("harness: bad %s has the same owner as sample %s", bad.Ref(), x.Create.Ref())
			}
		}
		at := -1
		for i, b := range stages {
			if r := b[0].Ref(); r.Kind == bad.Ref().Kind && r.Target == bad.Ref().Target {
				at = i
			}
		}
		if at < 0 {
			at, stages = len(stages), append(stages, nil)
		}
		stages[at] = slices.Insert(stages[at], len(stages[at])/2, change(0, planner.Create, nil, bad))
	}
	var cs []planner.Change
	for i, b := range stages {
		for _, c := range b {
			c.ID, c.Stage = len(cs), i
			cs = append(cs, c)
		}
	}
	return cs
}

func (s *suite) isBad(r planner.Ref) bool {
	return slices.ContainsFunc(s.Bad, func(o planner.Object) bool { return o.Ref() == r })
}

// journal counts.
type journal struct {
	mu                sync.Mutex
	started, finished int
}

func (j *journal) Started(_ context.Context, cs []planner.Change) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.started += len(cs)
	return nil
}

func (j *journal) Finished(_ context.Context, cs []planner.Change, _ []error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.finished += len(cs)
	return nil
}
