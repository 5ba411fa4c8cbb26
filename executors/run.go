package executors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"hostctl/planner"
)

// Options of a run. The zero value works.
type Options struct {
	// Parallel is how many targets are worked on at a time; 0 means DefaultParallel.
	Parallel int
	// Progress, where set, is told what happens as it happens. It is never called twice at a time and should return
	// soon, for batches wait for it.
	Progress func(Event)
	// Grace is how long batches that run may go on after ctx is done; 0 means DefaultGrace.
	Grace time.Duration
}

// Defaults of Options.
const (
	DefaultParallel = 16
	DefaultGrace    = 20 * time.Second
)

// Event is one step of one change.
type Event struct {
	Change  planner.Change
	Phase   Phase
	Err     error         // of a change that did not succeed
	Elapsed time.Duration // since its batch was started; 0 for one that wasn't

	Stage   int // the one that is under way, counting from 1
	Stages  int // of the plan
	InStage int // changes of this stage
}

// Phase is where a change is in a run.
type Phase string

// The phases. Each change ends in exactly one of finished, blocked and canceled.
const (
	PhaseStarted  Phase = "started"
	PhaseFinished Phase = "finished" // well, or with Event.Err
	PhaseBlocked  Phase = "blocked"  // not tried: a change that it comes after didn't succeed
	PhaseCanceled Phase = "canceled" // not tried: the run was stopped before
)

// Run carries a plan out, stage by stage. The changes of a stage whose After all succeeded are applied in one batch for
// each target, several targets at a time, in the plan's order within the batch. Each batch is one Started before and one
// Finished after it. A change whose After didn't succeed is neither applied nor journaled; its error is of kind Blocked.
//
// A batch that the far side refuses as a whole (Error.Batch) is cut in halves by owner, and these are applied again,
// until only changes of guilty owners carry errors. The journal sees the outcome, not the rounds.
//
// Once ctx is done nothing new starts. Batches that run have Options.Grace to end; what was not tried is Canceled.
// A recorder that fails stops the run in the same way, for what can't be journaled must not be done: of a batch whose
// Started failed nothing is touched; one whose Finished failed stays started in the journal, and so is dirty. But where
// Started finds that objects aren't what their changes start from (a *ConflictError), only these changes fail, untouched.
//
// The error is nil when every change succeeded, else a *RunError.
func Run(ctx context.Context, p planner.Plan, e Executor, rec Recorder, o Options) error {
	if err := wellFormed(p); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, done := outlive(ctx, cmp.Or(o.Grace, DefaultGrace))
	defer done()
	r := &run{
		executor: e, recorder: rec, options: o,
		stop: stop, work: work,
		errs: map[int]error{}, changes: map[int]planner.Change{},
	}
	for _, c := range p.Changes {
		r.changes[c.ID] = c
	}
	all := stages(p.Changes)
	for i, stage := range all {
		r.at = Event{Stage: i + 1, Stages: len(all), InStage: len(stage)}
		r.stage(ctx, stage)
	}
	return r.result(ctx, p)
}

// wellFormed checks what Run relies on: that ids are unique and After points at earlier stages.
func wellFormed(p planner.Plan) error {
	stage := make(map[int]int, len(p.Changes))
	for _, c := range p.Changes {
		if _, twice := stage[c.ID]; twice {
			return fmt.Errorf("plan: two changes have the id %d", c.ID)
		}
		stage[c.ID] = c.Stage
	}
	for _, c := range p.Changes {
		for _, id := range c.After {
			if s, ok := stage[id]; !ok || s >= c.Stage {
				return fmt.Errorf("plan: change %d (%s, stage %d) comes after change %d, which is in no earlier stage", c.ID, c.Ref(), c.Stage, id)
			}
		}
	}
	return nil
}

// outlive returns a context that is done a while after ctx is.
func outlive(ctx context.Context, grace time.Duration) (context.Context, func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { unwatch(); cancel() }
}

// stages cuts changes by stage, the first one first, in the plan's order within a stage.
func stages(cs []planner.Change) [][]planner.Change {
	return groups(cs, func(c planner.Change) int { return c.Stage }, cmp.Compare[int])
}

