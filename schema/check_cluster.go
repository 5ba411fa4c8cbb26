package schema

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// part is a set of nodes that a cluster needs: a managed part of its infrastructure, or a shard.
type part struct {
	origin  *origin
	field   string // where its profile is named
	name    string // its nodes are <name>-<n>
	role    Role
	count   int
	profile string
	labels  map[string]string
}

// parts are all sets of nodes of a cluster.
func (c *catalog) parts(cluster *decl[Cluster]) []part {
	var out []part
	add := func(field, suffix string, role Role, i Infrastructure) {
		if i.Count > 0 {
			field = "spec.infrastructure." + field + ".managed.profile"
			out = append(out, part{&cluster.origin, field, cluster.meta.Name + suffix, role, i.Count, i.Profile, nil})
		}
	}
	add("haproxy", "-lb", RoleLB, cluster.v.HAProxy)
	add("powerdns", "-dns", RoleDNS, cluster.v.PowerDNS)
	add("serviceDB", "-db", RoleServiceDB, cluster.v.ServiceDB)
	for _, s := range c.shards.sound() {
		if s.v.Cluster == cluster.meta.Name {
			out = append(out, part{&s.origin, "spec.nodeCount", s.meta.Name, s.v.Role, s.v.NodeCount, s.v.Profile, s.v.HostSelector})
		}
	}
	return out
}

// checkNodes refuses names that two sets of nodes, or a node and a set, would share.
func (c *catalog) checkNodes() {
	sets, nodes := map[string]*origin{}, map[string]*origin{}
	for _, d := range c.clusters.sound() {
		for _, p := range c.parts(d) {
			if other, taken := sets[p.name]; taken {
				c.fail(p.origin, "metadata.name", "its nodes would be named %s-0 and up, as those of %s; rename one", p.name, describe(other))
			}
			sets[p.name] = p.origin
			for n := range p.count {
				nodes[fmt.Sprintf("%s-%d", p.name, n)] = p.origin
			}
		}
	}
	for _, name := range sortedKeys(sets) {
		if other := nodes[name]; other != nil {
			c.fail(sets[name], "metadata.name", "a node of %s has this name; rename one", describe(other))
		}
	}
}

// describe names a resource with its place.
func describe(o *origin) string {
	return fmt.Sprintf("%s/%s (%s)", strings.ToLower(string(o.meta.Kind)), o.meta.Name, o.meta.Position)
}

// checkNetworks refuses networks that overlap, and those too small for their nodes.
func (c *catalog) checkNetworks() {
	clusters := c.clusters.sound()
	for i, d := range clusters {
		network, err := netip.ParsePrefix(d.v.Subnet)
		if err != nil {
			continue
		}
		for _, other := range clusters[:i] {
			if o, err := netip.ParsePrefix(other.v.Subnet); err == nil && o.Overlaps(network) {
				c.fail(&d.origin, "spec.network.subnet", "%s overlaps with %s of %s; choose another network", network, o, describe(&other.origin))
			}
		}
		count := 0
		for _, p := range c.parts(d) {
			count += p.count
		}
		const taken = 3 // network, gateway, broadcast
		if room := 1<<(32-network.Bits()) - taken; count > room {
			c.fail(&d.origin, "spec.network.subnet", "%s has %d addresses for nodes, and %d nodes are declared; choose a network of /%d or larger",
				network, room, count, 32-bits.Len(uint(count+taken-1)))
		}
		c.checkInfrastructure(d)
	}
}

// checkInfrastructure refuses parts that lack what they need.
func (c *catalog) checkInfrastructure(d *decl[Cluster]) {
	if d.v.PowerDNS.Count > 0 && d.v.ServiceDB.Count == 0 {
		c.fail(&d.origin, "spec.infrastructure.powerdns", "keeps its zones in the service database, and there is none; add infrastructure.serviceDB")
	}
	seen := map[string]*origin{}
	for _, a := range c.addresses.sound() {
		if first, ok := seen[a.v.Address]; ok && a.v.Cluster == d.meta.Name {
			c.fail(&a.origin, "spec.address", "%s is declared twice, first by %s; keep one", a.v.Address, describe(first))
		}
		seen[a.v.Address] = &a.origin
		if a.v.Cluster == d.meta.Name && d.v.HAProxy.Count == 0 && d.v.ExternalHAProxy == nil {
			c.fail(&a.origin, "spec.cluster", "the cluster %s has no load balancers; add infrastructure.haproxy at %s", d.meta.Name, d.meta.Position)
		}
	}
}

