package executorstest

import (
	"context"
	"slices"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// What was created is observed with the same hash, and creating it once more succeeds and changes nothing.
func testCreate(t *testing.T, s *suite) {
	s.want(t, nil)
	if errs := s.e.Apply(t.Context(), nil); len(errs) != 0 {
		t.Errorf("Apply of no changes returned %d errors", len(errs))
	}
	s.mustApply(t, s.creates())
	s.want(t, s.created())
	s.mustApply(t, s.creates())
	s.want(t, s.created())
}

// A batch of which a part was done before succeeds.
func testPartlyDone(t *testing.T, s *suite) {
	for _, b := range batches(s.creates()) {
		var some []planner.Change
		for i := 0; i < len(b); i += 2 {
			some = append(some, b[i])
		}
		s.mustApply(t, some)
		s.mustApply(t, b)
	}
	s.want(t, s.created())
}

// A run that is stopped in the middle of a batch, at whatever point, is finished by the next one.
func testInterrupted(t *testing.T, s *suite) {
	for _, b := range batches(s.creates()) {
		for _, after := range []time.Duration{time.Millisecond, 30 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			if errs := s.e.Apply(ctx, b); len(errs) != len(b) {
				t.Errorf("Apply of %d changes returned %d errors", len(b), len(errs))
			}
			cancel()
		}
		s.mustApply(t, b)
	}
	s.want(t, s.created())
}

// What was updated or replaced is observed so, also after doing it once more.
func testUpdate(t *testing.T, s *suite) {
	s.mustApply(t, s.creates())
	s.mustApply(t, s.updates())
	s.want(t, s.updated())
	s.mustApply(t, s.updates())
	s.want(t, s.updated())
}

// A create finds what a run that was lost has made, with other content: it makes it what it should be.
func testCreateOver(t *testing.T, s *suite) {
	s.mustApply(t, s.creates())
	var cs []planner.Change
	for i, o := range s.updated() {
		cs = append(cs, change(i, planner.Create, nil, o))
	}
	s.mustApply(t, cs)
	s.want(t, s.updated())
}

// What was deleted is gone, deleting it once more succeeds, and what keeps data stays.
func testDelete(t *testing.T, s *suite) {
	s.mustApply(t, s.deletes()) // nothing is there yet
	s.mustApply(t, s.creates())
	var kept []planner.Object
	for _, x := range slices.Backward(s.Samples) {
		if !x.Keeps {
			continue
		}
		kept = append(kept, x.Create)
		c := change(0, planner.Delete, x.Create, nil)
		if err := s.apply(t, []planner.Change{c})[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("delete of %s, which holds data: %v, want it refused", c.Ref(), err)
		}
	}
	s.want(t, s.created())
	s.mustApply(t, s.deletes())
	s.want(t, kept)
	s.mustApply(t, s.deletes())
	s.want(t, kept)
}

// A kind that isn't its own is refused, and said to be.
func testOtherKinds(t *testing.T, s *suite) {
	for _, o := range strangers {
		if slices.Contains(s.Kinds, o.Ref().Kind) {
			continue
		}
		err := s.apply(t, []planner.Change{change(0, planner.Create, nil, o)})[0]
		if executors.KindOf(err) != executors.Refused {
			t.Errorf("create %s: %v, want it refused", o.Ref(), err)
		}
	}
	s.want(t, nil)
}

// strangers are objects of kinds that few executors share.
var strangers = []planner.Object{
	planner.Network{Meta: planner.Meta{Target: "t", Name: "stranger"}, Subnet: "192.0.2.0/24"},
	planner.Vhost{Meta: planner.Meta{Target: "t", Name: "acme.stranger"}, Tenant: "acme", Site: "stranger", Hostnames: []string{"stranger.example"}, Type: "static"},
	planner.RRset{Meta: planner.Meta{Target: "t", Name: "stranger.example/www.stranger.example/A"}, Zone: "stranger.example", FQDN: "www.stranger.example", Type: "A", TTL: 300, Values: []string{"192.0.2.1"}},
	planner.Route{Meta: planner.Meta{Target: "t", Name: "stranger.example"}, Backend: "web-1"},
}

// With a context that is done nothing starts, and every change says that it was not tried.
func testDoneContext(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, b := range batches(s.creates()) {
		errs := s.e.Apply(ctx, b)
		if len(errs) != len(b) {
			t.Fatalf("Apply of %d changes returned %d errors", len(b), len(errs))
		}
		for i, err := range errs {
			if executors.KindOf(err) != executors.Canceled {
				t.Errorf("%s with a done context: %v (%s), want it canceled", b[i].Ref(), err, executors.KindOf(err))
			}
		}
	}
	s.want(t, nil)
}

// What one deletes another takes in the same batch: deletes first.
func testSwap(t *testing.T, s *suite) {
	if s.Swap == nil {
		return
	}
	s.mustApply(t, s.creates())
	first, second := s.Swap[0], s.Swap[1]
	s.mustApply(t, []planner.Change{change(0, planner.Create, nil, first)})
	errs := s.apply(t, []planner.Change{change(0, planner.Delete, first, nil), change(1, planner.Create, nil, second)})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.want(t, append(s.created(), second))
}

// What was spoiled behind the executor's back is seen, and the same creates repair it.
func testDamage(t *testing.T, s *suite, damage func(*testing.T, executors.Executor)) {
	s.mustApply(t, s.creates())
	damage(t, s.e)
	deadline := time.Now().Add(s.Wait)
	for len(s.differences(t, s.created())) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the damage isn't observed")
		}
	}
	s.mustApply(t, s.creates())
	s.want(t, s.created())
}
