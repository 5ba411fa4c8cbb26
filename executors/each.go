package executors

import (
	"context"

	"hostctl/planner"
)

// Each adapts a far side that takes one change at a time: the changes of a batch are applied one after the other, in
// order, and a failure stops no other. Once ctx is done the rest is Canceled.
func Each(one func(context.Context, planner.Change) error) Executor { return each(one) }

type each func(context.Context, planner.Change) error

// Apply implements Executor.
func (one each) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for i, c := range cs {
		if ctx.Err() != nil {
			errs[i] = NotTried(ctx)
			continue
		}
		errs[i] = one(ctx, c)
	}
	return errs
}

// NotTried is the error of a change that an executor didn't start because ctx is done.
func NotTried(ctx context.Context) error {
	return Errorf(Canceled, "not tried: %w", context.Cause(ctx))
}
