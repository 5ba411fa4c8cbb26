package planner_test

import (
	"maps"
	"testing"

	"golang.org/x/tools/txtar"

	"hostctl/planner"
	"hostctl/schema"
)

// A database that was kept is dropped when its time is over, and is itself again when it is declared before.
func TestKeptDatabase(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/database.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tree := schema.MapTree{}
	for _, f := range ar.Files {
		if name := f.Name; len(name) > 5 && name[:5] == "want/" {
			tree[name[5:]] = string(f.Data)
		}
	}
	plan := func(live planner.Live) planner.Plan {
		t.Helper()
		live.Images = images
		p, err := planner.New(load(t, tree), live, agent)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	only := func(p planner.Plan, ref string) planner.Change {
		t.Helper()
		for _, c := range p.Changes {
			if c.Ref().String() == ref {
				return c
			}
		}
		t.Fatalf("the plan doesn't touch %s: %v", ref, p.Changes)
		return planner.Change{}
	}
	const ref = "database/db-1/acme.shop"
	carried := func(from planner.Live, p planner.Plan) planner.Live {
		live := planner.Live{State: maps.Clone(from.State), Allocations: append(from.Allocations, p.Allocations...), Targets: p.Targets}
		for _, c := range p.Changes {
			if live.State[c.Ref()] = c.New; c.New == nil {
				delete(live.State, c.Ref())
			}
		}
		return live
	}
	there := carried(planner.Live{State: planner.State{}}, plan(planner.Live{}))
	declared := tree["tenants/acme/shop.yaml"]
	delete(tree, "tenants/acme/shop.yaml")
	away := plan(there)
	if kept, ok := only(away, ref).New.(planner.Database); !ok || !kept.Kept || !planner.Purgeable(kept) {
		t.Errorf("the database that went becomes %v", only(away, ref).New)
	}
	live := carried(there, away)
	due := live
	due.Due = []planner.Ref{{Kind: planner.KindDatabase, Target: "db-1", Name: "acme.shop"}}
	if c := only(plan(due), ref); c.Action != planner.Delete {
		t.Errorf("when its time is over: %v", c.Action)
	}
	if p := plan(live); len(p.Changes) > 0 {
		t.Errorf("until then: %v", p.Changes)
	}
	tree["tenants/acme/shop.yaml"] = declared
	back := only(plan(live), ref)
	if db, ok := back.New.(planner.Database); !ok || back.Action != planner.Update || db.Kept {
		t.Errorf("declared again: %v %v", back.Action, back.New)
	}
}
