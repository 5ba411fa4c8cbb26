package planner

import "hostctl/schema"

// expandTraffic makes backends, servers and routes in every load balancer of each cluster.
func (x *expansion) expandTraffic() {
	for _, g := range x.groups {
		if g.role != schema.RoleWeb {
			continue
		}
		for _, lb := range g.cluster.lb.nodes {
			x.expandBackend(g, lb)
		}
	}
	x.certs = make(map[[2]string]*schema.Certificate, len(x.m.Certificates))
	for i := range x.m.Certificates {
		c := &x.m.Certificates[i]
		x.certs[[2]string{c.Tenant, c.Name}] = c
	}
	for i := range x.sites {
		x.expandRoutes(&x.sites[i])
	}
}

func (x *expansion) expandBackend(g *group, lb *node) {
	b := Backend{Meta: Meta{Target: lb.name, Name: g.name, From: g.owner, On: lb.ready}, Balance: "host"}
	x.add(b)
	for _, n := range g.nodes {
		x.add(Server{
			Meta:    Meta{Target: lb.name, Name: g.name + "/" + n.name, From: g.owner, On: append(append([]Ref{}, n.ready...), b.Ref())},
			Backend: g.name, Node: n.name, Address: n.httpAddress(lb), State: n.serverState(),
		})
	}
}

// serverState is how much traffic a node gets when the plan has been carried out.
func (n *node) serverState() ServerState {
	switch {
	case n.class == down:
		return ServerMaint
	case n.group.drain:
		return ServerDrain
	}
	return ServerReady
}

// expandRoutes routes a site's host names in every load balancer. Nodes that are down take no route away.
func (x *expansion) expandRoutes(s *site) {
	if s.shard.drain || s.shard.count == 0 {
		return
	}
	var vhosts []Ref
	for _, n := range s.shard.serving {
		vhosts = append(vhosts, Ref{KindVhost, n.name, s.name})
	}
	for _, lb := range s.shard.cluster.lb.nodes {
		needs := append(append(make([]Ref, 0, 2*len(vhosts)+1), vhosts...), Ref{KindBackend, lb.name, s.shard.name})
		for _, n := range s.shard.serving {
			needs = append(needs, Ref{KindServer, lb.name, s.shard.name + "/" + n.name})
		}
		if r := x.relocations[s.name]; r != nil {
			needs = append(needs, r.to)
		}
		for _, f := range s.fqdns {
			x.expandRoute(lb, s, f, needs)
		}
	}
}
