package reconciler_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

func TestApplyMakesACommitTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	w.wantTrue(commit)
	if opened, closed := w.far.count(&w.far.opened), w.far.count(&w.far.closed); opened != closed {
		t.Errorf("%d far sides were opened and %d closed", opened, closed)
	}
	if w.closed != 3 { // planned twice and applied once
		t.Errorf("%d trees were closed", w.closed)
	}
	if live := w.live(); live.Commit != commit {
		t.Errorf("the inventory has %q as the last applied commit", live.Commit)
	}
}

// A saved plan is executed exactly or refused (G5).
func TestG05_StalePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push(minimal(t))
	saved := w.plan(first)
	w.must(w.apply(first))
	reached := w.far.count(&w.far.applied)
	if err := w.rec.Apply(t.Context(), saved, nil); !errors.Is(err, reconciler.ErrStale) {
		t.Errorf("a plan that was made before another run: %v", err)
	}

	saved = w.plan(w.push(with(t, minimal(t), "nodeCount: 1", "nodeCount: 2")))
	w.far.loseContainer("web-1-0")
	if !w.look().Moved {
		t.Error("the look finds nothing")
	}
	if err := w.rec.Apply(t.Context(), saved, nil); !errors.Is(err, reconciler.ErrStale) {
		t.Errorf("a plan that was made before a container was found gone: %v", err)
	}
	if now := w.far.count(&w.far.applied); now != reached {
		t.Errorf("stale plans made %d changes", now-reached)
	}
}

func TestG05_PlanOfAnotherInventory(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	plan := other.plan(other.push(minimal(t)))
	w.push(minimal(t))
	if err := w.rec.Apply(t.Context(), plan, nil); !errors.Is(err, reconciler.ErrInstance) {
		t.Errorf("got %v", err)
	}
}

// An older commit never overwrites a newer one, whoever applies it, also where the newer one has failed (G6, B54).
func TestG06_OlderCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.applied(minimal(t))
	second := w.push(with(t, minimal(t), "nodeCount: 1", "nodeCount: 2"))
	w.far.fail(func(_ memory.Point, c planner.Change) error { return errors.New("a fault") })
	if err := w.apply(second); !asType[*executors.RunError](err) {
		t.Fatalf("got %v", err)
	}
	w.far.fail(nil)
	if err := w.apply(first); !asType[*reconciler.BehindError](err) {
		t.Errorf("a commit behind one that has failed: %v", err)
	}
	w.must(w.apply(second))
	if err := w.apply(first); !asType[*reconciler.BehindError](err) {
		t.Errorf("a commit behind the applied one: %v", err)
	}
	w.move(1)
	if err := w.apply(w.push(minimal(t))); !asType[*reconciler.DivergedError](err) {
		t.Errorf("a commit beside the applied one: %v", err)
	}
	w.wantTrue(second)
}

func TestApplyWaitsForNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.push(minimal(t))
	held, err := w.store.Begin(t.Context(), w.plan(commit), reconciler.Holder{Name: "somebody else"})
	w.must(err)
	err = w.apply(commit)
	var locked *reconciler.LockedError
	if !errors.As(err, &locked) || locked.Holder != "somebody else" {
		t.Errorf("got %v", err)
	}
	w.must(held.End(t.Context(), reconciler.Failed, "gave up"))
	w.must(w.apply(commit))
}

func TestApplyRefusesWhatIsForReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.far.noImages["hostctl/web:v1"] = true
	uncommitted, err := w.rec.PlanTree(t.Context(), minimal(t), "")
	w.must(err)
	if err := w.rec.Apply(t.Context(), uncommitted, nil); err == nil || !strings.Contains(err.Error(), "commit and push") {
		t.Errorf("a plan of files: %v", err)
	}
	if err := w.apply(w.push(minimal(t))); err == nil || !strings.Contains(err.Error(), "no engine holds the image hostctl/web:v1") {
		t.Errorf("a plan without an image: %v", err)
	}
	if len(w.runs()) > 0 {
		t.Error("a run was begun")
	}
}

