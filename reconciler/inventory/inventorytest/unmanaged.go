package inventorytest

import (
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// stray is an RRset that was found in a zone, and that nobody declares.
func stray(target, value string) planner.RRset {
	return planner.RRset{
		Meta: planner.Meta{Target: target, Name: "acme.test/x.acme.test/A", From: planner.Owner{Tenant: "acme", Kind: "Zone", Name: "acme", File: "tenants/acme/zone.yaml", Line: 1}},
		Zone: "acme.test", FQDN: "x.acme.test", Type: "A", TTL: 60, Values: []string{value},
	}
}

func (f *fixture) unmanaged(want bool, targets []string, found ...planner.RRset) {
	f.Helper()
	if changed, err := f.inv.SetUnmanaged(f.Context(), targets, found); err != nil || changed != want {
		f.Fatalf("SetUnmanaged(%v, %v) = %v, %v; want %v", targets, found, changed, err, want)
	}
}

// What nobody declares is live as it was found, until it isn't found any more, or is deleted; what is declared isn't touched.
func testUnmanaged(f *fixture) {
	both := []string{"eu-1-dns", "eu-2-dns"}
	a, a2, b := stray("eu-1-dns", "192.0.2.1"), stray("eu-1-dns", "192.0.2.2"), stray("eu-2-dns", "192.0.2.1")
	declared := stray("eu-1-dns", "192.0.2.3")
	declared.Name, declared.From = "acme.test/y.acme.test/A", planner.Owner{Tenant: "acme", Kind: "ZoneRecord", Name: "y"}
	f.apply(Create(declared))
	changed := declared
	changed.Values = []string{"192.0.2.66"}

	f.unmanaged(true, both, a, b)
	f.unmanaged(false, both, a, b)
	f.unmanaged(false, both, a, b, changed)
	f.wantLive(stateOf(a, b, declared), nil)
	f.unmanaged(true, both, a2, b)
	f.wantLive(stateOf(a2, b, declared), nil)
	f.unmanaged(true, both[:1])
	f.wantLive(stateOf(b, declared), nil) // of eu-2-dns nothing was said
	f.unmanaged(false, nil)

	p := f.plan(Delete(b))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.unmanaged(false, both) // the run will tell
	f.must(j.Finished(f.Context(), p.Changes, executors.All(1, executors.Errorf(executors.Busy, "no"))))
	f.end(j, reconciler.Failed)
	f.wantLive(stateOf(b, declared), map[planner.Ref]planner.Reason{b.Ref(): {}})
	f.apply(Delete(b))
	f.wantLive(stateOf(declared), nil)

	f.unmanaged(true, both, b)
	f.gone(1, b)
	f.unmanaged(true, both, b)
	f.wantLive(stateOf(b, declared), nil)
	f.unmanaged(true, both)
	f.wantLive(stateOf(declared), nil)
}
