package inventorytest

import (
	"github.com/google/go-cmp/cmp"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

func (f *fixture) gone(want int, os ...planner.Object) {
	f.Helper()
	var refs []planner.Ref
	for _, o := range os {
		refs = append(refs, o.Ref())
	}
	if n, err := f.inv.Gone(f.Context(), refs, "no longer there"); err != nil || n != want {
		f.Fatalf("Gone(%v) = %d, %v; want %d", refs, n, err, want)
	}
}

// A container that is gone takes with it what was in it, and only that.
func testGone(f *fixture) {
	lost := []planner.Object{container("web-1-0", "web"), user("web-1-0"), vhost()}
	kept := []planner.Object{
		container("web-1-1", "web"), user("web-1-1"), Route("a.example", "web-1"),
		planner.Volume{Meta: meta("host-1", "web-1-0")}, planner.Agent{Meta: meta("host-1", "web-1-0"), Binary: "1"},
		planner.Webroot{Meta: meta("web-1", "acme.shop"), Tenant: "acme", Site: "shop"},
	}
	var cs []planner.Change
	for _, o := range append(append([]planner.Object{}, lost...), kept...) {
		cs = append(cs, Create(o))
	}
	f.apply(cs...)
	f.gone(0, Route("unknown.example", ""))
	f.gone(3, lost[0])
	f.gone(0, lost[0])
	dirty := map[planner.Ref]planner.Reason{}
	for _, o := range lost {
		dirty[o.Ref()] = planner.Reason{Gone: true}
	}
	f.wantLive(stateOf(append(append([]planner.Object{}, lost...), kept...)...), dirty)
	if s := f.status(lost[2].Ref()); s.Dirty != "no longer there" || s.Hash != planner.HashOf(lost[2]) {
		f.Errorf("status of what is gone: %+v", s)
	}

	// What is gone can't be updated. It can be made again, and deleted whatever it was.
	p := f.plan(Update(lost[1], lost[1]))
	j := f.begin(p)
	if err := j.Started(f.Context(), p.Changes); !isConflict(err) {
		f.Errorf("update of what is gone: %v, want a conflict", err)
	}
	f.end(j, reconciler.Failed)
	f.apply(Delete(lost[2]), Create(lost[0]), Create(lost[1]))
	f.wantLive(stateOf(append(append([]planner.Object{}, lost[:2]...), kept...)...), nil)
}

// Once the replacing of a container has started, what was in it may be gone; once it has finished, that is forgotten.
func testReplacedContainer(f *fixture) {
	old, next := container("web-1-0", "web:1"), container("web-1-0", "web:2")
	u, other := user("web-1-0"), user("web-1-1")
	f.apply(Create(old), Create(u), Create(other))

	p := f.plan(Update(old, next))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.finished(j, p.Changes...)
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(next, u, other), nil) // an update in place loses nothing

	replace := planner.Change{Action: planner.Replace, Old: next, New: old, Expect: planner.HashOf(next)}
	p = f.plan(replace, Create(u))
	j = f.begin(p)
	f.started(j, p.Changes[0])
	f.wantLive(stateOf(next, u, other), map[planner.Ref]planner.Reason{old.Ref(): {Pending: old, Anew: true}, u.Ref(): {Gone: true}})
	f.finished(j, p.Changes[0])
	f.wantLive(stateOf(old, other), nil)
	f.started(j, p.Changes[1])
	f.wantLive(stateOf(old, other), map[planner.Ref]planner.Reason{u.Ref(): {Pending: u}})
	f.finished(j, p.Changes[1])
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(old, u, other), nil)
}

// The replacing of a container that nobody finished: whether what was in it is there is not known.
func testHalfReplacedContainer(f *fixture) {
	old, next, u, v := container("web-1-0", "web:1"), container("web-1-0", "web:2"), user("web-1-0"), vhost()
	f.apply(Create(old), Create(u), Create(v))
	p := f.plan(planner.Change{Action: planner.Replace, Old: old, New: next, Expect: planner.HashOf(old)})
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.end(j, reconciler.Failed)
	f.wantLive(stateOf(old, u, v), map[planner.Ref]planner.Reason{
		old.Ref(): {Pending: next, Anew: true}, u.Ref(): {Gone: true}, v.Ref(): {Gone: true},
	})
	f.apply(Update(old, next), Create(u), Delete(v)) // found to be made already: no replacement, the user again, the vhost no more
	f.wantLive(stateOf(next, u), nil)
}

