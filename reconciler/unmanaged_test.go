package reconciler_test

import (
	"context"
	"testing"

	"hostctl/planner"
	"hostctl/reconciler"
)

// put puts an RRset into acme.test behind everyone's back.
func (w *world) put(name, rrtype string) planner.Ref {
	o := planner.RRset{
		Meta: planner.Meta{Target: w.ref(planner.KindRRset, "/www.acme.test/A").Target, Name: "acme.test/" + name + "/" + rrtype},
		Zone: "acme.test", FQDN: name, Type: rrtype, TTL: 60, Values: []string{"203.0.113.66"},
	}
	w.far.Put(o)
	return o.Ref()
}

// What nobody declares goes with the next plan where its zone says so, and stays otherwise: also what was to go already
// when the zone changed its mind, and types that nobody can declare.
func TestUnmanagedRecords(t *testing.T) {
	w := sightedWorld(t, nil)
	ctx := context.Background()
	reports := minimal(t)
	deletes := with(t, reports, "domain: acme.test", "domain: acme.test\n  unmanagedRecords: delete")
	id := w.applied(deletes)
	stray, lua := w.put("stray.acme.test", "A"), w.put("lua.acme.test", "LUA")
	d := w.observe()
	wantFound(t, d, lua.String()+" orphan report", stray.String()+" orphan correct")
	if !w.rec.Correct(ctx, &d) {
		t.Fatal("nothing is planned")
	}
	p := w.plan(id)
	if len(p.Changes) != 1 || p.Changes[0].Ref() != stray || p.Changes[0].Action != planner.Delete || p.Changes[0].Force {
		t.Fatalf("the plan isn't to delete %s, as it was found, alone:\n%s", stray, text(p))
	}
	d = w.observe()
	wantFound(t, d, lua.String()+" orphan report", stray.String()+" orphan correct")
	if w.rec.Correct(ctx, &d) {
		t.Error("it is planned twice")
	}

	id = w.push(reports) // another mind, before anything was done
	if p := w.plan(id); !p.Empty() {
		t.Fatalf("it goes though the zone only reports:\n%s", text(p))
	}
	w.must(w.apply(id))
	d = w.observe()
	wantFound(t, d, lua.String()+" orphan report", stray.String()+" orphan report")
	w.rec.Correct(ctx, &d)
	if w.live().State[stray] != nil {
		t.Error("what may stay is still among what is live")
	}

	id = w.applied(deletes)
	d = w.observe()
	w.rec.Correct(ctx, &d)
	w.must(w.apply(id))
	if far := w.far.State(); far[stray] != nil || far[lua] == nil {
		t.Errorf("after the run %v, %v", far[stray], far[lua])
	}
	wantFound(t, w.observe(), lua.String()+" orphan report")
	w.applied(with(t, reports, "domain: acme.test", "domain: acme.test\n  unmanagedRecords: ignore"))
	wantFound(t, w.observe())
}

// Somebody who puts a record back each time isn't fought for ever.
func TestUnmanagedRecordIsFoughtOver(t *testing.T) {
	w := sightedWorld(t, nil)
	id := w.applied(with(t, minimal(t), "domain: acme.test", "domain: acme.test\n  unmanagedRecords: delete"))
	var stray planner.Ref
	for range reconciler.FightFlips {
		stray = w.put("stray.acme.test", "A")
		d := w.observe()
		w.rec.Correct(context.Background(), &d)
		w.must(w.apply(id))
		if w.far.State()[stray] != nil {
			t.Fatal("it wasn't deleted")
		}
	}
	w.put("stray.acme.test", "A")
	for range 2 {
		d := w.observe()
		if w.rec.Correct(context.Background(), &d) {
			t.Error("it is still fought over")
		}
		wantFound(t, d, stray.String()+" orphan correct fighting")
	}
}
