package executors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
)

// route makes the creation of a route; its owner is the name up to the first dash.
func route(id, stage int, target, name string, after ...int) planner.Change {
	owner, _, _ := strings.Cut(name, "-")
	m := planner.Meta{Target: target, Name: name, From: planner.Owner{Tenant: owner, Kind: "FQDN", Name: owner}}
	return planner.Change{ID: id, Stage: stage, Action: planner.Create, New: planner.Route{Meta: m, Backend: "web-1"}, After: after}
}

func plan(cs ...planner.Change) planner.Plan { return planner.Plan{Changes: cs} }

// recorder writes the journal down as text, and can fail.
type recorder struct {
	mu         sync.Mutex
	lines      []string
	failStart  string // of a batch that holds a change of this name
	failFinish string
	changed    []string // names of objects that aren't as they were planned
}

func (r *recorder) Started(_ context.Context, cs []planner.Change) error {
	var conflict executors.ConflictError
	for _, c := range cs {
		if slices.Contains(r.changed, c.Ref().Name) {
			conflict.Objects = append(conflict.Objects, executors.Changed{Ref: c.Ref(), Found: "0123456789abcdef"})
		}
	}
	if len(conflict.Objects) > 0 {
		return fmt.Errorf("record start: %w", &executors.Error{Kind: executors.Conflict, Err: &conflict})
	}
	return r.line("started", cs, nil, r.failStart)
}

func (r *recorder) Finished(_ context.Context, cs []planner.Change, errs []error) error {
	return r.line("finished", cs, errs, r.failFinish)
}

func (r *recorder) line(what string, cs []planner.Change, errs []error, fail string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := what
	for i, c := range cs {
		name := c.Ref().Name
		if name == fail {
			return errors.New("disk full")
		}
		line += " " + name
		if errs != nil && errs[i] != nil {
			line += "!" + string(executors.KindOf(errs[i]))
		}
	}
	r.lines = append(r.lines, line)
	return nil
}

func (r *recorder) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(r.lines, lines) {
		t.Errorf("journal:\n  %s\nwant:\n  %s", strings.Join(r.lines, "\n  "), strings.Join(lines, "\n  "))
	}
}

// runError runs a plan that must not succeed.
func runError(t *testing.T, p planner.Plan, e executors.Executor, rec executors.Recorder, o executors.Options) *executors.RunError {
	t.Helper()
	err := executors.Run(t.Context(), p, e, rec, o)
	var re *executors.RunError
	if !errors.As(err, &re) {
		t.Fatalf("Run: %v, want a *RunError", err)
	}
	return re
}

func refuse(names ...string) func(planner.Object) error {
	return func(o planner.Object) error {
		if slices.Contains(names, o.Ref().Name) {
			return fmt.Errorf("%s is bad", o.Ref().Name)
		}
		return nil
	}
}

