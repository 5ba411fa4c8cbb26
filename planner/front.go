package planner

import (
	"net/netip"
	"slices"
)

// front returns from where a cluster's load balancers reach a node, as Vhost.Front has it. Of one on the node's host the
// address is known. One on another host may come from any private network, for what goes between hosts may be given another
// address on its way, but not from the cluster's own: in that one all that comes is of this host, where tenants' programs run too.
func (n *node) front() []string {
	own, err := netip.ParsePrefix(n.group.cluster.Subnet)
	if err != nil {
		return nil // it is told of where addresses are given
	}
	var all []string
	for _, lb := range n.group.cluster.lb.nodes {
		switch {
		case lb.host == n.host:
			all = append(all, lb.address)
		case lb.host == nil && n.host.here():
			all = append(all, own.Addr().Next().String()) // the host's own in the network, the first one
		default:
			all = append(all, "!"+own.String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
