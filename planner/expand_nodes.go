package planner

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"hostctl/schema"
)

// group is a set of equal nodes, <group>-0 and up: a Shard, or one part of a cluster's infrastructure.
type group struct {
	name     string
	role     schema.Role
	cluster  *cluster
	profile  schema.NodeProfile
	owner    Owner
	count    int
	selector map[string]string
	drain    bool
	nodes    []*node
	serving  []*node // those that count: in rotation, or in service; sorted by name
	best     []*node // all, the ones to be asked first in front
}

// node is one node of a group.
type node struct {
	name    string
	group   *group
	index   int
	host    *host
	address string
	ports   []PublishedPort
	ready   []Ref // what must be there before anything can be done on the node
	class   class
	owner   Owner
}

// tier is the order among containers: those of a tier need those of the tiers before.
func tier(r schema.Role) int {
	switch r {
	case schema.RoleServiceDB:
		return 0
	case schema.RoleDNS:
		return 1
	case schema.RoleLB:
		return 2
	}
	return 3
}

// sharesData reports whether the nodes of a group share a volume, so that all must be on one host.
func (g *group) sharesData() bool { return g.dataVolume() != "" }

// What the names of a cluster's groups of nodes, and of the volumes with data, end in.
const (
	dbSuffix       = "-db"
	dnsSuffix      = "-dns"
	filesSuffix    = "-files"
	databaseSuffix = "-0-data"
	mysqlSuffix    = "-0-mysql"
	valkeySuffix   = "-0-valkey"
)

// dataVolume returns the name of the volume with the nodes' data, "" if they have none.
func (g *group) dataVolume() string {
	switch g.role {
	case schema.RoleWeb:
		return g.name + filesSuffix
	case schema.RoleServiceDB:
		return g.name + databaseSuffix
	case schema.RoleDatabase:
		return g.name + mysqlSuffix
	case schema.RoleValkey:
		return g.name + valkeySuffix
	}
	return ""
}

// dataPath is where the volume with a node's data is mounted.
func (g *group) dataPath() string {
	switch g.role {
	case schema.RoleServiceDB:
		return "/var/lib/postgresql/data"
	case schema.RoleDatabase:
		return "/var/lib/mysql"
	case schema.RoleValkey:
		return "/var/lib/valkey"
	}
	return TenantsRoot
}

// expandNodes makes networks, volumes, containers and agents.
func (x *expansion) expandNodes() {
	x.collectHosts()
	x.collectGroups()
	x.collectBalancers()
	x.placeNodes()
	x.checkTargetNames()
	if len(x.problems) > 0 {
		return
	}
	x.checkReachable()
	x.refuseNewSubnets()
	for _, g := range x.groups {
		for _, n := range g.nodes {
			x.expandNode(n)
		}
	}
	for _, g := range x.groups {
		x.linger(g)
		g.rank()
	}
}

func (x *expansion) collectHosts() {
	for _, h := range x.m.Hosts {
		x.hosts[h.Name] = &host{Host: h, groups: map[string]int{}}
	}
}

func (x *expansion) collectGroups() {
	profiles := map[string]schema.NodeProfile{}
	for _, p := range x.m.NodeProfiles {
		profiles[p.Name] = p
	}
	for _, c := range x.m.Clusters {
		cl := &cluster{Cluster: c}
		x.clusters[c.Name] = cl
		part := func(suffix string, role schema.Role, i schema.Infrastructure) *group {
			g := &group{name: c.Name + suffix, role: role, cluster: cl, count: i.Count, profile: profiles[i.Profile], owner: ownerOf(c.Meta)}
			x.groups = append(x.groups, g)
			return g
		}
		cl.db = part(dbSuffix, schema.RoleServiceDB, c.ServiceDB)
		cl.dns = part(dnsSuffix, schema.RoleDNS, c.PowerDNS)
		cl.lb = part("-lb", schema.RoleLB, c.HAProxy)
	}
	for _, s := range x.m.Shards {
		cl := x.clusters[s.Cluster]
		if cl == nil {
			x.problemf("shard %s: there is no cluster %s", s.Name, s.Cluster)
			continue
		}
		g := &group{
			name: s.Name, role: s.Role, cluster: cl, count: s.NodeCount, profile: profiles[s.Profile],
			owner: ownerOf(s.Meta), selector: s.HostSelector, drain: s.Drain,
		}
		x.shards[s.Name] = g
		x.groups = append(x.groups, g)
	}
	slices.SortStableFunc(x.groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(tier(a.role), tier(b.role)), cmp.Compare(a.name, b.name))
	})
}