func TestRunInStages(t *testing.T) {
	var order []string
	e := &memory.Executor{Effect: func(c planner.Change, _ planner.State) { order = append(order, c.Ref().Name) }}
	rec := &recorder{}
	// A plan isn't always sorted by stage; within a stage its order counts.
	p := plan(route(7, 2, "lb", "last", 3), route(3, 1, "lb", "b"), route(2, 1, "lb", "a"))
	if err := executors.Run(t.Context(), p, e, rec, executors.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "b a last" {
		t.Errorf("order %q", got)
	}
	rec.want(t, "started b a", "finished b a", "started last", "finished last")
}

func TestRunTargetsSideBySideUpToTheLimit(t *testing.T) {
	const limit = 3
	var mu sync.Mutex
	running, most := 0, 0
	full := make(chan struct{})
	e := executors.Each(func(ctx context.Context, _ planner.Change) error {
		mu.Lock()
		running++
		most = max(most, running)
		if running == limit {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		select { // the first ones wait for each other: they do run at once
		case <-full:
		case <-ctx.Done():
		}
		mu.Lock()
		running--
		mu.Unlock()
		return ctx.Err()
	})
	var cs []planner.Change
	for i := range 9 {
		cs = append(cs, route(i, 0, fmt.Sprintf("lb-%d", i), "a"))
	}
	if err := executors.Run(t.Context(), plan(cs...), e, &recorder{}, executors.Options{Parallel: limit}); err != nil {
		t.Fatal(err)
	}
	if most != limit {
		t.Errorf("%d at a time, want %d", most, limit)
	}
}

func TestRunBlocksWhatComesAfterAFailure(t *testing.T) {
	rec := &recorder{}
	p := plan(
		route(1, 0, "a", "bad"), route(2, 0, "a", "good"),
		route(3, 1, "b", "next", 1), route(4, 1, "b", "other", 2),
		route(5, 2, "b", "nextnext", 3, 4),
	)
	var phases []string
	re := runError(t, p, &memory.Executor{Refuse: refuse("bad")}, rec, executors.Options{Progress: func(e executors.Event) {
		phases = append(phases, e.Change.Ref().Name+" "+string(e.Phase))
		if want := e.Change.Stage + 1; e.Stage != want || e.Stages != 3 || e.InStage != []int{2, 2, 1}[e.Change.Stage] {
			t.Errorf("%s: stage %d of %d with %d changes", e.Change.Ref(), e.Stage, e.Stages, e.InStage)
		}
	}})
	if re.Failed != 1 || re.Blocked != 2 || re.Canceled != 0 || len(re.Failures) != 3 || re.Total != 5 {
		t.Errorf("%+v", re)
	}
	for _, f := range re.Failures[1:] {
		if executors.KindOf(f.Err) != executors.Blocked || !strings.Contains(f.Err.Error(), "create route/a/bad") {
			t.Errorf("%s: %v, want it blocked by the root of it", f.Change.Ref(), f.Err)
		}
	}
	if text := re.Error(); !strings.Contains(text, "1 of 5 changes failed, 2 that come after them were not tried") || !strings.Contains(text, "bad is bad") {
		t.Errorf("text %q", text)
	}
	rec.want(t, "started bad good", "finished bad!refused good", "started other", "finished other")
	want := "bad started, good started, bad finished, good finished, next blocked, other started, other finished, nextnext blocked"
	if got := strings.Join(phases, ", "); got != want {
		t.Errorf("phases %s\nwant   %s", got, want)
	}
}

func TestRunBisectsARefusedBatchByOwner(t *testing.T) {
	var cs []planner.Change
	for i := range 40 {
		cs = append(cs, route(i, 0, "lb", fmt.Sprintf("t%d-%d", i/2, i%2)))
	}
	far := &memory.Executor{Whole: true, Refuse: refuse("t3-1", "t17-0")}
	rounds := 0
	counted := applyFunc(func(ctx context.Context, cs []planner.Change) []error { rounds++; return far.Apply(ctx, cs) })
	rec := &recorder{}
	re := runError(t, plan(cs...), counted, rec, executors.Options{})
	var failed []string
	for _, f := range re.Failures {
		failed = append(failed, f.Change.Ref().Name)
		var e *executors.Error
		if !errors.As(f.Err, &e) || e.Batch || e.Kind != executors.Refused {
			t.Errorf("%s: %#v, want its own refusal", f.Change.Ref(), f.Err)
		}
	}
	if got := strings.Join(failed, " "); got != "t3-0 t3-1 t17-0 t17-1" {
		t.Errorf("failed: %s, want all of the guilty owners and no other", got)
	}
	if len(far.State()) != 36 {
		t.Errorf("%d objects made, want 36", len(far.State()))
	}
	if len(rec.lines) != 2 {
		t.Errorf("journal: %q, want one start and one finish", rec.lines)
	}
	if rounds > 21 { // 2 guilty of 20 owners: about 2·k·log2(n/k) + 2k rounds
		t.Errorf("%d rounds", rounds)
	}
}

type applyFunc func(context.Context, []planner.Change) []error

func (f applyFunc) Apply(ctx context.Context, cs []planner.Change) []error { return f(ctx, cs) }

func TestRunStopsWhenItsContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	far := &memory.Executor{}
	e := executors.Each(func(work context.Context, c planner.Change) error {
		cancel(errors.New("a newer commit came"))
		<-ctx.Done()
		return far.Apply(work, []planner.Change{c})[0]
	})
	rec := &recorder{}
	p := plan(route(1, 0, "a", "x"), route(2, 0, "a", "y"), route(3, 1, "a", "z"), route(4, 2, "a", "zz", 3))
	err := executors.Run(ctx, p, e, rec, executors.Options{})
	var re *executors.RunError
	if !errors.As(err, &re) || re.Canceled != 2 || re.Failed != 0 || re.Blocked != 0 {
		t.Fatalf("%v, want two canceled", err)
	}
	if !strings.Contains(err.Error(), "a newer commit came") {
		t.Errorf("%q doesn't say why", err)
	}
	rec.want(t, "started x y", "finished x y")
}

func TestRunDoneAtTheVeryEndIsSuccess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := executors.Each(func(context.Context, planner.Change) error { cancel(); return nil })
	if err := executors.Run(ctx, plan(route(1, 0, "a", "x")), e, &recorder{}, executors.Options{}); err != nil {
		t.Error(err)
	}
}

func TestRunGraceEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := executors.Each(func(work context.Context, _ planner.Change) error {
		cancel()
		<-work.Done() // never ends by itself
		return work.Err()
	})
	err := executors.Run(ctx, plan(route(1, 0, "a", "x")), e, &recorder{}, executors.Options{Grace: time.Millisecond})
	var re *executors.RunError
	if !errors.As(err, &re) || len(re.Failures) != 1 {
		t.Errorf("%v, want the batch that was cut off to be a failure", err)
	}
}

