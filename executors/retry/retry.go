// Package retry wraps an executor: what fails in a way that may pass is tried again.
package retry

import (
	"cmp"
	"context"
	"io"
	"time"

	backoff "github.com/sethvargo/go-retry"

	"hostctl/executors"
	"hostctl/planner"
)

// Options say how often and how patiently. The zero value works.
type Options struct {
	// Busy and Unreachable are how many more times a change of that kind of error is tried; 0 means the defaults, and
	// less than 0 never.
	Busy, Unreachable int
	// First is the wait before the first further try; it doubles with each, up to Longest. Each wait is varied by a
	// quarter either way, so that many don't come back at once.
	First, Longest time.Duration
	// Sleep waits, or returns false if ctx was done before; nil means that of the clock.
	Sleep func(ctx context.Context, d time.Duration) bool
}

// Defaults of Options.
const (
	DefaultBusy        = 6
	DefaultUnreachable = 2
	DefaultFirst       = 100 * time.Millisecond
	DefaultLongest     = 3 * time.Second
)

const jitterPercent = 25

// New returns an executor that tries the changes of a batch again that e answered with Busy or Unreachable, and only
// those. Every other error is final at once. It gives up, with the last errors, when the tries are used up, when ctx is
// done, and before a wait that would outlast ctx's deadline. The executor is an executors.Observer if e is one, and
// closes e if that is an io.Closer.
func New(e executors.Executor, o Options) executors.Executor {
	o.Busy = cmp.Or(o.Busy, DefaultBusy)
	o.Unreachable = cmp.Or(o.Unreachable, DefaultUnreachable)
	o.First = cmp.Or(o.First, DefaultFirst)
	o.Longest = max(cmp.Or(o.Longest, DefaultLongest), o.First)
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	r := retrying{e: e, o: o}
	if ob, ok := e.(executors.Observer); ok {
		return observing{retrying: r, ob: ob}
	}
	return r
}

type retrying struct {
	e executors.Executor
	o Options
}

// Apply implements executors.Executor.
func (r retrying) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := r.e.Apply(ctx, cs)
	tries := r.tries()
	for len(errs) == len(cs) {
		again := tries.allowed(errs)
		if len(again) == 0 || !tries.wait(ctx) {
			break
		}
		part := make([]planner.Change, len(again))
		for i, j := range again {
			part[i] = cs[j]
		}
		answers := r.e.Apply(ctx, part)
		if len(answers) != len(part) {
			break
		}
		for i, j := range again {
			if executors.KindOf(answers[i]) != executors.Canceled { // it was tried before: what came of that tells more
				errs[j] = answers[i]
			}
		}
	}
	return errs
}

// Close closes the executor that is wrapped.
func (r retrying) Close() error {
	if c, ok := r.e.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// observing is retrying of an executor that can observe.
type observing struct {
	retrying
	ob executors.Observer
}

// Observe implements executors.Observer.
func (r observing) Observe(ctx context.Context) ([]planner.Object, error) {
	objects, err := r.ob.Observe(ctx)
	for tries := r.tries(); len(tries.allowed([]error{err})) > 0 && tries.wait(ctx); {
		objects, err = r.ob.Observe(ctx)
	}
	return objects, err
}

// tries counts the further tries of one batch.
type tries struct {
	o     Options
	n     int
	waits backoff.Backoff
}

func (r retrying) tries() *tries {
	b := backoff.WithJitterPercent(jitterPercent, backoff.WithCappedDuration(r.o.Longest, backoff.NewExponential(r.o.First)))
	return &tries{o: r.o, waits: b}
}

// allowed returns the indexes of the errors that may be tried once more.
func (t *tries) allowed(errs []error) []int {
	var again []int
	for i, err := range errs {
		switch k := executors.KindOf(err); {
		case k == executors.Busy && t.n < t.o.Busy, k == executors.Unreachable && t.n < t.o.Unreachable:
			again = append(again, i)
		}
	}
	return again
}

// wait waits for the next try; false means that there is no time for one.
func (t *tries) wait(ctx context.Context) bool {
	t.n++
	d, _ := t.waits.Next()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	return ctx.Err() == nil && t.o.Sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
