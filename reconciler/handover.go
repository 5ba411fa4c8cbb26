package reconciler

import (
	"context"

	"hostctl/executors"
	"hostctl/planner"
)

// handedOver is a plan that somebody wants the loop to apply.
type handedOver struct {
	ctx      context.Context
	plan     planner.Plan
	progress func(Event)
	done     chan error
}

// Apply applies a saved plan between two passes of the loop, so that hostd stays the only one that writes. It returns
// what the run returned.
func (l *Loop) Apply(ctx context.Context, p planner.Plan, progress func(Event)) error {
	h := handedOver{ctx: ctx, plan: p, progress: progress, done: make(chan error, 1)}
	select {
	case l.plans() <- h:
	case <-ctx.Done():
		return ctx.Err()
	}
	// Taken: the run is followed to its end, for it won't stop where the caller goes away.
	return <-h.done
}

func (l *Loop) plans() chan handedOver {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.handed == nil {
		l.handed = make(chan handedOver)
	}
	return l.handed
}

func (l *Loop) applyHandedOver(ctx context.Context, h handedOver) {
	if err := l.Reconciler.newest(ctx, h.plan.Commit); err != nil {
		h.done <- err
		return
	}
	h.done <- l.Reconciler.Apply(ctx, h.plan, func(e executors.Event) {
		l.progress(h.plan, e)
		h.progress(ChangeEventOf(h.plan, e))
	})
}
