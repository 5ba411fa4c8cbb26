package planner_test

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"hostctl/planner"
	"hostctl/schema"
)

// A Valkey instance that was kept is dropped when its time is over, and is itself again, on its port, when it is declared before.
// Nobody else has the port meanwhile, and it is free once the instance is gone.
func TestKeptValkey(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/valkey.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tree := schema.MapTree{}
	for _, f := range ar.Files {
		if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
			tree[name] = string(f.Data)
		}
	}
	live := planner.Live{State: planner.State{}}
	carry := func() planner.Plan {
		t.Helper()
		live.Images = images
		p, err := planner.New(load(t, tree), live, agent)
		if err != nil {
			t.Fatal(err)
		}
		live = live.After(p)
		return p
	}
	ref := planner.Ref{Kind: planner.KindValkey, Target: "valkey-1", Name: "acme.cache"}
	at := func(r planner.Ref) planner.Valkey {
		v, _ := live.State[r].(planner.Valkey)
		return v
	}
	carry()
	first := at(ref)
	if got := planner.Endpoint(live.State, first); got != "10.77.0.10:6400" {
		t.Errorf("it is reached at %q", got)
	}
	if got := planner.Allocated(live.State); !strings.Contains(strings.Join(texts(got), " "), "valkey/valkey-1 acme.cache 6400") {
		t.Errorf("what is observed doesn't show its port: %v", got)
	}
	declared := tree["tenants/acme/cache.yaml"]
	delete(tree, "tenants/acme/cache.yaml")
	carry()
	if v := at(ref); !v.Kept || v.Port != first.Port || planner.Endpoint(live.State, v) != "" {
		t.Errorf("the one that went becomes %v", v)
	}
	tree["tenants/acme/other.yaml"] = "apiVersion: hosting/v1\nkind: ValkeyInstance\nmetadata: {name: other}\nspec: {maxMemory: 32Mi}\n"
	carry()
	other := planner.Ref{Kind: planner.KindValkey, Target: "valkey-1", Name: "acme.other"}
	if v := at(other); v.Port == first.Port || v.Port == 0 {
		t.Errorf("a new one has the port %d of one that is kept", v.Port)
	}
	if p := carry(); len(p.Changes) > 0 {
		t.Errorf("until its time is over: %v", p.Changes)
	}
	tree["tenants/acme/cache.yaml"] = declared
	carry()
	if v := at(ref); v.Kept || v.Port != first.Port {
		t.Errorf("declared again: %v", v)
	}
	delete(tree, "tenants/acme/cache.yaml")
	carry()
	live.Due, live.Down = []planner.Ref{ref}, map[string]string{"valkey-1-0": "no answer"}
	if p := carry(); live.State[ref] == nil || len(p.Released) > 0 {
		t.Errorf("it is there while its node doesn't answer, and its port is released: %v", p.Released)
	}
	live.Due, live.Down = []planner.Ref{ref}, nil
	carry()
	if _, there := live.State[ref]; there {
		t.Error("it is there when its time is over")
	}
	tree["tenants/acme/other.yaml"] = strings.Replace(tree["tenants/acme/other.yaml"], "other", "last", 1)
	carry()
	if v := at(planner.Ref{Kind: planner.KindValkey, Target: "valkey-1", Name: "acme.last"}); v.Port != first.Port {
		t.Errorf("the port of one that is gone isn't free: the next one has %d", v.Port)
	}
}

func texts(all []planner.Allocation) []string {
	var out []string
	for _, a := range all {
		out = append(out, a.Scope+" "+a.Key+" "+a.Value)
	}
	return out
}
