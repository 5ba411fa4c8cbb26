package reconciler

import (
	"context"
	"errors"
	"fmt"

	"hostctl/planner"
	"hostctl/schema"
)

// Trailers is the ability of a Source to read what commit messages say in their last lines (git-interpret-trailers(1)).
type Trailers interface {
	// Trailers returns the values of a trailer in the commits that b has and a doesn't, the newest commit first. With a ""
	// it reads all of b's history.
	Trailers(ctx context.Context, key, a, b string) ([]string, error)
}

// planFunc is planner.New, or does the same.
type planFunc func(schema.Manifest, planner.Live, planner.Policy) (planner.Plan, error)

// plan plans a manifest. Only where the guards refuse are the messages read of the commits since the last applied one: what
// they allow by name may be destroyed.
func (r *Reconciler) plan(ctx context.Context, m schema.Manifest, live planner.Live) (planner.Plan, error) {
	return r.planBy(ctx, r.newPlan, m, live)
}

// planBy does what plan does with a planner.
func (r *Reconciler) planBy(ctx context.Context, plan planFunc, m schema.Manifest, live planner.Live) (planner.Plan, error) {
	p, err := plan(m, live, r.Policy)
	var refused *planner.RefusedError
	source, ok := r.Source.(Trailers)
	if !errors.As(err, &refused) || !ok || m.Commit == "" || m.Commit == live.Commit {
		return p, planError(err)
	}
	said, readErr := source.Trailers(ctx, planner.Trailer, live.Commit, m.Commit)
	if readErr != nil {
		return p, fmt.Errorf("read what commits allow: %w", readErr)
	}
	if len(said) == 0 {
		return p, planError(err)
	}
	policy := r.Policy
	policy.AllowDestroy = append(said, policy.AllowDestroy...)
	p, err = plan(m, live, policy)
	return p, planError(err)
}

func planError(err error) error {
	if err == nil {
		return nil
	}
	return &PlanError{Err: err}
}
