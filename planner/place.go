package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hostctl/schema"
)

// host is a Docker host with the nodes placed on it.
type host struct {
	schema.Host
	nodes  int
	groups map[string]int // nodes of each group
}

// place finds a host for a node and remembers it: where it is, where its data is, or where there is most room.
func (x *expansion) place(n *node) *host {
	if h := x.placed(n); h != nil {
		return h
	}
	if len(x.problems) > 0 {
		return nil
	}
	h, problem := x.choose(n.group)
	if from := x.drained(n); h == nil && from != nil {
		x.notef("host %s is drained, and node %s stays on it: %s", from.Name, n.name, problem)
		return from
	}
	if h == nil {
		x.problemf("node %s: %s", n.name, problem)
		return nil
	}
	x.alloc.set(scopeHost, n.name, h.Name+"#"+n.name)
	return h
}

// placed returns the host that a node is on already, nil when it is on none, or moves. A node that shares data, or has some,
// never moves: it would leave that behind.
func (x *expansion) placed(n *node) *host {
	v, ok := x.alloc.get(scopeHost, n.name)
	if !ok {
		return nil
	}
	name, _, _ := strings.Cut(v, "#")
	h := x.hosts[name]
	switch {
	case h != nil && h.Cluster == n.group.cluster.Name:
		if x.leavesHost(n, h) {
			return nil
		}
		return h
	case len(x.index.containers[n.name]) > 0 || x.index.dataHost[n.group.dataVolume()] != "":
		x.problemf("node %s is on host %s, which is not a host of cluster %s any more; put the host back (cordoned: true keeps new nodes off it) and remove its shards first", n.name, name, n.group.cluster.Name)
	}
	return nil
}

// leavesHost reports whether a node moves from the host that it is on: that is drained or lost, and the node has no data
// there. It says what can't move.
func (x *expansion) leavesHost(n *node, h *host) bool {
	data := n.group.sharesData()
	switch {
	case h.Lost && data:
		x.problemf("node %s: the data of %s is on host %s, which is lost; put the host back, or take %s away, with those who are on it moved or removed", n.name, n.group.name, h.Name, n.group.name)
		return false
	case h.Drain && data && n.index == 0:
		x.notef("host %s is drained, and %s stays on it, with its data%s", h.Name, n.group.name, n.group.wayOut())
	}
	return h.Lost || h.Drain && !data
}

// wayOut says how nodes with data are taken from a host.
func (g *group) wayOut() string {
	if g.role == schema.RoleServiceDB {
		return ", which this version of hostctl doesn't move"
	}
	return ": move its tenants to another shard, then take it away"
}

// drained returns the host that a node is to leave and that is there all the same.
func (x *expansion) drained(n *node) *host {
	v, _ := x.alloc.get(scopeHost, n.name)
	name, _, _ := strings.Cut(v, "#")
	if h := x.hosts[name]; h != nil && h.Drain && !h.Lost {
		return h
	}
	return nil
}

// choose returns the best host for one more node of a group: with the group's data if it has some, else with the fewest
// nodes of the group, then the fewest nodes, then the first name. Without one it says why.
func (x *expansion) choose(g *group) (*host, string) {
	if h, problem := x.dataHost(g); h != nil || problem != "" {
		return h, problem
	}
	var fit []*host
	why := map[string][]string{}
	for _, h := range x.hosts {
		if h.Cluster != g.cluster.Name {
			continue
		}
		if no := h.refuses(g); no != "" {
			why[no] = append(why[no], h.Name)
			continue
		}
		fit = append(fit, h)
	}
	if len(fit) == 0 {
		return nil, noHost(g, why)
	}
	return slices.MinFunc(fit, func(a, b *host) int {
		return cmp.Or(cmp.Compare(a.groups[g.name], b.groups[g.name]), cmp.Compare(a.nodes, b.nodes), cmp.Compare(a.Name, b.Name))
	}), ""
}

// dataHost returns the host that holds the data of a group whose nodes share a volume, or had one.
func (x *expansion) dataHost(g *group) (*host, string) {
	if !g.sharesData() {
		return nil, ""
	}
	name := x.index.dataHost[g.dataVolume()]
	for _, n := range g.nodes {
		if name == "" && n.host != nil {
			name = n.host.Name
		}
	}
	if name == "" {
		return nil, ""
	}
	h := x.hosts[name]
	if h == nil || h.Cluster != g.cluster.Name {
		return nil, fmt.Sprintf("its data is on host %s, which is not a host of cluster %s any more; put the host back", name, g.cluster.Name)
	}
	if no := h.refuses(g); no != "" && no != "another role" && no != "other labels" {
		return nil, fmt.Sprintf("the data of %s is on host %s, which takes no more nodes: %s; change that, or lower nodeCount", g.name, name, no)
	}
	return h, ""
}

// refuses says in a few words why a host takes no new node of a group, "" when it does.
func (h *host) refuses(g *group) string {
	switch {
	case h.Lost:
		return "lost"
	case h.Drain:
		return "drained"
	case h.Cordoned:
		return "cordoned"
	case h.Capacity > 0 && h.nodes >= h.Capacity:
		return "full"
	case len(h.Roles) > 0 && !slices.Contains(h.Roles, g.role):
		return "another role"
	}
	for k, v := range g.selector {
		if h.Labels[k] != v {
			return "other labels"
		}
	}
	return ""
}

func noHost(g *group, why map[string][]string) string {
	if len(why) == 0 {
		return fmt.Sprintf("cluster %s has no host; declare a Host", g.cluster.Name)
	}
	var parts []string
	for reason, names := range why {
		slices.Sort(names)
		parts = append(parts, reason+": "+strings.Join(names, ", "))
	}
	slices.Sort(parts)
	return fmt.Sprintf("no host of cluster %s takes a node of role %s (%s); raise a capacity, uncordon a host, or declare another Host", g.cluster.Name, g.role, strings.Join(parts, "; "))
}
