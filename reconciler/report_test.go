package reconciler_test

import (
	"context"
	"testing"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/planner"
	"hostctl/reconciler"
)

// reading is an agent that looks at what is there before it touches it.
type reading struct{ sighted }

// Present implements executors.Reader.
func (r reading) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	return r.f.Present(ctx, refs)
}

// checkedWorld is a world whose nodes refuse to change what isn't as it was planned.
func checkedWorld(t testing.TB) *world {
	w := newWorld(t)
	w.rec.Connect = func(t planner.Target, s reconciler.Session) (executors.Executor, error) {
		far, err := w.far.connect(t, s)
		if n, ok := far.(node); ok {
			return checked.New(reading{sighted{n, nil}}), err
		}
		return far, err
	}
	return w
}

// What is only to be reported isn't overwritten by the plan after the one whose change was refused for it: not before
// somebody asks for it, or the drift is over.
func TestReportedDriftIsNotOverwritten(t *testing.T) {
	t.Parallel()
	for policy, kept := range map[string]bool{"report": true, "off": true, "correct": false} {
		w := checkedWorld(t)
		tree := with(t, minimal(t), "  nameservers:", "  driftPolicy: {kinds: {rrset: "+`"`+policy+`"`+"}}\n  nameservers:")
		w.applied(tree)
		set := w.ref(planner.KindRRset, "/www.acme.test/A")
		was := w.far.State()[set]
		w.vary(set)
		somebodys := planner.HashOf(w.far.State()[set])
		id := w.push(with(t, tree, "192.0.2.10", "192.0.2.11"))
		if err := w.apply(id); executors.KindOf(err) == "" {
			t.Fatalf("%s: the first plan overwrote what had drifted", policy)
		}
		if err := w.apply(id); (err != nil) != kept {
			t.Errorf("%s: the second plan: %v", policy, err)
		}
		if there := planner.HashOf(w.far.State()[set]) == somebodys; there != kept {
			t.Errorf("%s: what somebody made is there: %v, want %v", policy, there, kept)
		}
		if !kept {
			w.wantTrue(id)
			continue
		}
		if policy == "report" {
			wantFound(t, w.observe(), set.String()+" differs report")
		}
		// A commit that takes its change back has nothing to do.
		id = w.push(tree)
		w.must(w.apply(id))
		if planner.HashOf(w.far.State()[set]) != somebodys {
			t.Errorf("%s: a commit that doesn't change it has overwritten it", policy)
		}
		if policy == "off" {
			w.far.Put(was)
			id = w.push(with(t, tree, "192.0.2.10", "192.0.2.12"))
		} else {
			_, err := reconciler.Touch(t.Context(), w.store, set.String())
			w.must(err)
		}
		w.must(w.apply(id))
		w.wantTrue(id)
	}
}
