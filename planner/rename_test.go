package planner_test

import (
	"slices"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// TestRename: a webroot that says what it was called keeps its folder and all that serves it, also when it no longer says
// so, and when it is renamed again; nobody else gets the folder.
func TestRename(t *testing.T) {
	w := firstWish()
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	rename := func(commit int, name, former string) schema.Manifest {
		m := w.manifest(commit)
		m.Webroots[0].Name, m.Webroots[0].FormerName, m.FQDNs[0].Webroot, m.CronJobs[0].Webroot = name, former, name, name
		return m
	}
	p := mustPlan(t, rename(2, "journal", "blog"), live)
	if len(p.Changes) != 1 || p.Changes[0].Action != planner.Update || p.Changes[0].Ref().Name != "acme.blog" {
		t.Fatalf("a rename changes more than who the folder belongs to:\n%s", describe(p))
	}
	carry(&live, p)
	for i, m := range []schema.Manifest{rename(3, "journal", "blog"), rename(4, "journal", "")} {
		if p := mustPlan(t, m, live); !p.Empty() || len(p.Released) > 0 {
			t.Errorf("plan %d after the rename isn't empty, or gives the folder back: %v\n%s", i+1, p.Released, describe(p))
		}
	}
	again := mustPlan(t, rename(5, "diary", "journal"), live)
	if len(again.Changes) != 1 || again.Changes[0].Ref().Name != "acme.blog" {
		t.Errorf("a second rename:\n%s", describe(again))
	}
	back := mustPlan(t, rename(6, "blog", "journal"), live)
	if len(back.Changes) != 1 || !slices.Contains(back.Released, planner.Allocation{Scope: "site", Key: "acme.journal", Value: "acme.blog"}) {
		t.Errorf("its old name again: %v\n%s", back.Released, describe(back))
	}
	taken := rename(7, "journal", "")
	other := taken.Webroots[0]
	other.Name = "blog"
	taken.Webroots = append(taken.Webroots, other)
	if _, err := planner.New(taken, live, agent); err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("another webroot gets the folder: %v", err)
	}
}

// TestRenameHint: a webroot that goes while an equal one comes is told of.
func TestRenameHint(t *testing.T) {
	w := firstWish()
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	m := w.manifest(2)
	m.Webroots[0].Name, m.FQDNs[0].Webroot = "journal", "journal"
	p := mustPlan(t, m, live)
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "metadata.formerName: blog") }) {
		t.Errorf("no hint: %q", p.Notes)
	}
	m.Webroots[0].DocumentRoot = "public"
	if p := mustPlan(t, m, live); slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "formerName") }) {
		t.Errorf("a hint where the content differs: %q", p.Notes)
	}
}

// carry makes a plan true that only creates and updates.
func carry(live *planner.Live, p planner.Plan) {
	for _, c := range p.Changes {
		live.State[c.Ref()] = c.New
		if c.New == nil {
			delete(live.State, c.Ref())
		}
	}
	live.Allocations = append(live.Allocations, p.Allocations...)
}
