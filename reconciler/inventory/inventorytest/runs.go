package inventorytest

import (
	"errors"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
	"hostctl/schema"
)

func testLock(f *fixture) {
	p := f.plan(Create(Route("a.example", "web-1")))
	j := f.beginAs(p, reconciler.Holder{Name: "hostd@a:1"})
	for _, inv := range []record.Store{f.inv, f.open()} {
		_, err := inv.Begin(f.Context(), f.plan(), reconciler.Holder{Name: "hostd@b:2"})
		var locked *reconciler.LockedError
		if !errors.As(err, &locked) {
			f.Fatalf("Begin beside a run: %v, want a LockedError", err)
		}
		if locked.Run != j.Run() || locked.Holder != "hostd@a:1" || time.Since(locked.Since) > time.Hour {
			f.Errorf("the lock is said to be held by %+v", locked)
		}
	}
	f.end(j, reconciler.Failed)
	next := f.begin(f.plan())
	if next.Run() <= j.Run() {
		f.Errorf("run %d came after run %d", next.Run(), j.Run())
	}
	f.end(next, reconciler.Succeeded)
}

// A holder whose lease is over, and who wakes when another has taken the lock, writes nothing.
func testFencing(f *fixture) {
	a, b, c := Route("a.example", "web-1"), Route("b.example", "web-1"), Route("c.example", "web-1")
	p := f.plan(Create(a), Create(b), Create(c))
	old := f.beginAs(p, reconciler.Holder{Name: "asleep", Lease: overAtOnce})
	f.started(old, p.Changes[:2]...)
	f.finished(old, p.Changes[0])

	p2 := f.plan(Create(b))
	j := f.begin(p2)
	if j.Run() <= old.Run() {
		f.Errorf("the fencing number went from %d to %d", old.Run(), j.Run())
	}
	f.started(j, p2.Changes...)
	for what, err := range map[string]error{
		"Started":  old.Started(f.Context(), p.Changes[2:]),
		"Finished": old.Finished(f.Context(), p.Changes[1:2], executors.All(1, nil)),
		"Extend":   old.Extend(f.Context()),
		"End":      old.End(f.Context(), reconciler.Succeeded, ""),
	} {
		if err == nil {
			f.Errorf("%s of a run that lost the lock succeeded", what)
		}
	}
	f.wantLive(stateOf(a), map[planner.Ref]planner.Reason{b.Ref(): {Pending: b}})
	f.finished(j, p2.Changes...)
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(a, b), nil)
	runs := f.runs()
	if len(runs) != 2 || runs[1].State != reconciler.Interrupted || runs[0].State != reconciler.Succeeded {
		f.Errorf("runs: %+v", runs)
	}
}

// A sign of life renews the lease: Extend, and every record.
func testLeaseIsRenewed(f *fixture) {
	p := f.plan(Create(Route("a.example", "web-1")))
	j := f.beginAs(p, reconciler.Holder{Name: "alive", Lease: time.Hour})
	deadline := f.runs()[0].Deadline
	if left := time.Until(deadline); left < 50*time.Minute || left > time.Hour {
		f.Errorf("a lease of an hour ends in %s", left)
	}
	for _, sign := range []func(){
		func() { f.must(j.Extend(f.Context())) },
		func() { f.started(j, p.Changes...) },
		func() { f.finished(j, p.Changes...) },
	} {
		sign()
		next := f.runs()[0].Deadline
		if !next.After(deadline) {
			f.Errorf("the lease ended at %s and ends at %s", deadline, next)
		}
		deadline = next
	}
	f.end(j, reconciler.Succeeded)
}

// The run of a holder that is gone without a word ends when its lease is over, even where the new run is refused.
func testDeadHolder(f *fixture) {
	a := Route("a.example", "web-1")
	p := f.plan(Create(a))
	j := f.beginAs(p, reconciler.Holder{Name: "dead", Lease: overAtOnce})
	f.started(j, p.Changes...)
	if _, err := f.inv.Begin(f.Context(), p, reconciler.Holder{Name: "late"}); !errors.Is(err, reconciler.ErrStale) {
		f.Fatalf("Begin of a plan from before: %v, want ErrStale", err)
	}
	runs := f.runs()
	if len(runs) != 1 || runs[0].State != reconciler.Interrupted || runs[0].Failed != 1 {
		f.Fatalf("runs: %+v", runs)
	}
	CheckStatus(f, f.inv)
	f.wantLive(nil, map[planner.Ref]planner.Reason{a.Ref(): {Pending: a}})
	f.apply(Create(a))
	f.wantLive(stateOf(a), nil)
}

// Of many that want to run, one does.
func testRaceForLock(f *fixture) {
	p := f.plan(Create(Route("a.example", "web-1")))
	won := make(chan reconciler.Journal, 16) // holds them: one that is collected as garbage lets go of its lock
	var all sync.WaitGroup
	for range 4 {
		inv := f.open()
		for range 4 {
			all.Go(func() {
				switch j, err := inv.Begin(f.Context(), p, reconciler.Holder{Name: "one of many"}); {
				case err == nil:
					won <- j
				case !isLocked(err):
					f.Errorf("Begin: %v, want a LockedError", err)
				}
			})
		}
	}
	all.Wait()
	if len(won) != 1 {
		f.Errorf("%d won the lock", len(won))
	}
}

