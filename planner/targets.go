package planner

import (
	"cmp"
	"net"
	"slices"
	"strconv"

	"hostctl/schema"
)

// allTargets returns everywhere that changes of this and the next plan go, sorted by name: what the manifest has, and
// what the last plan had and something live is still at.
func (x *expansion) allTargets() []Target {
	all := map[string]Target{}
	for _, h := range x.m.Hosts {
		all[h.Name] = Target{Name: h.Name, Docker: &h.Docker}
		if h.Lost {
			all[h.Name] = Target{Name: h.Name, Lost: true}
		}
	}
	for _, g := range x.groups {
		for _, n := range g.nodes {
			all[n.name] = Target{Name: n.name, Address: n.agentAddress()}
		}
		if len(g.nodes) > 0 && (g.role == schema.RoleWeb || g.role == schema.RoleDNS || g.role == schema.RoleDatabase || g.role == schema.RoleValkey) {
			t := Target{Name: g.name}
			for _, n := range g.best {
				t.AnyOf = append(t.AnyOf, n.name)
			}
			all[g.name] = t
		}
	}
	for _, c := range x.m.Clusters {
		if c.ExternalPowerDNS != nil {
			t := externalTarget(c)
			all[t.Name] = t
		}
		if c.ExternalHAProxy != nil {
			t := balancerTarget(c)
			all[t.Name] = t
		}
	}
	x.addOldTargets(all)
	out := make([]Target, 0, len(all))
	for _, t := range all {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Target) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (x *expansion) addOldTargets(all map[string]Target) {
	var old []Target
	for _, t := range x.live.Targets {
		if _, ok := all[t.Name]; !ok {
			old = append(old, t)
		}
	}
	if len(old) == 0 {
		return
	}
	used := map[string]bool{}
	for ref := range x.live.State {
		used[ref.Target] = true
	}
	for ref := range x.live.Dirty {
		used[ref.Target] = true
	}
	for node := range x.index.containers {
		used[node] = true
	}
	for _, t := range old {
		if used[t.Name] {
			all[t.Name] = t
		}
	}
}

// agentAddress returns where a node's agent is reached.
func (n *node) agentAddress() string {
	for _, p := range n.ports {
		if p.Name == agentPort {
			return net.JoinHostPort(p.Address, strconv.Itoa(p.Host))
		}
	}
	return ""
}

// checkTargetNames refuses two targets of one name.
func (x *expansion) checkTargetNames() {
	taken := map[string]string{}
	take := func(name, what string) {
		if other, ok := taken[name]; ok {
			x.problemf("%s and %s are both named %s; rename one", other, what, name)
		}
		taken[name] = what
	}
	for _, h := range x.m.Hosts {
		take(h.Name, "a host")
	}
	for _, c := range x.m.Clusters {
		if c.ExternalPowerDNS != nil {
			take(c.Name+externalSuffix, "the PowerDNS of cluster "+c.Name)
		}
		if c.ExternalHAProxy != nil {
			take(c.Name+balancerSuffix, "the HAProxy of cluster "+c.Name)
		}
	}
	for _, g := range x.groups {
		if g.count > 0 {
			take(g.name, "a group of nodes")
		}
		for _, n := range g.nodes {
			take(n.name, "a node of "+g.name)
		}
	}
}