// placeNodes first counts the nodes that have a place, then finds one for the others.
func (x *expansion) placeNodes() {
	for _, g := range x.groups {
		for i := range g.count {
			n := &node{name: g.name + "-" + strconv.Itoa(i), group: g, index: i, owner: g.owner}
			if other := x.nodes[n.name]; other != nil {
				x.problemf("node %s: both %s and %s would have a node of that name; rename the shard", n.name, other.group.name, g.name)
				continue
			}
			x.nodes[n.name] = n
			g.nodes = append(g.nodes, n)
			if n.host = x.placed(n); n.host != nil {
				n.host.count(g)
			}
		}
	}
	for _, g := range x.groups {
		for _, n := range g.nodes {
			if n.host != nil {
				continue
			}
			if n.host = x.place(n); n.host == nil {
				return
			}
			n.host.count(g)
		}
	}
	for _, g := range x.groups {
		for _, n := range g.nodes {
			n.address = x.address(g.cluster.Cluster, n.name)
			n.ports = x.publish(n)
		}
	}
}

func (h *host) count(g *group) {
	h.nodes++
	h.groups[g.name]++
}

// refuseNewSubnets refuses to change the subnet of a cluster with nodes: an engine can't change a network in use.
func (x *expansion) refuseNewSubnets() {
	for _, c := range x.m.Clusters {
		for _, h := range x.m.Hosts {
			old, ok := x.live.was(Ref{KindNetwork, h.Name, c.Name}).(Network)
			if ok && old.Subnet != c.Subnet {
				x.problemf("cluster %s: its network on host %s has subnet %s, which can't become %s while nodes are in it; keep the subnet, or make a second cluster", c.Name, h.Name, old.Subnet, c.Subnet)
			}
		}
	}
}

func (x *expansion) expandNode(n *node) {
	g, target := n.group, n.host.Name
	network := Network{Meta: Meta{Target: target, Name: g.cluster.Name, From: ownerOf(g.cluster.Meta)}, Subnet: g.cluster.Subnet}
	own := Volume{Meta: Meta{Target: target, Name: n.name, From: n.owner}}
	x.add(network)
	x.add(own)
	needs := []Ref{network.Ref(), own.Ref()}
	mounts := []Mount{{Volume: own.Name, Path: "/var/lib/hostctl"}}
	if name := g.dataVolume(); name != "" {
		data := Volume{Meta: Meta{Target: target, Name: name, From: n.owner}, Data: true}
		x.add(data)
		needs = append(needs, data.Ref())
		mounts = append(mounts, Mount{Volume: name, Path: g.dataPath()})
	}
	c := x.container(n, mounts)
	if db := g.cluster.db; g.role == schema.RoleDNS && len(db.nodes) > 0 {
		needs = append(needs, Ref{KindContainer, db.nodes[0].host.Name, db.nodes[0].name})
	}
	c.On = sorted(needs)
	x.add(c)
	n.ready = []Ref{c.Ref()}
	if x.policy.AgentBinary != "" {
		a := Agent{Meta: Meta{Target: target, Name: n.name, From: n.owner, On: n.ready}, Binary: x.policy.AgentBinary, Volume: own.Name}
		x.add(a)
		n.ready = []Ref{a.Ref()}
	}
	n.class = x.classify(n, c)
}

