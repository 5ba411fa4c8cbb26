package wire

import (
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// A host that is lost is asked nothing: what was there is forgotten, and nothing is made.
func TestLostHostIsForgotten(t *testing.T) {
	far, err := (&farSides{}).connect(planner.Target{Name: "host-2", Lost: true}, reconciler.Session{Fence: 7})
	if err != nil {
		t.Fatal(err)
	}
	v := planner.Volume{Meta: planner.Meta{Target: "host-2", Name: "web-2-0"}}
	errs := far.Apply(t.Context(), []planner.Change{{Action: planner.Delete, Old: v}, {Action: planner.Create, New: v}})
	if errs[0] != nil || executors.KindOf(errs[1]) != executors.Refused {
		t.Errorf("%v", errs)
	}
}
