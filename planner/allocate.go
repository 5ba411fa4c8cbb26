package planner

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hostctl/schema"
)

// The scopes of allocations.
const (
	scopeUID     = "uid"
	scopeHost    = "host"
	scopeAddress = "address/" // + cluster
	scopePort    = "port/"    // + host + "/" + protocol
)

// allocator makes decisions that must not be made twice, and remembers all that were ever made. A value that was taken
// by what is gone is not given away in the plan that releases it.
type allocator struct {
	byKey   map[allocKey]string // value
	byValue map[allocKey]string // key
	fresh   map[allocKey]string
	lastUID int
}

type allocKey struct{ scope, what string }

func newAllocator(ever []Allocation) *allocator {
	a := &allocator{
		byKey:   make(map[allocKey]string, len(ever)),
		byValue: make(map[allocKey]string, len(ever)),
		fresh:   map[allocKey]string{},
	}
	for _, e := range ever {
		a.byKey[allocKey{e.Scope, e.Key}] = e.Value
		a.byValue[allocKey{e.Scope, e.Value}] = e.Key
		if n, err := strconv.Atoi(e.Value); err == nil && e.Scope == scopeUID {
			a.lastUID = max(a.lastUID, n)
		}
	}
	return a
}

func (a *allocator) get(scope, key string) (string, bool) {
	v, ok := a.byKey[allocKey{scope, key}]
	return v, ok
}

// holder returns the key that has a value.
func (a *allocator) holder(scope, value string) (string, bool) {
	k, ok := a.byValue[allocKey{scope, value}]
	return k, ok
}

// free reports whether key may have value: nobody has it, or key itself.
func (a *allocator) free(scope, key, value string) bool {
	holder, taken := a.holder(scope, value)
	return !taken || holder == key
}

func (a *allocator) set(scope, key, value string) {
	if a.byKey[allocKey{scope, key}] == value {
		return
	}
	a.byKey[allocKey{scope, key}] = value
	a.byValue[allocKey{scope, value}] = key
	a.fresh[allocKey{scope, key}] = value
}

// made returns the new allocations, sorted by scope and key.
func (a *allocator) made() []Allocation {
	var all []Allocation
	for k, v := range a.fresh {
		all = append(all, Allocation{Scope: k.scope, Key: k.what, Value: v})
	}
	slices.SortFunc(all, Allocation.compare)
	return all
}

func (a Allocation) compare(b Allocation) int {
	return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
}

// uid returns a tenant's Unix user id: the one it ever had, or one that nobody ever had.
func (x *expansion) uid(tenant string) int {
	if v, ok := x.alloc.get(scopeUID, tenant); ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			x.problemf("uid of tenant %s: the inventory holds %q, which is no number", tenant, v)
		}
		return n
	}
	r := x.m.Platform.UIDs
	n := max(x.alloc.lastUID+1, r.First)
	if n > r.Last {
		x.problemf("tenant %s: no uid is left in %d-%d, and uids are never used again; raise platform.spec.uids.last", tenant, r.First, r.Last)
		return 0
	}
	x.alloc.lastUID = n
	x.alloc.set(scopeUID, tenant, strconv.Itoa(n))
	return n
}

// reservedAddresses at the start of a subnet: the first is the gateway, the others are for later.
const reservedAddresses = 9

// address returns a node's address in its cluster's subnet: the one it has, or the smallest that is free.
func (x *expansion) address(c schema.Cluster, node string) string {
	subnet, err := netip.ParsePrefix(c.Subnet)
	if err != nil {
		x.problemf("cluster %s: subnet %q: %v", c.Name, c.Subnet, err)
		return ""
	}
	scope := scopeAddress + c.Name
	if v, ok := x.alloc.get(scope, node); ok {
		if a, err := netip.ParseAddr(v); err == nil && subnet.Contains(a) {
			return v
		}
	}
	a := subnet.Masked().Addr().Next()
	for range reservedAddresses {
		a = a.Next()
	}
	for ; subnet.Contains(a.Next()); a = a.Next() { // the last one is the broadcast address
		if x.alloc.free(scope, node, a.String()) {
			x.alloc.set(scope, node, a.String())
			return a.String()
		}
	}
	x.problemf("cluster %s: no address is left in %s for node %s; make a second cluster, or lower a nodeCount", c.Name, c.Subnet, node)
	return ""
}

// agentPort is the name of the port that every node publishes for its agent.
const agentPort = "agent"

