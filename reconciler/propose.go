package reconciler

import (
	"context"
	"errors"

	"hostctl/executors"
	"hostctl/planner"
)

// Propose is the Preview of a commit that somebody proposes. Nothing of it is remembered. No secret is opened, and no far
// side is asked but engines that are ours already, which images they hold: whoever proposes a change must not have hostd
// call on a machine, or show a key to one, that the change itself names.
func (r *Reconciler) Propose(ctx context.Context, base, head string) (Preview, error) {
	aside, err := r.besides(ctx, Ask{Proposed: true})
	if err != nil {
		return Preview{}, err
	}
	return aside.Preview(ctx, base, head)
}

// PlanProposed is Plan for a commit that somebody proposes; see Propose.
func (r *Reconciler) PlanProposed(ctx context.Context, commit string) (planner.Plan, error) {
	aside, err := r.besides(ctx, Ask{Proposed: true})
	if err != nil {
		return planner.Plan{}, err
	}
	return aside.Plan(ctx, commit)
}

// errProposed is what is noted where a plan would ask a far side more.
var errProposed = errors.New("nobody is asked for what is only proposed")

// onlyOurs connects to engines of hosts that were applied, under the same name at the same place.
func (r *Reconciler) onlyOurs(ctx context.Context) Connect {
	if r.Connect == nil {
		return nil
	}
	connect := r.Connect
	return func(t planner.Target, s Session) (executors.Executor, error) {
		if t.Docker == nil {
			return nil, errProposed
		}
		live, err := r.Inventory.Live(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range live.Targets {
			if o.Name == t.Name && o.Docker != nil && o.Docker.Endpoint == t.Docker.Endpoint && sameTLS(o, t) {
				return connect(t, Session{Instance: s.Instance})
			}
		}
		return silent{}, nil
	}
}

func sameTLS(a, b planner.Target) bool {
	if a.Docker.TLS == nil || b.Docker.TLS == nil {
		return a.Docker.TLS == b.Docker.TLS
	}
	return *a.Docker.TLS == *b.Docker.TLS
}

// silent is an engine that says nothing.
type silent struct{}

// Apply implements executors.Executor.
func (silent) Apply(_ context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for i := range errs {
		errs[i] = errProposed
	}
	return errs
}
