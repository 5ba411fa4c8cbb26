package inventorytest

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

func testEmpty(f *fixture) {
	l := f.live()
	if len(l.Instance) != 32 || strings.Trim(l.Instance, "0123456789abcdef") != "" {
		f.Errorf("instance %q isn't 32 hex digits", l.Instance)
	}
	if l.Version == "" || l.Commit != "" {
		f.Errorf("version %q, commit %q; want some version and no commit", l.Version, l.Commit)
	}
	f.wantLive(nil, nil)
	if id, err := f.inv.Instance(f.Context()); err != nil || id != l.Instance {
		f.Errorf("Instance = %q, %v; want %q", id, err, l.Instance)
	}
	if len(f.runs()) != 0 || len(f.changes(1)) != 0 {
		f.Error("a new inventory has runs")
	}
}

func testCreate(f *fixture) {
	a, b := Route("a.example", "web-1"), vhost()
	p := f.plan(Create(a), Create(b))
	j := f.begin(p)
	f.wantLive(nil, nil)
	f.started(j, p.Changes...)
	f.wantLive(nil, map[planner.Ref]planner.Reason{a.Ref(): {Pending: a}, b.Ref(): {Pending: b}})
	if s := f.status(a.Ref()); s.Hash != "" || s.Revision != j.Run() || s.Owner != a.Owner() {
		f.Errorf("status of a started create: %+v", s)
	}
	CheckStatus(f, f.inv)
	f.finished(j, p.Changes...)
	f.wantLive(stateOf(a, b), nil)
	f.end(j, reconciler.Succeeded)

	s := f.status(b.Ref())
	if s.Hash != planner.HashOf(b) || s.Commit != p.Commit || s.Revision != j.Run() || s.Owner != b.Owner() {
		f.Errorf("status of what was created: %+v", s)
	}
	if got := f.live().State[b.Ref()].Needs(); len(got) != 1 || got[0] != b.Needs()[0] {
		f.Errorf("needs = %v, want %v", got, b.Needs())
	}
}

func testUpdateAndDelete(f *fixture) {
	a, a2, b := Route("a.example", "web-1"), Route("a.example", "web-2"), Route("b.example", "web-1")
	f.apply(Create(a), Create(b))
	p := f.plan(Update(a, a2), Delete(b))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.wantLive(stateOf(a, b), map[planner.Ref]planner.Reason{a.Ref(): {Pending: a2}, b.Ref(): {}})
	f.finished(j, p.Changes...)
	f.wantLive(stateOf(a2), nil)
	f.end(j, reconciler.Succeeded)
	if all, err := f.inv.Objects(f.Context()); err != nil || len(all) != 1 {
		f.Errorf("%d objects, %v; want 1", len(all), err)
	}
}

// The second change of an object starts from what the first one made.
func testTwoChanges(f *fixture) {
	ready, drain := Route("a.example", "ready"), Route("a.example", "drain")
	f.apply(Create(ready))
	p := f.plan(Update(ready, drain), Update(drain, ready))
	j := f.begin(p)
	if err := j.Started(f.Context(), p.Changes[1:]); !isConflict(err) {
		f.Errorf("Started of the second change before the first: %v, want a conflict", err)
	}
	f.started(j, p.Changes[0])
	f.finished(j, p.Changes[0])
	f.started(j, p.Changes[1])
	f.finished(j, p.Changes[1])
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(ready), nil)
}

func testFailure(f *fixture) {
	a, a2, b, c := Route("a.example", "web-1"), Route("a.example", "web-2"), Route("b.example", "web-1"), Route("c.example", "web-1")
	f.apply(Create(a), Create(c))
	p := f.plan(Update(a, a2), Create(b), Delete(c))
	j := f.begin(p)
	f.started(j, p.Changes...)
	why := executors.Errorf(executors.Refused, "no")
	f.must(j.Finished(f.Context(), p.Changes, []error{why, why, why}))
	dirty := map[planner.Ref]planner.Reason{a.Ref(): {Pending: a2}, b.Ref(): {Pending: b}, c.Ref(): {}}
	f.wantLive(stateOf(a, c), dirty)
	f.end(j, reconciler.Failed)
	f.wantLive(stateOf(a, c), dirty)
	if text := f.live().Dirty[a.Ref()].Text; !strings.Contains(text, "no") {
		f.Errorf("the reason %q doesn't hold the error", text)
	}
	if s := f.status(a.Ref()); s.Error != "no" || s.Finished.IsZero() {
		f.Errorf("status after a failure: %+v", s)
	}
	if got := f.changes(j.Run())[0]; got.State != "failed" || got.Error != "no" {
		f.Errorf("journal of a failure: %+v", got)
	}
	// The next plan starts from the content that was last finished.
	f.apply(Update(a, a2), Create(b), Delete(c))
	f.wantLive(stateOf(a2, b), nil)
	if s := f.status(a.Ref()); s.Error != "" || s.Dirty != "" {
		f.Errorf("status after another try: %+v", s)
	}
}