// checkPorts refuses ports of one address that two could take.
func (c *catalog) checkPorts() {
	hosts := c.hosts.sound()
	for i, h := range hosts {
		for _, other := range hosts[:i] {
			if h.v.Address == other.v.Address && h.v.PortRange.First <= other.v.PortRange.Last && other.v.PortRange.First <= h.v.PortRange.Last {
				c.fail(&h.origin, "spec.portRange", "overlaps with %d-%d of %s on the same address %s; choose other ports",
					other.v.PortRange.First, other.v.PortRange.Last, describe(&other.origin), h.v.Address)
			}
		}
	}
	for _, p := range c.profiles.sound() {
		for _, port := range p.v.Ports {
			for _, h := range hosts {
				if port.Host >= h.v.PortRange.First && port.Host <= h.v.PortRange.Last {
					c.fail(&p.origin, "spec.ports", "the port %d of %q lies in the range %d-%d from which %s allocates; choose one outside it, or leave host out",
						port.Host, port.Name, h.v.PortRange.First, h.v.PortRange.Last, describe(&h.origin))
				}
			}
		}
	}
}

// checkHosts refuses sets of nodes that no host can take.
func (c *catalog) checkHosts() {
	if c.unread["clusters"] {
		return
	}
	for _, d := range c.clusters.sound() {
		for _, p := range c.parts(d) {
			c.checkRoom(d.meta.Name, p)
		}
		c.checkCapacity(d)
	}
}

// checkRoom finds the hosts that may take a set's nodes.
func (c *catalog) checkRoom(cluster string, p part) {
	hosts := 0
	for _, h := range c.hosts.list {
		if h.v.Cluster == cluster && takes(h, p) {
			hosts++
		}
	}
	if hosts == 0 {
		text := "no Host of cluster %s takes nodes of role %s"
		if len(p.labels) > 0 {
			c.fail(p.origin, "spec.hostSelector", text+" and carries these labels; add a Host, or change the labels", cluster, p.role)
			return
		}
		c.fail(p.origin, p.field, text+"; add a Host to clusters/%s/", cluster, p.role, cluster)
		return
	}
	if port, fixed := c.fixedPort(p.profile); fixed && p.count > hosts {
		c.fail(p.origin, p.field, "%d nodes take port %d of their host each, and there are %d hosts for them; add hosts, or leave the port's host out of NodeProfile %s",
			p.count, port, hosts, p.profile)
	}
}

// takes reports whether a host may take nodes of a set.
func takes(h *decl[Host], p part) bool {
	if len(h.v.Roles) > 0 && !slices.Contains(h.v.Roles, p.role) {
		return false
	}
	for k, v := range p.labels {
		if h.meta.Labels[k] != v {
			return false
		}
	}
	return true
}

// fixedPort is a host port that every node of a profile takes.
func (c *catalog) fixedPort(profile string) (int, bool) {
	p := c.profiles.get("", profile)
	if p == nil {
		return 0, false
	}
	for _, port := range p.v.Ports {
		if port.Host != 0 {
			return port.Host, true
		}
	}
	return 0, false
}

// checkCapacity refuses more nodes than the hosts of a cluster take together.
func (c *catalog) checkCapacity(d *decl[Cluster]) {
	nodes, capacity := 0, 0
	for _, p := range c.parts(d) {
		nodes += p.count
	}
	for _, h := range c.hosts.list {
		if h.v.Cluster != d.meta.Name {
			continue
		}
		if h.v.Capacity == 0 {
			return
		}
		capacity += h.v.Capacity
	}
	if nodes > capacity && capacity > 0 {
		c.fail(&d.origin, "", "declares %d nodes, and its hosts take %d; add hosts, or raise their capacity", nodes, capacity)
	}
}
