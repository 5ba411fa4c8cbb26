package reconciler_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// observing is a node that tells what it holds.
type observing struct{ node }

// Observe implements executors.Observer.
func (n observing) Observe(ctx context.Context) ([]planner.Object, error) {
	all, err := n.f.Observe(ctx)
	return slices.DeleteFunc(all, func(o planner.Object) bool { return o.Ref().Target != n.name }), errors.Join(n.answers(), err)
}

// A rebuilt inventory knows which generated secrets there are, and of which generation. Their values are lost, and are made
// anew only where somebody asks for it: the next plan changes nothing, and says so.
func TestRebuildKeepsGenerations(t *testing.T) {
	w := newWorld(t)
	tree := minimal(t)
	tree["tenants/acme/secrets.yaml"] = `apiVersion: hosting/v1
kind: Webroot
metadata: {name: secrets}
spec:
  runtime: {type: php, version: "8.4"}
  env:
    FIRST: {generate: true, name: first}
    THIRD: {generate: true, name: third}
`
	tree["platform/region.yaml"] = strings.Replace(tree["platform/region.yaml"], "- type: static", "- type: static\n    - {type: php, versions: [\"8.4\"]}", 1)
	for generation, name := range []string{"third", "third", "third", "first"} {
		_, err := w.store.KeepSecret(t.Context(), reconciler.GeneratedSecret{Tenant: "acme", Name: name, Generation: generation%3 + 1, Sealed: "sealed"})
		w.must(err)
	}
	commit := w.applied(tree)
	instance := w.live().Instance
	w.must(w.store.Close())

	w.open(filepath.Join(t.TempDir(), "inventory.db"))
	w.must(w.store.Adopt(t.Context(), instance, 0))
	connect := w.rec.Connect
	w.rec.Connect = func(target planner.Target, s reconciler.Session) (executors.Executor, error) {
		far, err := connect(target, s)
		if n, ok := far.(node); ok {
			far = observing{n}
		}
		return far, err
	}
	out, err := w.rec.Rebuild(t.Context(), tree, commit)
	w.must(err)
	first, third := planner.Generated{Tenant: "acme", Name: "first"}, planner.Generated{Tenant: "acme", Name: "third"}
	if !slices.Equal(out.Lost, []planner.Generated{first, third}) {
		t.Errorf("lost: %v", out.Lost)
	}
	for g, generation := range map[planner.Generated]int{first: 1, third: 3} {
		if kept, err := w.store.Secret(t.Context(), g.Tenant, g.Name, 0); err != nil || kept.Generation != generation || kept.Sealed != "" {
			t.Errorf("%s: %+v, %v", g, kept, err)
		}
	}
	p := w.plan(commit)
	for _, c := range p.Changes {
		if c.Ref().Kind == planner.KindSecret {
			t.Errorf("%s %s", c.Action, c.Ref())
		}
	}
	for _, g := range out.Lost {
		if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "secret rotate --generated "+g.String()) }) {
			t.Errorf("the plan doesn't tell that %s is lost: %q", g, p.Notes)
		}
	}
}
