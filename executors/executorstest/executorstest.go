// Package executorstest is what every executor must do, as one suite of tests that each of them passes: in process, and
// through an agent, against its true far side.
//
//	func TestExecutor(t *testing.T) {
//		executorstest.Test(t, executorstest.Harness{
//			New:     func(t *testing.T) executors.Executor { ... },
//			Kinds:   []planner.Kind{planner.KindZone, planner.KindRRset},
//			Samples: []executorstest.Sample{{Create: zone, Update: zone2}, {Create: www, Update: www2}},
//			Bad:     []planner.Object{refused},
//		})
//	}
package executorstest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/planner"
)

// Harness says how one executor is tested.
type Harness struct {
	// New returns an executor whose far side holds none of the samples. It is called once for each test; what it makes
	// must be gone after t's cleanup. The executor must be an executors.Observer and an executors.Reader too.
	New func(t *testing.T) executors.Executor

	// Kinds are all the kinds that the executor takes. Each must have a sample; every other kind must be refused.
	Kinds []planner.Kind

	// Samples stand in an order in which they can be made: each needs only what stands before it. Samples of one kind
	// and target that follow each other, and don't need each other, are one batch.
	Samples []Sample

	// Bad are objects that pass all checks before the far side and that the far side must refuse for their content, in a
	// batch with good ones. Each has an owner of its own (planner.Meta.From), that no sample has.
	Bad []planner.Object

	// Damage says, by name, how what the samples made can be spoiled behind the executor's back: a file removed, a
	// service stopped. Observe must show each, and applying the creates once more must repair it. It is called with the
	// executor that New returned.
	Damage map[string]func(t *testing.T, e executors.Executor)

	// Swap, where set, is two objects that can't both be there, such as two vhosts of one host name: the second is made
	// in the same batch as the first is deleted. They need nothing but samples, and their refs aren't those of samples.
	Swap *[2]planner.Object

	// Extra reports whether Observe may show an object that nobody applied. Nil means none.
	Extra func(planner.Ref) bool

	// Wait bounds one Apply or Observe; 0 means two minutes.
	Wait time.Duration
}

// Sample is one object with what it may become.
type Sample struct {
	Create planner.Object
	Update planner.Object // same ref, other content; nil where there is nothing to change in it
	// Replaces says that going from Create to Update is planned as a planner.Replace.
	Replaces bool
	// Keeps says that it holds data: its delete must be refused (executors.Refused), and it must still be there then.
	Keeps bool
}

// Test runs the suite.
func Test(t *testing.T, h Harness) {
	if h.Wait == 0 {
		h.Wait = 2 * time.Minute
	}
	for _, k := range h.Kinds {
		if !slices.ContainsFunc(h.Samples, func(s Sample) bool { return s.Create.Ref().Kind == k }) {
			t.Errorf("harness: no sample of kind %s", k)
		}
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"create", testCreate},
		{"partly done", testPartlyDone},
		{"interrupted", testInterrupted},
		{"update", testUpdate},
		{"create over other content", testCreateOver},
		{"delete", testDelete},
		{"refused", testRefused},
		{"other kinds", testOtherKinds},
		{"done context", testDoneContext},
		{"swap", testSwap},
		{"present", testPresent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newSuite(t, h)) })
	}
	ran, refused := 0, 0
	for _, name := range slices.Sorted(maps.Keys(h.Damage)) {
		t.Run("damage/"+name, func(t *testing.T) { testDamage(t, newSuite(t, h), h.Damage[name]) })
		t.Run("changed/"+name, func(t *testing.T) {
			refused += testChanged(t, newSuite(t, h), h.Damage[name])
			ran++
		})
	}
	if refused == 0 && ran > 0 && ran == len(h.Damage) && !t.Failed() {
		t.Error("no damage has kept a change from overwriting it")
	}
}

// suite is one test's executor, with the words that the tests are written in.
type suite struct {
	Harness
	e executors.Executor
}

func newSuite(t *testing.T, h Harness) *suite {
	t.Helper()
	e := h.New(t)
	if _, ok := e.(checked.Far); !ok {
		t.Fatalf("%T is not an executors.Observer and an executors.Reader", e)
	}
	return &suite{Harness: h, e: e}
}

// batches cuts changes into what is applied at once: changes of one kind and target that follow each other and don't
// need each other.
func batches(cs []planner.Change) [][]planner.Change {
	var out [][]planner.Change
	var last []planner.Change
	for _, c := range cs {
		if len(last) > 0 && !together(last, c) {
			out, last = append(out, last), nil
		}
		c.Stage = len(out)
		last = append(last, c)
	}
	if len(last) > 0 {
		out = append(out, last)
	}
	return out
}

