package docker

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"hostctl/executors"
	"hostctl/planner"
)

// Instances returns the instances of hostctl, this one among them, that have a network with the name and the subnet of
// one on this engine: they run the same platform, for no engine has two networks of one subnet. It is sorted.
func (e *Executor) Instances(ctx context.Context, o planner.Network) ([]string, error) {
	ns, err := e.engine.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", labelInstance), filters.Arg("label", labelRef+"="+o.Ref().String()))})
	if err != nil {
		return nil, executors.Errorf(kind(err), "list the networks of %s: %w", e.o.Target, err)
	}
	var found []string
	for _, n := range ns {
		if subnet(n) == o.Subnet {
			found = append(found, n.Labels[labelInstance])
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
