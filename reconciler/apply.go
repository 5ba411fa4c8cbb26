package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Apply carries out a plan exactly. It takes the run lock, records each change before and after it, and ends the run,
// also where ctx is done before its end. A plan of a commit that is behind the latest one, or beside it, is refused with a
// *BehindError or a *DivergedError, and one that lacks signatures or approvals as Authorised does. What fails is an
// *executors.RunError.
func (r *Reconciler) Apply(ctx context.Context, p planner.Plan, progress func(executors.Event)) error {
	return r.apply(ctx, p, applying{}, progress)
}

// applying is how a plan is applied.
type applying struct {
	why   string          // break-glass: nobody is asked for signatures; "" for none
	began func(run int64) // is told the number of the run when it has begun; may be nil
}

// apply is Apply, in another way.
func (r *Reconciler) apply(ctx context.Context, p planner.Plan, how applying, progress func(executors.Event)) error {
	if err := executable(p); err != nil {
		return err
	}
	tree, err := r.Source.Tree(ctx, p.Commit)
	if err != nil {
		return fmt.Errorf("read commit %s: %w", short(p.Commit), err)
	}
	defer done(tree)
	latest, err := r.latest(ctx)
	if err == nil {
		err = r.newest(ctx, p.Commit, latest)
	}
	if err != nil {
		return err
	}
	by, err := r.mayApply(ctx, latest.Commit, p.Commit, how.why)
	if err != nil {
		return err
	}
	if err := r.refuseLost(ctx, p); err != nil {
		return err
	}
	journal, err := r.Inventory.Begin(ctx, p, by) // not where there was a run since: then the plan is stale
	if err != nil {
		return err
	}
	if how.began != nil {
		how.began(journal.Run())
	}
	held, release := r.hold(ctx, journal)
	defer release()

	session := Session{Instance: p.Instance, Fence: journal.Run(), Blobs: tree, Drift: r.ordersOf(ctx, p.Commit)}
	far := r.farSides(p, session)
	runErr := executors.Run(held, p, far, journal, executors.Options{Progress: progress, Grace: r.Grace})
	if err := far.Close(); err != nil {
		r.Log.Warn("close the far sides", "run", journal.Run(), "error", err) // what was done is done
	}
	return errors.Join(runErr, end(ctx, journal, runErr))
}

// executable refuses a plan that was made for reading only.
func executable(p planner.Plan) error {
	if p.Commit == "" {
		return errors.New("this plan is of files that aren't committed; commit and push them, then plan again")
	}
	for _, c := range p.Changes {
		if n, ok := c.New.(planner.Container); ok && n.ImageID == "" && c.Action != planner.Update {
			return fmt.Errorf("%s: no engine holds the image %s; build or pull it on host %s, then plan again", n.Ref(), n.Image, n.Target)
		}
	}
	return nil
}

// hold renews the run's lease until release is called, also after ctx is done, for a run under way ends well then. A
// lease that is lost cancels the context.
func (r *Reconciler) hold(ctx context.Context, j Journal) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(cmp.Or(r.Holder.Lease, DefaultLease) / 3)
		defer tick.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-tick.C:
			}
			if err := j.Extend(renewing); err != nil && renewing.Err() == nil {
				cancel(fmt.Errorf("renew the run's lease: %w", err))
				return
			}
		}
	}()
	return held, func() { stop(); <-done; cancel(nil) }
}

// end records how the run ended, also after ctx is done: it was interrupted then, if it wasn't at its end.
func end(ctx context.Context, j Journal, runErr error) error {
	stopped := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	state, message := Succeeded, ""
	if runErr != nil {
		state, message = Failed, runErr.Error()
		if stopped {
			state = Interrupted
		}
	}
	if err := j.End(ctx, state, message); err != nil {
		return fmt.Errorf("end run %d: %w", j.Run(), err)
	}
	return nil
}

// farSides connects a plan's targets as they are needed.
func (r *Reconciler) farSides(p planner.Plan, s Session) *executors.Set {
	targets := make(map[string]planner.Target, len(p.Targets))
	for _, t := range p.Targets {
		targets[t.Name] = t
	}
	var set *executors.Set
	set = executors.NewSet(func(name string) (executors.Executor, error) {
		t, ok := targets[name]
		if !ok {
			return nil, executors.Errorf(executors.Refused, "the plan says nothing of target %s", name)
		}
		if len(t.AnyOf) > 0 {
			return executors.AnyOf(t.AnyOf, set.Executor), nil
		}
		return r.Connect(t, s)
	})
	return set
}

// done closes what was only read from, if it can be closed.
func done(v any) {
	if c, ok := v.(io.Closer); ok {
		_ = c.Close() // nothing was written that could be lost
	}
}
