package planner_test

import (
	"maps"
	"strings"
	"testing"

	"hostctl/planner"
)

// TestKeptVolumeRemovedByHand: a shard's files outlive the shard, until somebody removes the volume; then it isn't made
// again, and nothing speaks of it any more.
func TestKeptVolumeRemovedByHand(t *testing.T) {
	w := firstWish()
	m := w.manifest(1)
	second := m.Shards[0]
	second.Name = "web-9"
	m.Shards = append(m.Shards, second)
	live := applied(mustPlan(t, m, planner.Live{}))
	p := mustPlan(t, w.manifest(2), live)
	carry(&live, p)
	var files planner.Ref
	for ref, o := range live.State {
		if v, ok := o.(planner.Volume); ok && v.Name == "web-9-files" && v.Kept {
			files = ref
		}
	}
	if files.Name == "" {
		t.Fatalf("the files aren't kept:\n%s", describe(p))
	}
	if p := mustPlan(t, w.manifest(3), live); !p.Empty() {
		t.Errorf("as long as they are there nothing is to be done:\n%s", describe(p))
	}
	live.Dirty = map[planner.Ref]planner.Reason{files: {Gone: true, Text: "not on the host any more"}}
	p = mustPlan(t, w.manifest(3), live)
	if len(p.Changes) != 1 || p.Changes[0].Action != planner.Delete || p.Changes[0].Ref() != files {
		t.Fatalf("removed by hand, want it deleted from the record:\n%s", describe(p))
	}
	live.Dirty = nil
	due := live
	due.Due = []planner.Ref{files}
	if p := mustPlan(t, w.manifest(3), due); len(p.Changes) != 1 || p.Changes[0].Action != planner.Delete || p.Changes[0].Ref() != files || len(p.Notes) != 1 {
		t.Errorf("when its time is over it goes, and the plan says so:\n%s%q", describe(p), p.Notes)
	}
	// What is kept on it, and longer, is waited for; then it goes with it, without a change of its own.
	webroot := planner.Webroot{Meta: planner.Meta{Target: "web-9", Name: "acme.old", From: planner.Owner{Tenant: "acme", Kind: "Webroot", Name: "old"}}, Tenant: "acme", Site: "old", UID: 20000, Kept: true}
	due.State = maps.Clone(live.State)
	due.State[webroot.Ref()] = webroot
	if p := mustPlan(t, w.manifest(3), due); !p.Empty() {
		t.Errorf("a webroot on it is kept longer:\n%s", describe(p))
	}
	due.Due = append(due.Due, webroot.Ref())
	if p := mustPlan(t, w.manifest(3), due); len(p.Changes) != 1 || p.Changes[0].Ref() != files || !strings.Contains(p.Notes[0], "1 webroots") {
		t.Errorf("when both are due:\n%s%q", describe(p), p.Notes)
	}
	carry(&live, p)
	if p := mustPlan(t, w.manifest(4), live); !p.Empty() {
		t.Errorf("and then:\n%s", describe(p))
	}
	// A volume that is in use is made again.
	inUse := planner.Ref{Kind: planner.KindVolume, Target: "host-1", Name: m.Shards[0].Name + "-files"}
	if live.State[inUse] == nil {
		inUse.Target = "host-2"
	}
	live.Dirty = map[planner.Ref]planner.Reason{inUse: {Gone: true}}
	found := false
	for _, c := range mustPlan(t, w.manifest(4), live).Changes {
		found = found || c.Ref() == inUse && c.Action == planner.Create
	}
	if !found {
		t.Errorf("%s isn't made again", inUse)
	}
}
