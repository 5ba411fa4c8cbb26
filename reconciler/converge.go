package reconciler

import (
	"context"
	"fmt"
	"slices"

	"hostctl/planner"
)

// Touch marks the objects that a name means as to be touched again by the next plan, whether they differ or not: all of
// a shard's or a host's, all on a node, all of a tenant, or the one with that reference. It returns what it marked.
func Touch(ctx context.Context, inv Inventory, name string) ([]planner.Ref, error) {
	live, err := inv.Live(ctx)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	var refs []planner.Ref
	for ref, o := range live.State {
		if means(name, ref, o) {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, planner.Ref.Compare)
	if _, err := inv.Drifted(ctx, refs, "asked for by 'hostctl converge'"); err != nil {
		return nil, fmt.Errorf("mark what is to be touched again: %w", err)
	}
	return refs, nil
}

// means reports whether an object is meant by a name. Containers, networks and volumes are not meant by the name of a
// node, a shard or a tenant: what is on a node is put right without making the node anew.
func means(name string, ref planner.Ref, o planner.Object) bool {
	owner := o.Owner()
	switch {
	case ref.String() == name:
		return true
	case engineHolds(ref.Kind):
		return false
	case owner.Tenant == name, ref.Target == name, ref.Kind == planner.KindAgent && ref.Name == name:
		return true
	}
	return owner.Kind == "Shard" && owner.Name == name || onShard(name, ref)
}

// onShard reports whether an object stands on a node of a shard: <shard>-<n>.
func onShard(shard string, ref planner.Ref) bool {
	return len(ref.Target) > len(shard)+1 && ref.Target[:len(shard)+1] == shard+"-" && digits(ref.Target[len(shard)+1:])
}

func digits(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(b byte) bool { return b < '0' || b > '9' })
}
