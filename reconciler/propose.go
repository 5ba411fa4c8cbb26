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
	aside, err := r.besides(Ask{})
	if err != nil {
		return Preview{}, err
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return Preview{}, err
	}
	aside.Connect = onlyOurs(r.Connect, live.Targets)
	return aside.Preview(ctx, base, head)
}

// errProposed is what is noted where a plan would ask a far side more.
var errProposed = errors.New("nobody is asked for what is only proposed")

// onlyOurs connects to engines of hosts that were applied, under the same name at the same place.
func onlyOurs(connect Connect, ours []planner.Target) Connect {
	if connect == nil {
		return nil
	}
	return func(t planner.Target, s Session) (executors.Executor, error) {
		if t.Docker == nil {
			return nil, errProposed
		}
		for _, o := range ours {
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