// What was never started, because something it needs failed, is noted in the journal and touches no object.
func testBlocked(f *fixture) {
	a, a2, b := Route("a.example", "web-1"), Route("a.example", "web-2"), Route("b.example", "web-1")
	f.apply(Create(a))
	p := f.plan(Update(a, a2), Create(b))
	j := f.begin(p)
	blocked := executors.Errorf(executors.Blocked, "what it needs failed")
	f.must(j.Finished(f.Context(), p.Changes, []error{blocked, blocked}))
	f.wantLive(stateOf(a), nil)
	if s := f.changes(j.Run()); s[0].State != "failed" || s[1].Error != "what it needs failed" {
		f.Errorf("journal: %+v", s)
	}
	f.end(j, reconciler.Failed)
}

// What was begun and is not wanted any more can be deleted, and what can't be deleted stays known.
func testHalfCreated(f *fixture) {
	a := Route("a.example", "web-1")
	p := f.plan(Create(a))
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.end(j, reconciler.Failed)
	f.wantLive(nil, map[planner.Ref]planner.Reason{a.Ref(): {Pending: a}})

	remove := Delete(a)
	remove.Expect = ""
	p = f.plan(remove)
	j = f.begin(p)
	f.started(j, p.Changes...)
	f.must(j.Finished(f.Context(), p.Changes, []error{errors.New("no")}))
	f.end(j, reconciler.Failed)
	f.wantLive(nil, map[planner.Ref]planner.Reason{a.Ref(): {Pending: a}})

	f.apply(remove)
	f.wantLive(nil, nil)
}

func testCompareAndSet(f *fixture) {
	a, a2, b, c := Route("a.example", "web-1"), Route("a.example", "web-2"), Route("b.example", "web-1"), Route("c.example", "web-1")
	f.apply(Create(a), Create(c))
	for _, bad := range []planner.Change{
		Create(a2),    // is there
		Update(a2, a), // is another
		Delete(a2),
		Update(b, b), // isn't there
		Delete(b),
	} {
		p := f.plan(Create(Route("good.example", "web-1")), bad)
		j := f.begin(p)
		err := j.Started(f.Context(), p.Changes)
		if !isConflict(err) || !strings.Contains(err.Error(), bad.Ref().String()) || strings.Contains(err.Error(), "good.example") {
			f.Errorf("Started(%s %s): %v; want a conflict that names it", bad.Action, bad.Ref(), err)
		}
		f.wantLive(stateOf(a, c), nil) // nothing of the batch was recorded
		f.end(j, reconciler.Failed)
	}
	f.conflictAlone(c)
}

// conflictAlone runs a plan of which one object was seen to be gone meanwhile: only its change fails.
func (f *fixture) conflictAlone(c planner.Object) {
	f.Helper()
	good := Route("good.example", "web-1")
	p := f.plan(Create(good), Update(c, c))
	j := f.begin(p)
	_, err := f.inv.Gone(f.Context(), []planner.Ref{c.Ref()}, "it is gone")
	f.must(err)
	err = executors.Run(f.Context(), p, executors.Each(func(context.Context, planner.Change) error { return nil }), j, executors.Options{})
	var failed *executors.RunError
	if !errors.As(err, &failed) || failed.Cause != nil || len(failed.Failures) != 1 || failed.Failures[0].Change.Ref() != c.Ref() {
		f.Errorf("a run in which something has changed: %v; want the failure of that change alone", err)
	}
	f.end(j, reconciler.Failed)
	l := f.live()
	if l.State[good.Ref()] == nil || !l.Dirty[c.Ref()].Gone {
		f.Errorf("after it: %+v, dirty: %+v", l.State, l.Dirty)
	}
}

// The journal takes only what is in the plan, once, and in order.
func testJournalIsStrict(f *fixture) {
	a, b := Route("a.example", "web-1"), Route("b.example", "web-1")
	p := f.plan(Create(a), Create(b))
	j := f.begin(p)
	fails := func(what string, err error) {
		f.Helper()
		if err == nil {
			f.Errorf("%s succeeded", what)
		}
	}
	ok := executors.All(1, nil)
	fails("Finished of what wasn't started", j.Finished(f.Context(), p.Changes[:1], ok))
	fails("Finished with too few errors", j.Finished(f.Context(), p.Changes, ok))
	other := Create(Route("other.example", "web-1"))
	other.ID = 99
	fails("Started of what isn't planned", j.Started(f.Context(), []planner.Change{other}))
	f.started(j, p.Changes...)
	f.finished(j, p.Changes[0])
	fails("Finished again", j.Finished(f.Context(), p.Changes[:1], ok))
	fails("Finished again, badly", j.Finished(f.Context(), p.Changes[:1], []error{errors.New("no")}))
	fails("Started again", j.Started(f.Context(), p.Changes[1:]))
	f.finished(j, p.Changes[1])
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(a, b), nil)
}