// What a run is changing is not there for a while; what another one sees of it then counts for nothing.
func testGoneDuringARun(f *fixture) {
	old, next, u := container("web-1-0", "web:1"), container("web-1-0", "web:2"), user("web-1-0")
	f.apply(Create(old), Create(u))
	p := f.plan(Update(old, next))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.gone(0, old)
	f.finished(j, p.Changes...)
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(next, u), nil)
	f.gone(2, next)
}

func testDeletedContainer(f *fixture) {
	c, u, half, other := container("web-1-0", "web"), user("web-1-0"), vhost(), user("web-1-1")
	f.apply(Create(c), Create(u), Create(other))
	p := f.plan(Create(half))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.end(j, reconciler.Failed)

	p = f.plan(Delete(c))
	j = f.begin(p)
	f.started(j, p.Changes...)
	f.must(j.Finished(f.Context(), p.Changes, executors.All(1, executors.Errorf(executors.Busy, "no"))))
	f.end(j, reconciler.Failed)
	f.wantLive(stateOf(c, u, other), map[planner.Ref]planner.Reason{
		c.Ref(): {}, u.Ref(): {Gone: true}, half.Ref(): {Pending: half},
	})
	f.apply(Delete(c))
	f.wantLive(stateOf(other), nil)
}

func testDrifted(f *fixture) {
	a, b := Route("a.example", "web-1"), Route("b.example", "web-1")
	f.apply(Create(a), Create(b))
	refs := []planner.Ref{a.Ref(), Route("unknown.example", "").Ref()}
	for _, want := range []int{1, 0} {
		if n, err := f.inv.Drifted(f.Context(), refs, "differs"); err != nil || n != want {
			f.Errorf("Drifted = %d, %v; want %d", n, err, want)
		}
	}
	f.wantLive(stateOf(a, b), map[planner.Ref]planner.Reason{a.Ref(): {}})
	if text := f.live().Dirty[a.Ref()].Text; text != "differs" {
		f.Errorf("reason %q, want %q", text, "differs")
	}
	// A change that was refused for it leaves it as it was found, until somebody asks for more.
	p := f.plan(Update(b, Route("b.example", "web-2")))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.must(j.Finished(f.Context(), p.Changes, executors.All(1, executors.Errorf(executors.Drifted, "it is another one"))))
	f.end(j, reconciler.Failed)
	f.wantLive(stateOf(a, b), map[planner.Ref]planner.Reason{a.Ref(): {}, b.Ref(): {Pending: p.Changes[0].New, Drifted: true}})
	for _, want := range []int{1, 0} {
		if n, err := f.inv.Drifted(f.Context(), []planner.Ref{b.Ref()}, "asked for"); err != nil || n != want {
			f.Errorf("Drifted = %d, %v; want %d", n, err, want)
		}
	}
	f.wantLive(stateOf(a, b), map[planner.Ref]planner.Reason{a.Ref(): {}, b.Ref(): {Pending: p.Changes[0].New}})
	f.apply(Update(b, b))
	f.gone(1, a) // worse than drift
	f.wantLive(stateOf(a, b), map[planner.Ref]planner.Reason{a.Ref(): {Gone: true}})
	f.apply(Create(a))
	f.wantLive(stateOf(a, b), nil)
}

func testDownAndImages(f *fixture) {
	for _, down := range []map[string]string{{"web-1-0": "no answer"}, {"web-1-0": "refused", "web-1-1": "no answer"}, {}} {
		if changed, err := f.inv.SetDown(f.Context(), down); err != nil || !changed {
			f.Errorf("SetDown(%v) = %v, %v; want true", down, changed, err)
		}
		if diff := cmp.Diff(down, f.live().Down); diff != "" {
			f.Errorf("down (-want +got):\n%s", diff)
		}
	}
	if changed, err := f.inv.SetDown(f.Context(), nil); err != nil || changed {
		f.Errorf("SetDown of what is = %v, %v; want false", changed, err)
	}
	f.must(f.inv.SetImages(f.Context(), map[string]string{"web": "sha256:1", "dns": "sha256:2"}))
	f.must(f.inv.SetImages(f.Context(), map[string]string{"web": "sha256:3"}))
	if diff := cmp.Diff(map[string]string{"web": "sha256:3", "dns": "sha256:2"}, f.live().Images); diff != "" {
		f.Errorf("images (-want +got):\n%s", diff)
	}
}
