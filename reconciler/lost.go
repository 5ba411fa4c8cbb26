package reconciler

import (
	"context"
	"fmt"
	"io"

	"hostctl/executors"
	"hostctl/planner"
)

// InstanceFinder is the ability of a Docker executor to say which instances of hostctl have a network on its engine.
type InstanceFinder interface {
	Instances(ctx context.Context, n planner.Network) ([]string, error)
}

// LostError refuses a plan of an empty inventory for a platform that is there already: it would be made a second time.
type LostError struct{ Host, Cluster, Instance string }

func (e *LostError) Error() string {
	return fmt.Sprintf("host %s runs cluster %s already, of instance %s, and this inventory is empty: name the inventory of that platform "+
		"(--state, --database), put its backup back ('hostctl inventory restore FILE'), or make it again from what is there: 'hostctl inventory rebuild --instance %s'",
		e.Host, e.Cluster, e.Instance, e.Instance)
}

// refuseLost refuses with a *LostError a plan that would make anew, from an empty inventory, what a host already runs. It
// asks the hosts only before the first run ever.
func (r *Reconciler) refuseLost(ctx context.Context, p planner.Plan) error {
	runs, err := r.Inventory.Runs(ctx, 1)
	if err != nil {
		return fmt.Errorf("read the latest run: %w", err)
	}
	if len(runs) > 0 && runs[0].Plan != lostPlan {
		return nil
	}
	hosts := map[string]planner.Target{}
	for _, t := range p.Targets {
		if t.Docker != nil {
			hosts[t.Name] = t
		}
	}
	for _, c := range p.Changes {
		n, ok := c.New.(planner.Network)
		if !ok || c.Action != planner.Create {
			continue
		}
		if err := r.refuseSecond(ctx, hosts[n.Target], n, p.Instance); err != nil {
			return err
		}
	}
	return nil
}

// lostPlan stands for the plan of the runs that an inventory has lost: see record.Store.Adopt.
const lostPlan = "lost"

func (r *Reconciler) refuseSecond(ctx context.Context, host planner.Target, n planner.Network, instance string) error {
	if host.Docker == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	far, err := r.Connect(host, Session{Instance: instance})
	if err != nil {
		return fmt.Errorf("look for another instance on host %s: %w", host.Name, err)
	}
	if c, ok := far.(io.Closer); ok {
		defer func() { _ = c.Close() }() // only read
	}
	f, ok := far.(InstanceFinder)
	if !ok {
		return nil
	}
	found, err := f.Instances(ctx, n)
	switch {
	case executors.KindOf(err) == executors.Unreachable:
		return nil // nothing can be made on it either
	case err != nil:
		return fmt.Errorf("look for another instance on host %s: %w", host.Name, err)
	case len(found) > 0:
		return &LostError{Host: host.Name, Cluster: n.Name, Instance: found[0]}
	}
	return nil
}