// A host that says nothing of its images doesn't keep others from being planned (G7).
func TestPlanWithASilentEngine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tree := minimal(t)
	tree["clusters/eu-1/host-2.yaml"] = document("Host", "host-2", "address: 127.0.0.2", "cordoned: true", "docker: {endpoint: 'unix:///x'}", "portRange: {first: 20000, last: 20999}")
	w.far.silence("host-2")
	if p := w.plan(w.push(tree)); p.Empty() {
		t.Error("nothing is planned")
	}
}

// A replacement that didn't end, and one that was to take it back and didn't begin, leave nobody knowing what runs: it is made anew
// until that has ended well.
func TestG04_ReplacementTakenBack(t *testing.T) {
	t.Parallel()
	w, tree := newWorld(t), minimal(t)
	w.applied(tree)
	for _, c := range []struct {
		tree schema.MapTree
		at   memory.Point
	}{{with(t, tree, "hostctl/web:v1", "hostctl/web:v2"), memory.After}, {tree, memory.Before}} {
		w.far.fail(func(at memory.Point, ch planner.Change) error {
			if ref := ch.Ref(); at == c.at && ref.Kind == planner.KindContainer && ref.Name == "web-1-0" {
				return executors.Errorf(executors.Unreachable, "the connection broke")
			}
			return nil
		})
		if err := w.apply(w.push(c.tree)); err == nil {
			t.Fatal("nothing has failed")
		}
	}
	w.far.fail(nil)
	id := w.push(tree)
	w.must(w.apply(id))
	if p := w.plan(id); !p.Empty() {
		t.Errorf("left to do:\n%s", actions(p))
	}
	if c, ok := w.far.container("web-1-0").(planner.Container); !ok || c.Image != "hostctl/web:v1" {
		t.Errorf("there is %v", c)
	}
}

// A tenant's mistake stops nothing of another tenant's (G7).
func TestG07_OneTenantFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := firstConfig(minimal(t))
	c.homes["globex"], c.sites[[2]string{"globex", "www"}] = "web-1", "static"
	c.names["a.globex.test"], c.zones["globex"] = [2]string{"globex", "www"}, true
	commit := w.push(c.tree(t))
	w.far.fail(func(_ memory.Point, c planner.Change) error {
		if c.Owner().Tenant == "acme" {
			return executors.Errorf(executors.Refused, "the far side refuses what is acme's")
		}
		return nil
	})
	err := w.apply(commit)
	var failed *executors.RunError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	for _, f := range failed.Failures {
		if f.Change.Owner().Tenant != "acme" {
			t.Errorf("%s failed: %v", f.Change.Ref(), f.Err)
		}
	}
	routed := func(name string) bool {
		_, ok := w.far.State()[planner.Ref{Kind: planner.KindRoute, Target: "eu-1-lb-0", Name: name}]
		return ok
	}
	if !routed("a.globex.test") || routed("a.acme.test") {
		t.Error("want a route of globex's name, and none of acme's")
	}
	w.far.fail(nil)
	w.must(w.apply(commit))
	w.wantTrue(commit)
}

// A node that doesn't answer leaves rotation, and all else goes on; when it is back it gets what it missed (G7).
func TestG07_OneNodeIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := with(t, minimal(t), "nodeCount: 1", "nodeCount: 2")
	w.applied(two)
	w.far.silence("web-1-1")
	commit := w.push(with(t, two, "fqdns: [acme.test, ", "fqdns: [new.acme.test, acme.test, "))
	if err := w.apply(commit); !asType[*executors.RunError](err) {
		t.Fatalf("the run with a node that doesn't answer: %v", err)
	}
	seen := w.look()
	if !seen.Moved || len(seen.Down) != 1 || seen.Down["web-1-1"] == "" {
		t.Fatalf("the look sees %+v", seen)
	}
	w.must(w.apply(commit))
	state := w.far.State()
	if _, ok := state[planner.Ref{Kind: planner.KindRoute, Target: "eu-1-lb-0", Name: "new.acme.test"}]; !ok {
		t.Error("the new name has no route")
	}
	server := func() planner.ServerState {
		return w.far.State()[planner.Ref{Kind: planner.KindServer, Target: "eu-1-lb-0", Name: "web-1/web-1-1"}].(planner.Server).State
	}
	if server() == planner.ServerReady {
		t.Error("the node that is down is in rotation")
	}
	if again := w.look(); again.Moved {
		t.Error("a second look moves the inventory, and so makes saved plans stale")
	}
	w.far.silence()
	if seen := w.look(); !seen.Moved || len(seen.Down) > 0 {
		t.Errorf("the look at the node that is back sees %+v", seen)
	}
	w.must(w.apply(commit))
	if server() != planner.ServerReady {
		t.Error("the node that is back isn't in rotation")
	}
	w.wantTrue(commit)
}