// groups cuts changes by a key; order, where given, sorts the groups, which otherwise stand as their first changes do.
func groups[K comparable](cs []planner.Change, key func(planner.Change) K, order func(a, b K) int) [][]planner.Change {
	byKey := map[K][]planner.Change{}
	var keys []K
	for _, c := range cs {
		k := key(c)
		if _, ok := byKey[k]; !ok {
			keys = append(keys, k)
		}
		byKey[k] = append(byKey[k], c)
	}
	if order != nil {
		slices.SortFunc(keys, order)
	}
	out := make([][]planner.Change, len(keys))
	for i, k := range keys {
		out[i] = byKey[k]
	}
	return out
}

// run is one execution of a plan.
type run struct {
	executor Executor
	recorder Recorder
	options  Options
	changes  map[int]planner.Change
	stop     context.CancelCauseFunc // no new batches
	work     context.Context         // of batches; outlives the run's by the grace time

	mu      sync.Mutex
	errs    map[int]error // by id, of what has ended; nil for success
	journal error         // why the journal couldn't be written

	progress sync.Mutex
	at       Event // of which only the stage is set; changed between stages
}

// stage applies what is ready of one stage and returns when all of it has ended.
func (r *run) stage(ctx context.Context, cs []planner.Change) {
	ready := r.ready(cs)
	batches := groups(ready, func(c planner.Change) string { return c.Ref().Target }, nil)
	slots := make(chan struct{}, cmp.Or(r.options.Parallel, DefaultParallel))
	var all sync.WaitGroup
	for _, b := range batches {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			r.batch(ctx, b)
		})
	}
	all.Wait()
}

// ready returns the changes whose After all succeeded, and ends the others.
func (r *run) ready(cs []planner.Change) []planner.Change {
	var ready []planner.Change
	for _, c := range cs {
		if err := r.blocked(c); err != nil {
			r.skip(c, err)
		} else {
			ready = append(ready, c)
		}
	}
	return ready
}

// blocked returns why a change can't be tried, naming the change at the root of it; nil if it can.
func (r *run) blocked(c planner.Change) error {
	for _, id := range c.After {
		err := r.errs[id]
		var b *blockedError
		switch {
		case err == nil:
			continue
		case KindOf(err) == Canceled:
			return Errorf(Canceled, "not tried: %s, which it comes after, was not tried", title(r.changes[id]))
		case errors.As(err, &b):
			return &Error{Kind: Blocked, Err: b}
		}
		return &Error{Kind: Blocked, Err: &blockedError{by: r.changes[id]}}
	}
	return nil
}

// batch journals and applies the changes of one target.
func (r *run) batch(ctx context.Context, cs []planner.Change) {
	if ctx.Err() != nil {
		r.cancel(cs, context.Cause(ctx))
		return
	}
	if cs = r.started(ctx, cs); len(cs) == 0 {
		return
	}
	began := time.Now()
	for _, c := range cs {
		r.tell(Event{Change: c, Phase: PhaseStarted})
	}
	errs := r.settle(ctx, cs)
	r.finished(ctx, cs, errs, time.Since(began))
}

// started journals the start of changes and returns those that may be applied. A change of an object that the journal has
// differently than the plan ends here; the others go on without it.
func (r *run) started(ctx context.Context, cs []planner.Change) []planner.Change {
	for len(cs) > 0 {
		err := r.recorder.Started(ctx, cs)
		if err == nil {
			return cs
		}
		var conflict *ConflictError
		if ctx.Err() == nil && errors.As(err, &conflict) {
			if refused := conflict.of(cs); len(refused) > 0 {
				cs = r.refuse(ctx, cs, refused)
				continue
			}
		}
		if ctx.Err() == nil {
			r.halt(fmt.Errorf("journal: record the start of %d changes on %s: %w", len(cs), cs[0].Ref().Target, err))
		}
		r.cancel(cs, context.Cause(ctx))
		return nil
	}
	return nil
}