func together(batch []planner.Change, c planner.Change) bool {
	first := batch[0].Ref()
	if first.Kind != c.Ref().Kind || first.Target != c.Ref().Target || batch[0].Action != c.Action {
		return false
	}
	return !slices.ContainsFunc(batch, func(b planner.Change) bool {
		return needs(c, b.Ref()) || needs(b, c.Ref())
	})
}

func needs(c planner.Change, r planner.Ref) bool {
	o := c.New
	if o == nil {
		o = c.Old
	}
	return slices.Contains(o.Needs(), r)
}

// change makes the change that leads from old to new.
func change(id int, action planner.Action, from, to planner.Object) planner.Change {
	return planner.Change{ID: id, Action: action, Old: from, New: to, Expect: planner.HashOf(from), Why: "conformance test"}
}

func (s *suite) creates() []planner.Change {
	var cs []planner.Change
	for i, x := range s.Samples {
		cs = append(cs, change(i, planner.Create, nil, x.Create))
	}
	return cs
}

func (s *suite) updates() []planner.Change {
	var cs []planner.Change
	for _, x := range s.Samples {
		switch {
		case x.Update == nil:
		case x.Replaces:
			cs = append(cs, change(len(cs), planner.Replace, x.Create, x.Update))
		default:
			cs = append(cs, change(len(cs), planner.Update, x.Create, x.Update))
		}
	}
	return cs
}

// deletes are those of all samples but the ones that keep data, the last one made first.
func (s *suite) deletes() []planner.Change {
	var cs []planner.Change
	for _, x := range slices.Backward(s.Samples) {
		if !x.Keeps {
			cs = append(cs, change(len(cs), planner.Delete, x.Create, nil))
		}
	}
	return cs
}

// created and updated are what Observe must show after creates and updates.
func (s *suite) created() []planner.Object {
	var os []planner.Object
	for _, x := range s.Samples {
		os = append(os, x.Create)
	}
	return os
}

func (s *suite) updated() []planner.Object {
	var os []planner.Object
	for _, x := range s.Samples {
		if x.Update != nil {
			os = append(os, x.Update)
		} else {
			os = append(os, x.Create)
		}
	}
	return os
}

// apply applies one batch and returns its errors.
func (s *suite) apply(t *testing.T, cs []planner.Change) []error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Wait)
	defer cancel()
	errs := s.e.Apply(ctx, cs)
	if len(errs) != len(cs) {
		t.Fatalf("Apply of %d changes returned %d errors", len(cs), len(errs))
	}
	return errs
}

// mustApply applies changes batch after batch, all of which must succeed.
func (s *suite) mustApply(t *testing.T, cs []planner.Change) {
	t.Helper()
	for _, b := range batches(cs) {
		for i, err := range s.apply(t, b) {
			if err != nil {
				t.Fatalf("%s %s: %s: %v", b[i].Action, b[i].Ref(), executors.KindOf(err), err)
			}
		}
	}
}

// observe returns what is there.
func (s *suite) observe(t *testing.T) planner.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Wait)
	defer cancel()
	objects, err := s.e.(executors.Observer).Observe(ctx)
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	state := planner.State{}
	for _, o := range objects {
		if _, twice := state[o.Ref()]; twice {
			t.Errorf("observed twice: %s", o.Ref())
		}
		state[o.Ref()] = o
	}
	return state
}

// differences reports how what is observed differs from want; nothing for not at all.
func (s *suite) differences(t *testing.T, want []planner.Object) []string {
	t.Helper()
	var diffs []string
	got := s.observe(t)
	for _, o := range want {
		g := got[o.Ref()]
		switch {
		case g == nil:
			diffs = append(diffs, "not there: "+o.Ref().String())
		case planner.HashOf(g) != planner.HashOf(o):
			diffs = append(diffs, "differs:\n want "+string(planner.Encode(o))+"\n got  "+string(planner.Encode(g)))
		}
		delete(got, o.Ref())
	}
	for r, o := range got {
		if s.Extra == nil || !s.Extra(r) {
			diffs = append(diffs, "there though nobody applied it: "+string(planner.Encode(o)))
		}
	}
	slices.Sort(diffs)
	return diffs
}

// want fails the test unless what is observed is exactly that.
func (s *suite) want(t *testing.T, objects []planner.Object) {
	t.Helper()
	for _, d := range s.differences(t, objects) {
		t.Error(d)
	}
	if t.Failed() {
		t.FailNow()
	}
}
