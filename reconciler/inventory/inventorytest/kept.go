package inventorytest

import (
	"slices"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// What a plan remembers is what the next is held against once it was carried out well. What it protects is protected
// as soon as it has begun; what was allowed is allowed until then.
func testMemory(f *fixture) {
	want := planner.Memory{Protected: []string{"-/Shard/web-1"}, Allowed: []string{"Host/host-2"}, Guardrails: &schema.Guardrails{MaxDeletePercent: 5, From: 2, MaxDataDeletes: 1}}
	p := f.plan(Create(Route("a.example", "web-1")))
	p.Remember = want
	f.run(p, reconciler.Succeeded)
	if got := f.live().Memory; !slices.Equal(got.Protected, want.Protected) || got.Guardrails == nil || *got.Guardrails != *want.Guardrails {
		f.Errorf("remembered %+v, want %+v", got, want)
	}
	next := f.plan(Create(Route("b.example", "web-1")))
	next.Remember = planner.Memory{Protected: []string{"acme/Webroot/shop"}, Allowed: []string{"Tenant/acme"}}
	f.run(next, reconciler.Failed)
	got := f.open()
	live, err := got.Live(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	both := []string{"-/Shard/web-1", "acme/Webroot/shop"}
	if m := live.Memory; !slices.Equal(m.Protected, both) || m.Guardrails == nil || *m.Guardrails != *want.Guardrails {
		f.Errorf("after a run that failed it remembers %+v, want %v and the guardrails of before", m, both)
	}
	if want := []string{"Host/host-2", "Tenant/acme"}; !slices.Equal(live.Memory.Allowed, want) {
		f.Errorf("after a run that failed it allows %q, want %q", live.Memory.Allowed, want)
	}
	f.run(f.plan(), reconciler.Succeeded)
	if m := f.live().Memory; m.Allowed != nil || m.Protected != nil {
		f.Errorf("after a run that needs and protects nothing it remembers %+v", m)
	}
}

// run carries a plan out, or nothing of it where it is to end otherwise than well.
func (f *fixture) run(p planner.Plan, outcome reconciler.RunState) {
	f.Helper()
	j := f.begin(p)
	if outcome == reconciler.Succeeded && len(p.Changes) > 0 {
		f.started(j, p.Changes...)
		f.finished(j, p.Changes...)
	}
	f.end(j, outcome)
}

// Since when an object is kept doesn't change when it is touched; when its time is over it is due, and what is declared
// again is neither kept nor due.
func testKept(f *fixture) {
	root := planner.Webroot{Meta: meta("web-1", "acme.shop"), Tenant: "acme", Site: "shop"}
	volume := planner.Volume{Meta: meta("host-1", "web-1-files"), Data: true}
	f.apply(Create(root), Create(volume))
	if kept := f.kept(); len(kept) > 0 {
		f.Fatalf("kept: %v", kept)
	}
	keptRoot, keptVolume := root, volume
	keptRoot.Kept, keptVolume.Kept = true, true
	f.apply(Update(root, keptRoot), Update(volume, keptVolume))
	first := f.kept()
	if len(first) != 2 || first[1].Ref != root.Ref() || first[0].Until.Sub(first[0].Since) != schema.DefaultKeep || first[1].Until.Sub(first[1].Since) != schema.DefaultKeep {
		f.Fatalf("kept: %+v", first)
	}
	f.apply(Update(keptRoot, keptRoot))
	if again := f.kept(); !slices.Equal(again, first) {
		f.Errorf("touched, and kept %+v, before %+v", again, first)
	}
	if due := f.live().Due; len(due) > 0 {
		f.Errorf("due at once: %v", due)
	}
	p := f.plan()
	p.Remember = planner.Memory{Keep: map[schema.Kind]time.Duration{schema.KindWebroot: time.Nanosecond}}
	f.run(p, reconciler.Succeeded)
	if due := f.live().Due; !slices.Equal(due, []planner.Ref{volume.Ref(), root.Ref()}) {
		f.Errorf("due: %v, want the volume and the webroot", due)
	}
	f.apply(Update(keptRoot, root), Update(keptVolume, volume))
	if kept, due := f.kept(), f.live().Due; len(kept)+len(due) > 0 {
		f.Errorf("declared again, and still kept: %v, due: %v", kept, due)
	}
	f.apply(Update(root, keptRoot), Update(volume, keptVolume))
	f.storedGoesWithVolume(keptRoot, keptVolume)
}

// storedGoesWithVolume deletes a volume: what is stored on it is gone as soon as that has begun, and not recorded any more when
// it is done, nor since when it was kept.
func (f *fixture) storedGoesWithVolume(stored planner.Webroot, volume planner.Volume) {
	f.Helper()
	other := planner.Webroot{Meta: meta("web-2", "acme.shop"), Tenant: "acme", Site: "shop", Kept: true}
	f.apply(Create(other))
	p := f.plan(Delete(volume))
	j := f.begin(p)
	f.started(j, p.Changes...)
	if l := f.live(); !l.Dirty[stored.Ref()].Gone || l.Dirty[other.Ref()].Gone {
		f.Errorf("while the volume is deleted, dirty: %v", l.Dirty)
	}
	f.finished(j, p.Changes...)
	f.end(j, reconciler.Succeeded)
	if l := f.live(); l.State[stored.Ref()] != nil || l.State[volume.Ref()] != nil || l.State[other.Ref()] == nil || len(l.Dirty) > 0 {
		f.Errorf("after the volume was deleted there is %v, dirty %v", l.State, l.Dirty)
	}
	if kept := f.kept(); len(kept) != 1 || kept[0].Ref != other.Ref() {
		f.Errorf("after the volume was deleted, kept: %v", kept)
	}
}

func (f *fixture) kept() []reconciler.Kept {
	f.Helper()
	k, ok := f.inv.(reconciler.Keeper)
	if !ok {
		f.Fatal("it can't tell what is kept: it must be a reconciler.Keeper")
	}
	kept, err := k.Kept(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return kept
}
