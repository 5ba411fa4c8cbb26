package planner_test

import (
	"errors"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// TestTheLastCluster: a repository that declares nothing is refused, until the cluster is named that goes. What is left
// then is kept for its data, and stops no plan.
func TestTheLastCluster(t *testing.T) {
	w := firstWish()
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	empty := schema.Manifest{Commit: "2", Platform: w.manifest(2).Platform}
	allowing := func(what ...string) planner.Policy {
		p := agent
		p.AllowDestroy = what
		return p
	}
	var refused *planner.RefusedError
	for _, what := range [][]string{nil, {"Tenant/*"}, {"Cluster/another"}, {"Host/*", "Shard/*"}} {
		_, err := planner.New(empty, live, allowing(what...))
		if !errors.As(err, &refused) || len(refused.Refusals) != 1 || refused.Refusals[0].Allow != "Cluster/eu-1" {
			t.Errorf("allowed %v: %v; want it refused, with Cluster/eu-1 as the way out", what, err)
		}
	}
	if _, err := planner.New(empty, live, allowing("Cluster/eu-1")); !errors.As(err, &refused) || len(refused.Refusals) < 3 {
		t.Errorf("the cluster alone is allowed: %v; want the tenants, shards and hosts refused by name", err)
	}
	p, err := planner.New(empty, live, allowing("Cluster/eu-1", "Tenant/*", "Shard/*", "Host/*", "Zone/*", "*/Zone/*"))
	if err != nil {
		t.Fatal(err)
	}
	carry(&live, p)
	live.Targets, live.Memory.Allowed = p.Targets, p.Remember.Allowed
	for _, c := range p.Changes {
		for ref, o := range live.State { // as the inventory notes it
			if c.Ref().Kind == planner.KindContainer && planner.InContainer(c.Ref().Name, o) {
				delete(live.State, ref)
			}
		}
	}
	for ref := range live.State {
		if ref.Kind != planner.KindVolume && ref.Kind != planner.KindWebroot {
			t.Errorf("%s is left", ref)
		}
	}
	if p, err := planner.New(empty, live, agent); err != nil || !p.Empty() {
		t.Errorf("the plan after it: %v\n%s", err, describe(p))
	}
}