func TestRunStopsWhenTheJournalFails(t *testing.T) {
	far := &memory.Executor{}
	rec := &recorder{failStart: "y"}
	p := plan(route(1, 0, "a", "x"), route(2, 1, "a", "y"), route(3, 2, "a", "z"))
	re := runError(t, p, far, rec, executors.Options{})
	if re.Canceled != 2 || re.Cause == nil || !strings.Contains(re.Error(), "disk full") {
		t.Errorf("%v", re)
	}
	if len(far.State()) != 1 {
		t.Errorf("touched after the journal failed: %v", far.State())
	}
	rec.want(t, "started x", "finished x")

	far, rec = &memory.Executor{}, &recorder{failFinish: "x"}
	re = runError(t, p, far, rec, executors.Options{})
	if re.Canceled != 2 || re.Failed != 0 || !strings.Contains(re.Error(), "disk full") || len(far.State()) != 1 {
		t.Errorf("%v", re)
	}
	rec.want(t, "started x")
}

// What isn't as it was planned any more fails, untouched, with what comes after it. All else goes on, in the same batch too.
func TestG05_RunLeavesWhatHasChanged(t *testing.T) {
	e := &memory.Executor{}
	rec := &recorder{changed: []string{"x-1", "x-2", "y-1"}}
	p := plan(
		route(1, 1, "lb", "x-1"), route(2, 1, "lb", "a-1"), route(3, 1, "lb", "x-2"), route(4, 1, "other", "y-1"),
		route(5, 2, "lb", "a-2", 2), route(6, 2, "lb", "x-3", 1), route(7, 2, "other", "b-1"),
	)
	err := runError(t, p, e, rec, executors.Options{Parallel: 1})
	if err.Cause != nil || err.Failed != 3 || err.Blocked != 1 || err.Canceled != 0 {
		t.Errorf("failed %d, blocked %d, canceled %d, cause %v", err.Failed, err.Blocked, err.Canceled, err.Cause)
	}
	for _, f := range err.Failures {
		if name := f.Change.Ref().Name; name != "x-3" && (executors.KindOf(f.Err) != executors.Conflict || !strings.Contains(f.Err.Error(), name) || !strings.Contains(f.Err.Error(), "0123456789ab")) {
			t.Errorf("%s: %v; want a conflict that names it and what was found", name, f.Err)
		}
	}
	rec.want(t, "finished x-1!conflict x-2!conflict", "started a-1", "finished a-1", "finished y-1!conflict",
		"started a-2", "finished a-2", "started b-1", "finished b-1")
	if there := e.State(); len(there) != 3 {
		t.Errorf("there is %v", there)
	}
}

// A conflict that names nothing of the batch is a journal that fails.
func TestRunStopsAtAConflictOverNothing(t *testing.T) {
	rec := stubborn{}
	err := runError(t, plan(route(1, 1, "lb", "a")), &memory.Executor{}, rec, executors.Options{})
	if err.Cause == nil || err.Canceled != 1 {
		t.Errorf("canceled %d, cause %v", err.Canceled, err.Cause)
	}
}

// stubborn is a journal that finds a conflict over what isn't in the batch.
type stubborn struct{}

func (stubborn) Started(context.Context, []planner.Change) error { return &executors.ConflictError{} }

func (stubborn) Finished(context.Context, []planner.Change, []error) error { return nil }

func TestRunTakesAPanicForAnError(t *testing.T) {
	e := executors.Each(func(_ context.Context, c planner.Change) error {
		if c.Ref().Target == "a" {
			panic("nil map")
		}
		return nil
	})
	re := runError(t, plan(route(1, 0, "a", "x"), route(2, 0, "b", "y")), e, &recorder{}, executors.Options{})
	var p *executors.PanicError
	if re.Failed != 1 || !errors.As(re, &p) || p.Value != "nil map" || len(p.Stack) == 0 {
		t.Errorf("%v", re)
	}
}

func TestRunRefusesAPlanThatIsNoPlan(t *testing.T) {
	for name, p := range map[string]planner.Plan{
		"same id":    plan(route(1, 0, "a", "x"), route(1, 0, "a", "y")),
		"same stage": plan(route(1, 0, "a", "x"), route(2, 0, "a", "y", 1)),
		"no such id": plan(route(1, 0, "a", "x", 9)),
	} {
		far := &memory.Executor{}
		if err := executors.Run(t.Context(), p, far, &recorder{}, executors.Options{}); err == nil || len(far.State()) > 0 {
			t.Errorf("%s: %v, %d objects made", name, err, len(far.State()))
		}
	}
}
