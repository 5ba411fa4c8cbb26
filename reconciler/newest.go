package reconciler

import (
	"context"
	"errors"
	"fmt"

	"hostctl/schema"
)

// PlanError says why a manifest can't be planned, or must not be: no room for a node, a guard. The planner is pure, so
// the same commit gets the same answer until something else has changed.
type PlanError struct{ Err error }

func (e *PlanError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PlanError) Unwrap() error { return e.Err }

// BehindError refuses a commit that an applied one already contains.
type BehindError struct{ Commit, Applied string }

func (e *BehindError) Error() string {
	return fmt.Sprintf("commit %s is behind %s, which was applied last; to go back, 'git revert' what is to be undone and push that",
		short(e.Commit), short(e.Applied))
}

// DivergedError refuses a commit whose history doesn't contain the one that was applied last.
type DivergedError struct{ Commit, Applied string }

func (e *DivergedError) Error() string {
	return fmt.Sprintf("commit %s doesn't contain %s, which was applied last: the branch was rewritten; merge %s into it and push that",
		short(e.Commit), short(e.Applied), short(e.Applied))
}

// newest refuses a commit that is older than the one tried last; a run that failed counts too. What else it returns is
// no refusal.
func (r *Reconciler) newest(ctx context.Context, commit string, latest Run) error {
	if latest.Commit == "" {
		return nil
	}
	relation, err := r.Source.Relation(ctx, latest.Commit, commit)
	if err != nil {
		return fmt.Errorf("compare commit %s with %s: %w", short(commit), short(latest.Commit), err)
	}
	switch relation {
	case Behind:
		return &BehindError{Commit: commit, Applied: latest.Commit}
	case Diverged:
		return &DivergedError{Commit: commit, Applied: latest.Commit}
	}
	return nil
}

// Refusal reports whether an error is an answer about a commit, which the same commit gets again, and not about what had
// to be asked for it.
func Refusal(err error) bool {
	var (
		input    schema.Errors
		behind   *BehindError
		diverged *DivergedError
		plan     *PlanError
		frozen   *FrozenError
		rules    *RulesError
		lacking  *UnauthorisedError
	)
	return errors.As(err, &rules) || errors.As(err, &lacking) || errors.As(err, &input) || errors.As(err, &behind) || errors.As(err, &diverged) || errors.As(err, &plan) || errors.As(err, &frozen)
}
