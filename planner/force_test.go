package planner_test

import (
	"testing"

	"hostctl/planner"
)

// Only what is dirty is overwritten whatever it is, and the saved plan says so.
func TestG05_OnlyWhatIsDirtyIsForced(t *testing.T) {
	first := firstWish()
	m := first.manifest(1)
	live := applied(mustPlan(t, m, planner.Live{}))
	live.Dirty = map[planner.Ref]planner.Reason{}
	for ref := range live.State {
		if ref.Kind == planner.KindVhost || ref.Kind == planner.KindRRset {
			live.Dirty[ref] = planner.Reason{Text: "changed since planned"}
		}
	}
	p := mustPlan(t, m, live)
	if len(p.Changes) != len(live.Dirty) || len(p.Changes) == 0 {
		t.Fatalf("%d changes, want one for each of %d dirty objects", len(p.Changes), len(live.Dirty))
	}
	for _, c := range p.Changes {
		if !c.Force {
			t.Errorf("%s %s isn't forced", c.Action, c.Ref())
		}
	}
	b, err := planner.EncodePlan(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := planner.DecodePlan(b)
	if err != nil || !again.Changes[0].Force {
		t.Errorf("decoded: %+v, %v", again.Changes[0], err)
	}
	with := p.Hash()
	p.Changes[0].Force = false
	if p.Hash() == with {
		t.Error("the hash doesn't cover Force")
	}
	live.Dirty = nil
	next := firstWish()
	next.zoneTTL = 600
	p = mustPlan(t, next.manifest(2), live)
	if p.Empty() {
		t.Error("nothing to do")
	}
	for _, c := range p.Changes {
		if c.Force {
			t.Errorf("%s %s is forced, and nothing is dirty", c.Action, c.Ref())
		}
	}
}
