package planner_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"hostctl/planner"
)

// What was carried out needs no plan any more: after each case of testdata that has a plan, the next one is empty and
// decides nothing anew (G2). With a node that can't be reached, that is so for what can be done without it.
func TestG02_NextPlanIsEmpty(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	planned := 0
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, live, policy := caseOf(t, ar)
			p, err := planner.New(m, live, policy)
			if err != nil {
				return // a case of what is refused
			}
			planned++
			next, err := planner.New(m, carriedOut(live, p), policy)
			if err != nil {
				t.Fatal(err)
			}
			if !next.Empty() || len(next.Allocations) > 0 || len(next.Released) > 0 {
				t.Errorf("after\n%sthe next plan is\n%s%v, %v", describe(p), describe(next), next.Allocations, next.Released)
			}
		})
	}
	if planned < 10 {
		t.Errorf("%d cases have a plan", planned)
	}
}

// carriedOut is what is live when all of a plan has been done.
func carriedOut(live planner.Live, p planner.Plan) planner.Live {
	live.State, live.Dirty, live.Due = maps.Clone(live.State), maps.Clone(live.Dirty), nil
	if live.State == nil {
		live.State = planner.State{}
	}
	w := world{real: planner.State{}, live: live}
	w.reserve(p)
	for _, c := range p.Changes {
		w.finished(c)
	}
	w.release(p)
	w.live.Targets, w.live.Memory = p.Targets, p.Remember
	return w.live
}