// Whatever matters to a plan makes plans from before stale; what doesn't, doesn't.
func testStale(f *fixture) {
	a := Route("a.example", "web-1")
	f.apply(Create(a))
	f.must(f.inv.SetImages(f.Context(), map[string]string{"web": "sha256:1"}))
	for _, tt := range []struct {
		name  string
		moves bool
		write func() error
	}{
		{"drift", true, func() error {
			_, err := f.inv.Drifted(f.Context(), []planner.Ref{a.Ref()}, "differs")
			return err
		}},
		{"drift again", false, func() error {
			_, err := f.inv.Drifted(f.Context(), []planner.Ref{a.Ref()}, "differs")
			return err
		}},
		{"gone", true, func() error { _, err := f.inv.Gone(f.Context(), []planner.Ref{a.Ref()}, "is gone"); return err }},
		{"gone again", false, func() error { _, err := f.inv.Gone(f.Context(), []planner.Ref{a.Ref()}, "is gone"); return err }},
		{"unknown gone", false, func() error {
			_, err := f.inv.Gone(f.Context(), []planner.Ref{Route("b.example", "").Ref()}, "is gone")
			return err
		}},
		{"down", true, func() error { _, err := f.inv.SetDown(f.Context(), map[string]string{"web-1-0": "no"}); return err }},
		{"down again", false, func() error { _, err := f.inv.SetDown(f.Context(), map[string]string{"web-1-0": "no"}); return err }},
		{"unmanaged", true, func() error {
			_, err := f.inv.SetUnmanaged(f.Context(), nil, []planner.RRset{stray("eu-1-dns", "192.0.2.1")})
			return err
		}},
		{"unmanaged again", false, func() error {
			_, err := f.inv.SetUnmanaged(f.Context(), nil, []planner.RRset{stray("eu-1-dns", "192.0.2.1")})
			return err
		}},
		{"image", true, func() error { return f.inv.SetImages(f.Context(), map[string]string{"web": "sha256:2"}) }},
		{"image again", false, func() error { return f.inv.SetImages(f.Context(), map[string]string{"web": "sha256:2"}) }},
		{"a run", true, func() error {
			j, err := f.inv.Begin(f.Context(), f.plan(), reconciler.Holder{Name: "other"})
			if err != nil {
				return err
			}
			return j.End(f.Context(), reconciler.Succeeded, "")
		}},
	} {
		p := f.plan()
		f.must(tt.write())
		if moved := f.live().Version != p.Base; moved != tt.moves {
			f.Errorf("%s: the version moved: %v, want %v", tt.name, moved, tt.moves)
		}
		j, err := f.inv.Begin(f.Context(), p, reconciler.Holder{Name: "test"})
		if errors.Is(err, reconciler.ErrStale) != tt.moves {
			f.Errorf("%s: Begin of a plan from before: %v", tt.name, err)
		}
		if err == nil {
			f.end(j, reconciler.Failed)
		}
	}
}

func testInstance(f *fixture) {
	for _, other := range []string{"", "0123456789abcdef0123456789abcdef"} {
		p := f.plan()
		p.Instance = other
		if _, err := f.inv.Begin(f.Context(), p, reconciler.Holder{Name: "test"}); !errors.Is(err, reconciler.ErrInstance) {
			f.Errorf("Begin of a plan of inventory %q: %v, want ErrInstance", other, err)
		}
	}
}

func testAllocations(f *fixture) {
	p := f.plan()
	p.Allocations = []planner.Allocation{
		{Scope: "uid", Key: "web-1/acme", Value: "20001"},
		{Scope: "uid", Key: "web-1/beta", Value: "20002"},
		{Scope: "port/host-1/tcp", Key: "web-1-0/agent", Value: "20001"},
	}
	f.end(f.begin(p), reconciler.Failed) // reserved by the run, whatever came of it
	want := []planner.Allocation{p.Allocations[2], p.Allocations[0], p.Allocations[1]}
	if diff := cmp.Diff(want, f.live().Allocations); diff != "" {
		f.Errorf("allocations (-want +got):\n%s", diff)
	}
	p = f.plan()
	p.Allocations = []planner.Allocation{
		{Scope: "uid", Key: "web-1/good", Value: "20009"},
		{Scope: "uid", Key: "web-1/other", Value: "20001"},
	}
	if _, err := f.inv.Begin(f.Context(), p, reconciler.Holder{Name: "test"}); !errors.Is(err, reconciler.ErrStale) {
		f.Errorf("Begin with a taken allocation: %v, want ErrStale", err)
	}
	if diff := cmp.Diff(want, f.live().Allocations); diff != "" {
		f.Errorf("allocations after refused runs (-want +got):\n%s", diff)
	}
}