// publish allocates a host port for each port of a node. Ports with one number and several protocols (DNS) get one
// number on the host too.
func (x *expansion) publish(n *node) []PublishedPort {
	ports := slices.Clone(n.group.profile.Ports)
	if !slices.ContainsFunc(ports, func(p schema.Port) bool { return p.Name == agentPort }) {
		ports = append(ports, schema.Port{Name: agentPort, Container: AgentPort, Protocol: "tcp"})
	}
	slices.SortFunc(ports, func(a, b schema.Port) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name, b.Name))
	})
	var out []PublishedPort
	for i := 0; i < len(ports); {
		j := i + 1
		for j < len(ports) && ports[j].Container == ports[i].Container && ports[j].Protocol != ports[j-1].Protocol {
			j++
		}
		number := x.port(n, ports[i:j])
		for _, p := range ports[i:j] {
			out = append(out, PublishedPort{Name: p.Name, Container: p.Container, Address: n.host.Address, Host: number, Protocol: p.Protocol})
		}
		i = j
	}
	slices.SortFunc(out, func(a, b PublishedPort) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// port allocates one number for ports that differ in protocol only: the pinned one, the one they have, or the smallest
// free one.
func (x *expansion) port(n *node, ports []schema.Port) int {
	scope := func(p schema.Port) string { return scopePort + n.host.Name + "/" + p.Protocol }
	key := func(p schema.Port) string { return n.name + "/" + p.Name }
	fits := func(number int) bool {
		return !slices.ContainsFunc(ports, func(p schema.Port) bool {
			return !x.alloc.free(scope(p), key(p), strconv.Itoa(number)) && !x.passedOn(n, scope(p), number)
		})
	}
	take := func(number int) int {
		for _, p := range ports {
			x.alloc.set(scope(p), key(p), strconv.Itoa(number))
		}
		return number
	}
	for _, p := range ports {
		if p.Host == 0 {
			continue
		}
		if !fits(p.Host) {
			holder, _ := x.alloc.holder(scope(p), strconv.Itoa(p.Host))
			x.problemf("node %s: port %s wants %d/%s on host %s, which %s has; leave out the port's host number to have one allocated", n.name, p.Name, p.Host, p.Protocol, n.host.Name, holder)
			return 0
		}
		return take(p.Host)
	}
	for _, p := range ports {
		if v, ok := x.alloc.get(scope(p), key(p)); ok {
			if number, err := strconv.Atoi(v); err == nil && fits(number) {
				return take(number)
			}
		}
	}
	for number := n.host.PortRange.First; number <= n.host.PortRange.Last; number++ {
		if number > 0 && fits(number) {
			return take(number)
		}
	}
	x.problemf("node %s: no port is left in %d-%d of host %s for %s; widen its portRange", n.name, n.host.PortRange.First, n.host.PortRange.Last, n.host.Name, ports[0].Name)
	return 0
}

// passedOn reports whether a number on the node's host is that of a port of the node which has no such name any more: it had another.
func (x *expansion) passedOn(n *node, scope string, number int) bool {
	holder, _ := x.alloc.holder(scope, strconv.Itoa(number))
	name, ours := strings.CutPrefix(holder, n.name+"/")
	return ours && name != agentPort && !slices.ContainsFunc(n.group.profile.Ports, func(p schema.Port) bool { return p.Name == name })
}

// released returns the allocations of nodes that nobody declares any more, and of ports and places that nodes have
// given up. A uid is never released.
func (d *draft) released() []Allocation {
	x := d.expansion
	var out []Allocation
	sites := x.declaredSites()
	for _, a := range x.live.Allocations {
		if strings.HasPrefix(a.Scope, scopeValkey) {
			if d.valkeyReleased(a) {
				out = append(out, a)
			}
			continue
		}
		if a.Scope == scopeUID || a.Scope == scopeSite && !x.siteReleased(a, sites) {
			continue
		}
		nodeName, _, _ := strings.Cut(a.Key, "/")
		n, desired := x.nodes[nodeName]
		switch now, _ := x.alloc.get(a.Scope, a.Key); {
		case !desired, now != a.Value, x.elsewhere(n, a.Scope, a.Key):
			out = append(out, a)
		}
	}
	slices.SortFunc(out, Allocation.compare)
	return out
}

// elsewhere reports whether a scope and key are not the node's any more: a port it doesn't publish, or one of another host.
func (x *expansion) elsewhere(n *node, scope, key string) bool {
	if !strings.HasPrefix(scope, scopePort) {
		return false
	}
	_, name, _ := strings.Cut(key, "/")
	return !slices.ContainsFunc(n.ports, func(p PublishedPort) bool {
		return p.Name == name && scope == fmt.Sprintf("%s%s/%s", scopePort, n.host.Name, p.Protocol)
	})
}
