package executorstest

import (
	"context"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/planner"
)

// present returns what is there of all samples.
func (s *suite) present(t *testing.T) map[planner.Ref]planner.Object {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Wait)
	defer cancel()
	var refs []planner.Ref
	for _, x := range s.Samples {
		refs = append(refs, x.Create.Ref())
	}
	found, err := s.e.(executors.Reader).Present(ctx, refs)
	if err != nil {
		t.Fatalf("present: %v", err)
	}
	return found
}

func (s *suite) wantPresent(t *testing.T, want []planner.Object) {
	t.Helper()
	found := s.present(t)
	for _, o := range want {
		if planner.HashOf(found[o.Ref()]) != planner.HashOf(o) {
			t.Errorf("%s is %+v, want %+v", o.Ref(), found[o.Ref()], o)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d of %d objects are there, want %d", len(found), len(s.Samples), len(want))
	}
}

// Present shows what was applied with the same hash, each object that it is asked for and no other.
func testPresent(t *testing.T, s *suite) {
	s.wantPresent(t, nil)
	s.mustApply(t, s.creates())
	s.wantPresent(t, s.created())
	s.mustApply(t, s.updates())
	s.wantPresent(t, s.updated())
	began := time.Now()
	s.present(t)
	t.Logf("%d objects at once are read in %s", len(s.Samples), time.Since(began).Round(100*time.Microsecond))
	for _, x := range s.Samples {
		r := x.Create.Ref()
		began := time.Now()
		found, err := s.e.(executors.Reader).Present(t.Context(), []planner.Ref{r, {Kind: r.Kind, Target: r.Target, Name: "../" + r.Name}})
		if err != nil || len(found) != 1 || found[r] == nil {
			t.Errorf("present of %s alone: %v, %v", r, found, err)
		}
		t.Logf("%s is read in %s", r.Kind, time.Since(began).Round(100*time.Microsecond))
	}
}

// What was changed behind the executor's back isn't overwritten by a plan that doesn't know of it, and is by one that
// does; other changes aren't stopped. It returns how many were refused: none where the damage is to what serves.
func testChanged(t *testing.T, s *suite, damage func(*testing.T, executors.Executor)) (refused int) {
	s.mustApply(t, s.creates())
	damage(t, s.e)
	found := s.present(t)
	changed := map[planner.Ref]bool{}
	for _, o := range s.created() {
		changed[o.Ref()] = planner.HashOf(found[o.Ref()]) != planner.HashOf(o)
	}
	far := s.e.(checked.Far) // newSuite has seen that it is one
	s.e = checked.New(far)
	for _, b := range batches(s.transitions(false)) {
		found = s.present(t) // one change may bring what another one starts from
		for i, err := range s.apply(t, b) {
			r := b[i].Ref()
			now := planner.HashOf(found[r])
			mustConflict := changed[r] && now != b[i].Expect && now != planner.HashOf(b[i].New)
			if got := executors.KindOf(err) == executors.Drifted; got != mustConflict {
				t.Errorf("%s %s: %v; refused for what is there: %v, want %v", b[i].Action, r, err, got, mustConflict)
			}
			if mustConflict {
				refused++
			} else if err != nil {
				t.Logf("%s %s: %v", b[i].Action, r, err) // what it needs is damaged
			}
		}
	}
	s.mustApply(t, s.transitions(true))
	s.want(t, s.updated())
	return refused
}

// transitions lead every sample from what was created to what it may become, or to the same.
func (s *suite) transitions(force bool) []planner.Change {
	var cs []planner.Change
	for i, x := range s.Samples {
		action, to := planner.Update, x.Update
		if x.Replaces {
			action = planner.Replace
		}
		if to == nil {
			to = x.Create
		}
		c := change(i, action, x.Create, to)
		c.Force = force
		cs = append(cs, c)
	}
	return cs
}
