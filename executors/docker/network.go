package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"hostctl/executors"
	"hostctl/planner"
)

// putNetwork makes a network what it should be. One with another subnet is made anew, which the engine allows only when
// no container is in it.
func (e *Executor) putNetwork(ctx context.Context, o planner.Network) error {
	if _, err := netip.ParsePrefix(o.Subnet); err != nil {
		return executors.Errorf(executors.Refused, "%s: subnet: %w", o.Ref(), err)
	}
	n, err := e.findNetwork(ctx, o.Ref())
	switch {
	case err != nil:
		return err
	case n != nil && subnet(*n) == o.Subnet && n.Driver == "bridge":
		return nil
	case n != nil:
		if err := e.removeNetwork(ctx, o.Ref(), *n); err != nil {
			return err
		}
	}
	_, err = e.engine.NetworkCreate(ctx, e.name(o.Name), network.CreateOptions{
		Driver: "bridge",
		IPAM:   &network.IPAM{Config: []network.IPAMConfig{{Subnet: o.Subnet}}},
		Labels: e.labels(o),
	})
	if err != nil && textHas(err, "overlaps") {
		return e.overlap(ctx, o, err)
	}
	if err != nil {
		return fail(o.Ref(), "create the network with subnet "+o.Subnet, err)
	}
	return nil
}

// deleteNetwork removes a network; containers that are in it keep it.
func (e *Executor) deleteNetwork(ctx context.Context, o planner.Network) error {
	n, err := e.findNetwork(ctx, o.Ref())
	if err != nil || n == nil {
		return err
	}
	return e.removeNetwork(ctx, o.Ref(), *n)
}

func (e *Executor) removeNetwork(ctx context.Context, r planner.Ref, n network.Inspect) error {
	err := e.engine.NetworkRemove(ctx, n.ID)
	switch {
	case err == nil, cerrdefs.IsNotFound(err):
		return nil
	case len(n.Containers) == 0:
		return fail(r, "remove the network", err)
	}
	var names []string
	for _, c := range n.Containers {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return executors.Errorf(executors.Conflict, "%s: the network still has containers: %s; remove them first", r, strings.Join(names, ", "))
}

// findNetwork returns the network of that name, nil if there is none, and a Conflict if it is someone else's.
func (e *Executor) findNetwork(ctx context.Context, r planner.Ref) (*network.Inspect, error) {
	n, err := e.engine.NetworkInspect(ctx, e.name(r.Name), network.InspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(r, "inspect the network", err)
	}
	return &n, e.mine(r, n.Labels)
}

// overlap says what stands in the way of a new network. It may be the network itself: the engine goes on with a request
// whose client was killed, and such a network has its subnet before it can be seen.
func (e *Executor) overlap(ctx context.Context, o planner.Network, cause error) error {
	const enough = 5 * time.Second
	within, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	for {
		n, err := e.findNetwork(ctx, o.Ref())
		if err != nil || n != nil && subnet(*n) == o.Subnet {
			return err
		}
		with, err := e.overlapping(ctx, o)
		switch {
		case err != nil:
			return err
		case with != "":
			return executors.Errorf(executors.Refused, "%s: the subnet %s overlaps with %s; choose another Cluster network.subnet, or remove that network: %w", o.Ref(), o.Subnet, with, cause)
		}
		if !pause(within, pollInterval) {
			return fail(o.Ref(), "create the network with subnet "+o.Subnet, cause)
		}
	}
}

// overlapping names the network of the engine whose subnet overlaps with a network's, "" if there is none.
func (e *Executor) overlapping(ctx context.Context, o planner.Network) (string, error) {
	want, err := netip.ParsePrefix(o.Subnet)
	if err != nil {
		return "", err
	}
	all, err := e.engine.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return "", fail(o.Ref(), "list the networks", err)
	}
	for _, n := range all {
		if p, err := netip.ParsePrefix(subnet(n)); err == nil && p.Overlaps(want) && n.Name != e.name(o.Name) {
			return fmt.Sprintf("Docker's network %s (%s)", n.Name, p), nil
		}
	}
	return "", nil
}

// subnet returns the IPv4 subnet of a network, "" if it has none.
func subnet(n network.Inspect) string {
	for _, c := range n.IPAM.Config {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Addr().Is4() {
			return c.Subnet
		}
	}
	return ""
}