// An allocation of a key that has a value replaces it; two may swap theirs. What is released is free when the run has
// ended well.
func testReleased(f *fixture) {
	a, b := planner.Allocation{Scope: "host", Key: "web-1-0", Value: "1"}, planner.Allocation{Scope: "host", Key: "web-1-1", Value: "2"}
	p := f.plan()
	p.Allocations = []planner.Allocation{a, b}
	f.end(f.begin(p), reconciler.Succeeded)
	a.Value, b.Value = b.Value, a.Value
	p = f.plan()
	p.Allocations = []planner.Allocation{a, b}
	f.end(f.begin(p), reconciler.Succeeded)
	want := func(as ...planner.Allocation) {
		f.Helper()
		if diff := cmp.Diff(as, f.live().Allocations); diff != "" {
			f.Errorf("allocations (-want +got):\n%s", diff)
		}
	}
	want(a, b)
	other := b
	other.Value = "3" // not what it is
	for _, tt := range []struct {
		outcome reconciler.RunState
		left    []planner.Allocation
	}{{reconciler.Failed, []planner.Allocation{a, b}}, {reconciler.Succeeded, []planner.Allocation{b}}} {
		p = f.plan()
		p.Released = []planner.Allocation{a, other}
		f.end(f.begin(p), tt.outcome)
		want(tt.left...)
	}
	next := planner.Allocation{Scope: b.Scope, Key: "another name", Value: b.Value}
	p = f.plan()
	p.Allocations, p.Released = []planner.Allocation{next}, []planner.Allocation{b}
	f.end(f.begin(p), reconciler.Failed) // what is released goes to another key at once
	want(next)
}

func testEndOfRun(f *fixture) {
	targets := []planner.Target{{Name: "eu-1-dns", AnyOf: []string{"eu-1-dns-0"}}, {Name: "eu-1-dns-0", Address: "10.0.0.2:9443"}}
	p := f.plan(Create(Route("a.example", "web-1")), Create(Route("b.example", "web-1")))
	p.Targets = targets
	j := f.begin(p)
	f.started(j, p.Changes[0])
	f.finished(j, p.Changes[0])
	f.started(j, p.Changes[1])
	f.end(j, reconciler.Failed)
	if l := f.live(); l.Commit != "" {
		f.Errorf("a failed run applied commit %q", l.Commit)
	}
	if r := f.runs()[0]; r.Done != 1 || r.Failed != 1 || r.Commit != p.Commit {
		f.Errorf("run: %+v", r)
	}
	CheckStatus(f, f.inv)

	p2 := f.plan(Create(Route("b.example", "web-1")))
	p2.Targets = targets
	j = f.begin(p2)
	f.started(j, p2.Changes...)
	f.finished(j, p2.Changes...)
	f.must(j.End(f.Context(), reconciler.Succeeded, "1 change"))
	l := f.live()
	if diff := cmp.Diff(targets, l.Targets); diff != "" || l.Commit != p2.Commit {
		f.Errorf("applied commit %q, want %q; targets (-want +got):\n%s", l.Commit, p2.Commit, diff)
	}
	if r := f.runs()[0]; r.State != reconciler.Succeeded || r.Message != "1 change" {
		f.Errorf("run: %+v", r)
	}
	if err := j.End(f.Context(), reconciler.Failed, ""); err == nil {
		f.Error("a run ended twice")
	}
	if runs, err := f.inv.Runs(f.Context(), 1); err != nil || len(runs) != 1 || runs[0].ID != j.Run() {
		f.Errorf("Runs(1) = %+v, %v", runs, err)
	}
}

// Where a run has gone, or may have, is known from when it begins until one has ended well that didn't go there: what it
// left behind can be found. What both know of a target is as the newer one has it.
func testTargets(f *fixture) {
	host := func(name, endpoint string) planner.Target {
		return planner.Target{Name: name, Docker: &schema.Docker{Endpoint: endpoint}}
	}
	first, moved, second := host("host-1", "unix:///a.sock"), host("host-1", "unix:///b.sock"), host("host-2", "unix:///c.sock")
	for _, tt := range []struct {
		name    string
		goes    []planner.Target
		outcome reconciler.RunState
		want    []planner.Target
	}{
		{"the first one, in vain", []planner.Target{first}, reconciler.Failed, []planner.Target{first}},
		{"well", []planner.Target{first}, reconciler.Succeeded, []planner.Target{first}},
		{"to another one, in vain", []planner.Target{moved, second}, reconciler.Failed, []planner.Target{moved, second}},
		{"back, in vain", []planner.Target{first}, reconciler.Failed, []planner.Target{first, second}},
		{"back, cut off", []planner.Target{first}, reconciler.Interrupted, []planner.Target{first, second}},
		{"back, well", []planner.Target{first}, reconciler.Succeeded, []planner.Target{first}},
	} {
		p := f.plan()
		p.Targets = tt.goes
		j := f.begin(p)
		if tt.outcome == reconciler.Failed {
			if diff := cmp.Diff(tt.want, f.live().Targets); diff != "" {
				f.Errorf("%s: targets of a run under way (-want +got):\n%s", tt.name, diff)
			}
		}
		f.end(j, tt.outcome)
		if diff := cmp.Diff(tt.want, f.live().Targets); diff != "" {
			f.Errorf("%s: targets (-want +got):\n%s", tt.name, diff)
		}
	}
}
