package inventorytest

import (
	"slices"

	"hostctl/planner"
	"hostctl/reconciler"
)

func routeOf(tenant, name string) planner.Object {
	m := meta("eu-1-lb-0", name)
	m.From.Tenant = tenant
	return planner.Route{Meta: m, Backend: "web-1"}
}

func testPages(f *fixture) {
	ctx := f.Context()
	a, b, c := routeOf("acme", "a.example"), routeOf("globex", "b.example"), routeOf("acme", "c.example")
	ours := planner.Container{Meta: planner.Meta{Target: "host-1", Name: "n", From: planner.Owner{Kind: "Shard", Name: "web-1"}}, Role: "web"}
	f.apply(Create(a), Create(b), Create(ours)) // run 1
	f.apply(Create(c))                          // run 2
	p := f.plan(Delete(b))
	j := f.begin(p)
	f.started(j, p.Changes[0])
	f.end(j, reconciler.Failed) // run 3: b is dirty

	all, acme, globex, nobody := reconciler.Whose{All: true}, reconciler.Whose{Tenant: "acme"}, reconciler.Whose{Tenant: "globex"}, reconciler.Whose{}
	objects := func(q reconciler.ObjectQuery) []string {
		f.Helper()
		got, err := f.inv.ObjectPage(ctx, q)
		f.must(err)
		refs := []string{}
		for _, o := range got {
			refs = append(refs, o.Ref.String())
		}
		return refs
	}
	want := func(what string, got, want []string) {
		f.Helper()
		if !slices.Equal(got, want) {
			f.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	refA, refB, refC, refN := a.Ref().String(), b.Ref().String(), c.Ref().String(), ours.Ref().String()
	want("all", objects(reconciler.ObjectQuery{Whose: all, Limit: 10}), []string{refN, refA, refB, refC})
	want("the first two", objects(reconciler.ObjectQuery{Whose: all, Limit: 2}), []string{refN, refA})
	want("those after", objects(reconciler.ObjectQuery{Whose: all, After: refA, Limit: 2}), []string{refB, refC})
	want("a kind", objects(reconciler.ObjectQuery{Whose: all, Kind: planner.KindContainer, Limit: 9}), []string{refN})
	want("what is dirty", objects(reconciler.ObjectQuery{Whose: all, Dirty: true, Limit: 9}), []string{refB})
	want("a tenant's", objects(reconciler.ObjectQuery{Whose: acme, Limit: 9}), []string{refA, refC})
	want("a tenant's, after", objects(reconciler.ObjectQuery{Whose: acme, After: refA, Kind: planner.KindRoute, Limit: 9}), []string{refC})
	want("a tenant's that is dirty", objects(reconciler.ObjectQuery{Whose: acme, Dirty: true, Limit: 9}), []string{})
	want("nobody's", objects(reconciler.ObjectQuery{Whose: nobody, Limit: 9}), []string{})

	named, err := f.inv.ObjectsNamed(ctx, []planner.Ref{c.Ref(), a.Ref(), {Kind: planner.KindRoute, Target: "none", Name: "none"}})
	f.must(err)
	if len(named) != 2 || named[0].Owner.Tenant != "acme" || named[0].Commit == "" {
		f.Errorf("by name: %+v", named)
	}
	for _, tt := range []struct {
		what          string
		whose         reconciler.Whose
		before        int64
		limit         int
		runs, changes []int64
	}{
		{"all", all, 0, 9, []int64{3, 2, 1}, []int64{1, 1, 3}},
		{"a page", all, 3, 1, []int64{2}, []int64{1}},
		{"acme's", acme, 0, 9, []int64{2, 1}, []int64{1, 1}},
		{"acme's second page", acme, 2, 9, []int64{1}, []int64{1}},
		{"globex's", globex, 0, 1, []int64{3}, []int64{1}},
		{"nobody's", nobody, 0, 9, nil, nil},
	} {
		runs, err := f.inv.RunPage(ctx, tt.whose, tt.before, tt.limit)
		f.must(err)
		var ids, changes []int64
		for _, r := range runs {
			ids, changes = append(ids, r.ID), append(changes, int64(r.Changes))
			if r.Done+r.Failed != r.Changes {
				f.Errorf("%s: of run %d %d of %d changes are done and %d failed", tt.what, r.ID, r.Done, r.Changes, r.Failed)
			}
		}
		if !slices.Equal(ids, tt.runs) || !slices.Equal(changes, tt.changes) {
			f.Errorf("%s: runs %v with %v changes, want %v with %v", tt.what, ids, changes, tt.runs, tt.changes)
		}
	}
	for _, tt := range []struct {
		whose reconciler.Whose
		after int
		want  []string
	}{
		{all, 0, []string{refA, refB}}, {all, 2, []string{refN}}, {acme, 0, []string{refA}}, {globex, 0, []string{refB}}, {nobody, 0, nil},
	} {
		cs, err := f.inv.ChangePage(ctx, tt.whose, 1, tt.after, 2)
		f.must(err)
		var refs []string
		for _, c := range cs {
			refs = append(refs, c.Ref.String())
		}
		want("changes", refs, tt.want)
	}
	whole, err := f.inv.Live(ctx)
	f.must(err)
	part, err := f.inv.LiveOf(ctx, planner.KindContainer)
	f.must(err)
	if len(part.State) != 1 || part.State[ours.Ref()] == nil || part.Commit != whole.Commit || part.Version != whole.Version || part.Instance != whole.Instance {
		f.Errorf("of containers alone there is %+v", part)
	}
	if part, err = f.inv.LiveOf(ctx); err != nil || len(part.State) > 0 {
		f.Errorf("of no kind there is %+v, %v", part.State, err)
	}
	for _, tt := range []struct {
		whose          reconciler.Whose
		objects, dirty int
	}{
		{all, 4, 1}, {acme, 2, 0}, {globex, 1, 1}, {nobody, 0, 0},
	} {
		n, dirty, err := f.inv.Count(ctx, tt.whose)
		f.must(err)
		if n != tt.objects || dirty != tt.dirty {
			f.Errorf("%+v has %d objects, %d of them dirty; want %d and %d", tt.whose, n, dirty, tt.objects, tt.dirty)
		}
	}
}