// refuse ends the changes of the objects that refused has an error for, and returns the others.
func (r *run) refuse(ctx context.Context, cs []planner.Change, refused map[planner.Ref]error) []planner.Change {
	var bad, rest []planner.Change
	var errs []error
	for _, c := range cs {
		if err, ok := refused[c.Ref()]; ok {
			bad, errs = append(bad, c), append(errs, err)
		} else {
			rest = append(rest, c)
		}
	}
	r.finished(ctx, bad, errs, 0)
	return rest
}

// finished journals the end of changes and tells it.
func (r *run) finished(ctx context.Context, cs []planner.Change, errs []error, took time.Duration) {
	if err := r.recorder.Finished(context.WithoutCancel(ctx), cs, errs); err != nil {
		r.halt(fmt.Errorf("journal: record the end of %d changes on %s: %w", len(cs), cs[0].Ref().Target, err))
	}
	for i, c := range cs {
		r.end(c, errs[i])
		r.tell(Event{Change: c, Phase: PhaseFinished, Err: errs[i], Elapsed: took})
	}
}

// settle applies changes and bisects what is refused as a whole, until each error is that of its own owner.
func (r *run) settle(ctx context.Context, cs []planner.Change) []error {
	errs := r.apply(cs)
	var refused []planner.Change
	at := map[int]int{}
	for i, c := range cs {
		at[c.ID] = i
		if isBatch(errs[i]) {
			refused = append(refused, c)
		}
	}
	owners := groups(refused, func(c planner.Change) string { return c.Owner().ID() }, nil)
	switch {
	case len(owners) == 0:
		return errs
	case len(owners) == 1:
		for _, c := range refused {
			errs[at[c.ID]] = alone(errs[at[c.ID]])
		}
		return errs
	}
	for _, half := range [][]planner.Change{
		inOrder(owners[:len(owners)/2], at),
		inOrder(owners[len(owners)/2:], at),
	} {
		again := All(len(half), Errorf(Canceled, "refused with others of its batch, and the run was stopped before it was tried alone"))
		if ctx.Err() == nil {
			again = r.settle(ctx, half)
		}
		for i, c := range half {
			errs[at[c.ID]] = again[i]
		}
	}
	return errs
}

// inOrder joins groups of changes in the order that the batch had.
func inOrder(owners [][]planner.Change, at map[int]int) []planner.Change {
	cs := slices.Concat(owners...)
	slices.SortFunc(cs, func(a, b planner.Change) int { return cmp.Compare(at[a.ID], at[b.ID]) })
	return cs
}

// apply calls the executor. A panic in it, and an answer that doesn't fit, are errors of the batch.
func (r *run) apply(cs []planner.Change) (errs []error) {
	defer func() {
		if v := recover(); v != nil {
			errs = All(len(cs), &Error{Kind: Unknown, Err: &PanicError{Value: v, Stack: debug.Stack()}})
		}
	}()
	errs = slices.Clone(r.executor.Apply(r.work, cs))
	if len(errs) != len(cs) {
		errs = All(len(cs), Errorf(Unknown, "the executor answered %d changes with %d errors; this is a bug in it", len(cs), len(errs)))
	}
	return errs
}

// cancel ends changes that were not tried because the run was stopped.
func (r *run) cancel(cs []planner.Change, why error) {
	for _, c := range cs {
		r.skip(c, Errorf(Canceled, "not tried, the run was stopped: %w", why))
	}
}

// skip ends a change that was not tried.
func (r *run) skip(c planner.Change, err error) {
	r.end(c, err)
	phase := PhaseBlocked
	if KindOf(err) == Canceled {
		phase = PhaseCanceled
	}
	r.tell(Event{Change: c, Phase: phase, Err: err})
}

// halt stops the run because the journal couldn't be written.
func (r *run) halt(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.journal == nil {
		r.journal = err
	}
	r.stop(err)
}

func (r *run) end(c planner.Change, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs[c.ID] = err
}

func (r *run) tell(e Event) {
	if r.options.Progress == nil {
		return
	}
	e.Stage, e.Stages, e.InStage = r.at.Stage, r.at.Stages, r.at.InStage
	r.progress.Lock()
	defer r.progress.Unlock()
	r.options.Progress(e)
}
