package reconciler

import (
	"context"
	"errors"
	"sync"

	"hostctl/executors"
	"hostctl/planner"
)

// ErrStopped says that the loop takes no more plans.
var ErrStopped = errors.New("hostd is stopping; apply again when it has")

// handedOver is a plan that somebody wants the loop to apply.
type handedOver struct {
	plan planner.Plan
	why  string // break-glass; "" for none
	done chan error
	more chan struct{} // there are events

	mu     sync.Mutex
	events []Event
}

// Apply applies a saved plan between two passes of the loop, so that hostd stays the only one that writes. It returns
// what the run returned. progress is called by the goroutine that called Apply: a run doesn't wait for those who watch it.
func (l *Loop) Apply(ctx context.Context, p planner.Plan, progress func(Event)) error {
	return l.handOver(ctx, &handedOver{plan: p}, progress)
}

// BreakGlass is Apply as Reconciler.BreakGlass does it.
func (l *Loop) BreakGlass(ctx context.Context, p planner.Plan, reason string, progress func(Event)) error {
	if err := CheckReason(reason); err != nil {
		return err
	}
	return l.handOver(ctx, &handedOver{plan: p, why: reason}, progress)
}

func (l *Loop) handOver(ctx context.Context, h *handedOver, progress func(Event)) error {
	h.done, h.more = make(chan error, 1), make(chan struct{}, 1)
	ch := l.channels()
	select {
	case ch.handed <- h:
	case <-ch.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	for { // taken: the run is followed to its end, for it won't stop where the caller goes away
		select {
		case <-h.more:
			h.pass(progress)
		case err := <-h.done:
			h.pass(progress)
			return err
		}
	}
}

func (h *handedOver) add(e Event) {
	h.mu.Lock()
	h.events = append(h.events, e)
	h.mu.Unlock()
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// pass passes on what was added since the last time.
func (h *handedOver) pass(progress func(Event)) {
	h.mu.Lock()
	events := h.events
	h.events = nil
	h.mu.Unlock()
	for _, e := range events {
		progress(e)
	}
}

// applyHandedOver applies a plan that was handed over. A pass follows it, which does the rest.
func (l *Loop) applyHandedOver(ctx context.Context, h *handedOver) error {
	summary, err := l.run(ctx, h.plan, h.why, h.add)
	var failed *executors.RunError
	switch {
	case err == nil:
		l.ranWell(h.plan, summary)
	case errors.As(err, &failed):
		l.runFailed(ctx, h.plan, err)
	}
	return err
}