// What has happened is recorded even when the run is being stopped; nothing is started then.
func testDoneContext(f *fixture) {
	a, b := Route("a.example", "web-1"), Route("b.example", "web-1")
	p := f.plan(Create(a), Create(b))
	j := f.begin(p)
	f.started(j, p.Changes[0])
	done, cancel := context.WithCancel(f.Context())
	cancel()
	if err := j.Started(done, p.Changes[1:]); !errors.Is(err, context.Canceled) {
		f.Errorf("Started with a done context: %v", err)
	}
	f.must(j.Finished(done, p.Changes[:1], executors.All(1, nil)))
	f.must(j.End(done, reconciler.Failed, "stopped"))
	f.wantLive(stateOf(a), nil)
}

// Reads see whole batches, and wait for no run.
func testReadersDuringARun(f *fixture) {
	const batches, size = 20, 50
	objects := many(batches*size, "web-1")
	var cs []planner.Change
	for _, o := range objects {
		cs = append(cs, Create(o))
	}
	p := f.plan(cs...)
	j := f.begin(p)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for seen := 0; ; {
				l, err := f.inv.Live(f.Context())
				if err != nil {
					f.Error(err)
					return
				}
				if n := len(l.State); n < seen || n%size != 0 || len(l.Dirty)%size != 0 {
					f.Errorf("a reader saw %d objects, %d of them dirty, after %d", n, len(l.Dirty), seen)
				}
				seen = len(l.State)
				CheckStatus(f, readOnce{f.inv})
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range batches {
		batch := p.Changes[i*size : (i+1)*size]
		f.started(j, batch...)
		f.finished(j, batch...)
	}
	close(stop)
	readers.Wait()
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(objects...), nil)
}

// readOnce leaves runs out of a check of status: between two reads a run goes on, and so the two don't agree.
type readOnce struct{ reconciler.Inventory }

func (readOnce) Runs(context.Context, int) ([]reconciler.Run, error) { return nil, nil }

func (r readOnce) Objects(ctx context.Context) ([]reconciler.ObjectStatus, error) {
	all, err := r.Inventory.Objects(ctx)
	clean := all[:0]
	for _, o := range all {
		if o.Dirty == "" {
			clean = append(clean, o)
		}
	}
	return clean, err
}

func testReopen(f *fixture) {
	a, b := Route("a.example", "web-1"), Route("b.example", "web-1")
	f.apply(Create(a))
	p := f.plan(Create(b))
	j := f.begin(p)
	f.started(j, p.Changes...)
	before := f.live()
	f.inv = f.open()
	f.wantLive(stateOf(a), map[planner.Ref]planner.Reason{b.Ref(): {Pending: b}})
	if after := f.live(); after.Instance != before.Instance || after.Version != before.Version || after.Commit != before.Commit {
		f.Errorf("opened again: %+v, before: %+v", after, before)
	}
	f.finished(j, p.Changes...)
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(a, b), nil)
}

// Two processes read by turns while one of them writes: each sees all of it, also what came and went in between.
func testTwoReaders(f *fixture) {
	other := f.open()
	objects := many(20, "web-1")
	check := func() {
		f.Helper()
		mine := f.live()
		theirs, err := other.Live(f.Context())
		f.must(err)
		if diff := cmp.Diff(mine, theirs, notLately); diff != "" {
			f.Fatalf("another process reads (-here +there):\n%s", diff)
		}
	}
	for i, o := range objects {
		f.apply(Create(o))
		if i%3 == 0 {
			check()
		}
		if i%4 == 0 {
			f.apply(Delete(o))
			if i%8 == 0 {
				check()
				f.apply(Create(o))
			}
		}
		if i%5 == 0 {
			_, err := f.inv.Drifted(f.Context(), []planner.Ref{o.Ref()}, "differs")
			f.must(err)
		}
	}
	check()
	l := f.live()
	clear(l.State) // a caller's own
	clear(l.Dirty)
	check()
}

// notLately leaves out what a store happens to have read before.
var notLately = cmpopts.IgnoreFields(planner.Live{}, "Lately")
