package reconciler_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// notes is a reconciler.Unchanged in memory.
type notes map[string][]byte

func (n notes) Get(key string) []byte { return n[key] }

func (n notes) Put(key string, plan []byte) { n[key] = plan }

// locked is a tree that can't be read.
type locked struct{}

var errLocked = errors.New("the tree was to stay closed")

func (locked) Walk(func(string, schema.BlobID, fs.FileMode) error) error { return errLocked }

func (locked) Read(schema.BlobID) ([]byte, error) { return nil, errLocked }

// TestUnchanged: a commit with nothing to do is known without reading it, and the plan is the same; as soon as anything
// else is to be planned, everything is looked at.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.applied(minimal(t))
	known := notes{}
	w.rec.Unchanged = known
	want := w.plan(first)
	if !want.Empty() || len(known) != 1 {
		t.Fatalf("%d changes, %d notes", len(want.Changes), len(known))
	}
	planTree := func(commit string) (planner.Plan, error) { return w.rec.PlanTree(t.Context(), locked{}, commit) }
	got, err := planTree(first)
	w.must(err)
	if a, b := encodedPlan(t, got), encodedPlan(t, want); !bytes.Equal(a, b) {
		t.Errorf("from memory:\n%s\nplanned:\n%s", a, b)
	}
	for what, change := range map[string]func(){
		"another commit": func() { first = w.push(minimal(t)) },
		"no commit":      func() { first = "" },
		"another agent":  func() { w.rec.Policy.AgentBinary = "b" + w.rec.Policy.AgentBinary[1:] },
		"an allowance":   func() { w.rec.Policy.AllowDestroy = []string{"Tenant/acme"} },
		"a node is down": func() { _, err := w.store.SetDown(t.Context(), map[string]string{"web-1-0": "gone"}); w.must(err) },
		"a damaged note": func() {
			for key := range known {
				known[key] = known[key][1:]
			}
		},
		"another plan's note": func() {
			other := want
			other.Base += "0"
			for key := range known {
				known[key] = encodedPlan(t, other)
			}
		},
	} {
		commit, policy := first, w.rec.Policy
		change()
		if _, err := planTree(first); !errors.Is(err, errLocked) {
			t.Errorf("%s: the tree wasn't read: %v", what, err)
		}
		first, w.rec.Policy = commit, policy
		_, err := w.store.SetDown(t.Context(), nil)
		w.must(err)
		clear(known)
		w.plan(first)
		if len(known) != 1 {
			t.Fatalf("%s: %d notes after it", what, len(known))
		}
	}
	if changed := w.plan(w.push(with(t, minimal(t), "nodeCount: 1", "nodeCount: 2"))); changed.Empty() || len(known) != 1 {
		t.Errorf("%d changes, and %d notes of commits with nothing to do, want one", len(changed.Changes), len(known))
	}
}

func encodedPlan(t *testing.T, p planner.Plan) []byte {
	t.Helper()
	b, err := planner.EncodePlan(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