// A run that is stopped ends the batches it has begun, is recorded, and its commit is made true later.
func TestApplyIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.push(minimal(t))
	ctx, stop := context.WithCancel(t.Context())
	w.far.onApply = func(context.Context, []planner.Change) { stop() }
	err := w.rec.Apply(ctx, w.plan(commit), nil)
	var failed *executors.RunError
	if !errors.As(err, &failed) || failed.Canceled == 0 || failed.Failed > 0 {
		t.Fatalf("got %v", err)
	}
	if r := w.runs()[0]; r.State != reconciler.Interrupted || r.Finished.IsZero() || r.Done == 0 {
		t.Errorf("the run is recorded as %+v", r)
	}
	w.far.onApply = nil
	w.must(w.apply(commit))
	w.wantTrue(commit)
}

// leaseLost is an inventory whose runs can't renew their lease.
type leaseLost struct {
	reconciler.Inventory
	told chan struct{} // closed when a run was told
}

type leaseLostJournal struct {
	reconciler.Journal
	told chan struct{}
}

func (i leaseLost) Begin(ctx context.Context, p planner.Plan, by reconciler.Holder) (reconciler.Journal, error) {
	j, err := i.Inventory.Begin(ctx, p, by)
	return leaseLostJournal{j, i.told}, err
}

func (j leaseLostJournal) Extend(context.Context) error {
	defer close(j.told)
	return errors.New("the lease is another's")
}

func TestLostLeaseStopsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.push(minimal(t))
	told := make(chan struct{})
	w.rec.Inventory, w.rec.Holder.Lease = leaseLost{w.store, told}, 3*time.Millisecond
	w.far.onApply = func(context.Context, []planner.Change) { <-told } // a batch takes longer than the lease
	err := w.apply(commit)
	var failed *executors.RunError
	if !errors.As(err, &failed) || failed.Cause == nil || !strings.Contains(failed.Cause.Error(), "the lease is another's") {
		t.Fatalf("got %v", err)
	}
}

// A long batch keeps the lock, also while the program is being stopped.
func TestLeaseIsRenewedToTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.push(minimal(t))
	w.rec.Holder.Lease = 90 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	plan := w.plan(commit)
	w.far.onApply = func(context.Context, []planner.Change) {
		stop()
		first := w.runs()[0].Deadline
		until(t, "the lease is renewed after the run was stopped", func() bool { return w.runs()[0].Deadline.After(first) })
	}
	if err := w.rec.Apply(ctx, plan, nil); err == nil {
		t.Error("the run wasn't stopped")
	}
}

func TestProgressTellsEveryChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(w.push(minimal(t)))
	var started, finished []int
	w.must(w.rec.Apply(t.Context(), plan, func(e executors.Event) {
		switch e.Phase {
		case executors.PhaseStarted:
			started = append(started, e.Change.ID)
		case executors.PhaseFinished:
			finished = append(finished, e.Change.ID)
		}
	}))
	slices.Sort(started)
	slices.Sort(finished)
	if len(started) != len(plan.Changes) || !slices.Equal(started, finished) {
		t.Errorf("%d changes, %d started, %d finished", len(plan.Changes), len(started), len(finished))
	}
}