func (x *expansion) container(n *node, mounts []Mount) Container {
	g, p := n.group, n.group.profile
	env := maps.Clone(p.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["HOSTCTL_NODE"], env["HOSTCTL_ROLE"], env["HOSTCTL_CLUSTER"] = n.name, string(g.role), g.cluster.Name
	if db := g.cluster.db; g.role == schema.RoleDNS && len(db.nodes) > 0 {
		env["HOSTCTL_DB_ADDRESS"] = db.nodes[0].reachedFrom(n, postgresPort)
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return cmp.Compare(a.Path, b.Path) })
	capabilities := slices.Clone(p.Capabilities)
	slices.Sort(capabilities)
	return Container{
		Meta: Meta{Target: n.host.Name, Name: n.name, From: n.owner},
		Role: g.role, Cluster: g.cluster.Name, Image: p.Image, ImageID: x.live.Images[p.Image],
		Network: g.cluster.Name, Address: n.address, Env: env, Mounts: mounts, Ports: n.ports,
		Memory: p.Resources.Memory, NanoCPUs: int64(p.Resources.CPU * 1e9), Pids: p.Resources.Pids,
		Capabilities: capabilities, Health: p.HealthCheck,
	}
}

// checkReachable refuses nodes that need one another, are on different hosts, and have no way between them: the networks
// of two engines are not joined.
func (x *expansion) checkReachable() {
	for _, g := range x.groups {
		for _, n := range g.nodes {
			switch {
			case g.role == schema.RoleWeb:
				for _, lb := range g.cluster.lb.nodes {
					x.needsPort(lb, n, n.httpPort(), "http")
				}
			case g.role == schema.RoleDNS && len(g.cluster.db.nodes) > 0:
				x.needsPort(n, g.cluster.db.nodes[0], postgresPort, "postgres")
			}
		}
	}
}

func (x *expansion) needsPort(from, to *node, port int, name string) {
	if from.host == to.host || from.host == nil && to.host.here() || slices.ContainsFunc(to.ports, func(p PublishedPort) bool { return p.Container == port && p.Protocol == "tcp" }) {
		return
	}
	if from.host == nil {
		x.problemf("the HAProxy of cluster %s can't reach %s on host %s: publish that port, 'ports: [{name: %s, container: %d}]' in NodeProfile %s",
			to.group.cluster.Name, to.name, to.host.Name, name, port, to.group.profile.Name)
		return
	}
	x.problemf("node %s on host %s can't reach %s on host %s: publish that port, 'ports: [{name: %s, container: %d}]' in NodeProfile %s, or keep both on one host by Host.roles or hostSelector",
		from.name, from.host.Name, to.name, to.host.Name, name, port, to.group.profile.Name)
}

// postgresPort is where the service database listens.
const postgresPort = 5432

// httpPort is where a node's web server listens: the port that its profile names "http", else 80.
func (n *node) httpPort() int {
	for _, p := range n.ports {
		if p.Name == "http" {
			return p.Container
		}
	}
	return 80
}

// reachedFrom returns where another node reaches a port of this one: its address in the network, or where the port is
// published if the two are on different hosts.
func (n *node) reachedFrom(other *node, port int) string {
	if n.host == other.host {
		return n.address
	}
	for _, p := range n.ports {
		if p.Container == port {
			return net.JoinHostPort(p.Address, strconv.Itoa(p.Host))
		}
	}
	return n.host.Address
}

// httpAddress returns where a load balancer reaches a node's web server.
func (n *node) httpAddress(lb *node) string {
	port := n.httpPort()
	inNetwork := net.JoinHostPort(n.address, strconv.Itoa(port))
	if n.host == lb.host {
		return inNetwork
	}
	for _, p := range n.ports {
		if p.Container == port && p.Protocol == "tcp" {
			return net.JoinHostPort(p.Address, strconv.Itoa(p.Host))
		}
	}
	if lb.host == nil && n.host.here() {
		return inNetwork
	}
	return net.JoinHostPort(n.host.Address, strconv.Itoa(port))
}

// here reports whether a host is the machine that runs hostctl, and so an HAProxy that hostctl hasn't made: its engine is
// reached by a Unix socket.
func (h *host) here() bool { return strings.HasPrefix(h.Docker.Endpoint, "unix://") }
