package planner

import "maps"

// inBalancer names a backend in one load balancer.
type inBalancer struct{ lb, backend string }

// deleteEarly brings forward the deletes of routes whose backend gets a server back in this plan: the node needn't have
// what they led to.
func (d *draft) deleteEarly() {
	returning := map[inBalancer]bool{}
	for i := range d.steps {
		if s, ok := d.becomesReady(i); ok {
			returning[inBalancer{s.Target, s.Backend}] = true
		}
	}
	if len(returning) == 0 {
		return
	}
	phase := d.earlyPhase()
	early := map[string]bool{}
	for i := range d.steps {
		s := &d.steps[i]
		r, ok := s.old.(Route)
		if ok && !s.off && s.action == Delete && returning[inBalancer{r.Target, r.Backend}] {
			s.at = inStage(phase, s.ref)
			early[r.Name] = true
		}
	}
	for i := range d.steps {
		s := &d.steps[i]
		r, ok := s.old.(RRset)
		if ok && !s.off && s.action == Delete && r.automatic() && early[r.FQDN] {
			s.at = inStage(phase, s.ref)
		}
	}
}

// earlyPhase is when early deletes are made: at once, or when a DNS that is gone is back.
func (d *draft) earlyPhase() position {
	for _, c := range d.clusters {
		if len(c.dns.best) > 0 && (c.dns.best[0].class == troubled || c.dns.best[0].class == fresh) {
			return phaseEarlyAfterDNS
		}
	}
	return phaseEarly
}

// becomesReady returns the server that a step puts into rotation.
func (d *draft) becomesReady(i int) (Server, bool) {
	s := &d.steps[i]
	now, ok := s.new.(Server)
	old, was := s.old.(Server)
	return now, ok && !s.off && now.State == ServerReady && (!was || old.State != ServerReady)
}

// leavesRotation returns the server that a step takes out of rotation.
func (d *draft) leavesRotation(i int) (Server, bool) {
	s := &d.steps[i]
	if old, ok := s.old.(Server); ok && s.new == nil {
		return old, !s.off
	}
	now, ok := s.new.(Server)
	return now, ok && !s.off && now.State != ServerReady
}

// afterDrains lets a route be made after the servers that don't have its vhost are out of rotation.
func (d *draft) afterDrains() {
	leaving := map[inBalancer][]int{}
	for i := range d.steps {
		if s, ok := d.leavesRotation(i); ok {
			leaving[inBalancer{s.Target, s.Backend}] = append(leaving[inBalancer{s.Target, s.Backend}], i)
		}
	}
	if len(leaving) == 0 {
		return
	}
	for i := range d.steps {
		r, ok := d.steps[i].new.(Route)
		if !ok || d.steps[i].off {
			continue
		}
		for _, j := range leaving[inBalancer{r.Target, r.Backend}] {
			if d.steps[j].at < d.steps[i].at {
				d.steps[i].after = append(d.steps[i].after, j)
			}
		}
	}
}

// afterVhosts lets servers come into rotation after the vhosts of all names that are routed to their node. It may move
// them, so it comes before all else that looks at positions.
func (d *draft) afterVhosts() {
	var returning []int
	for i := range d.steps {
		if _, ok := d.becomesReady(i); ok {
			returning = append(returning, i)
		}
	}
	if len(returning) == 0 {
		return
	}
	routes := d.routesByBackend()
	vhosts := d.vhostsByNode()
	for _, i := range returning {
		s := d.steps[i].new.(Server)
		n := d.nodes[s.Node]
		serving := vhosts[s.Node]
		for _, r := range routes[inBalancer{s.Target, s.Backend}] {
			if !r.live && n.group.serves(n) && d.steps[r.step].at > d.steps[i].at {
				continue // such a route waits for the vhost itself
			}
			ref, ok := serving[r.name]
			if !ok {
				ref = Ref{KindRoute, s.Target, r.name} // it must be gone, or lead elsewhere
				if !d.willChange(ref) {
					d.steps[i].off, d.withheld[d.steps[i].ref] = true, true
					break // it stays: the node must not be asked for it
				}
			}
			d.waitFor(i, ref)
		}
	}
}

// willChange reports whether a step of an object isn't withheld.
func (d *draft) willChange(ref Ref) (is bool) {
	d.chain(ref, func(int, *step) { is = true })
	return is
}

// waitFor makes a step come after all non-side steps of an object, and moves it behind them if it must.
func (d *draft) waitFor(i int, ref Ref) {
	d.chain(ref, func(j int, s *step) {
		if s.side || j == i {
			return
		}
		if s.at >= d.steps[i].at {
			if d.steps[i].at = d.late(d.steps[i].ref); d.steps[i].at <= s.at {
				d.steps[i].at = s.at + perRung*position(len(Ladder))
			}
		}
		d.steps[i].after = append(d.steps[i].after, j)
	})
}

// balancerRoute is a host name routed to a backend, live or about to be.
type balancerRoute struct {
	name string
	live bool
	step int // that makes it, unless it is live
}

func (d *draft) routesByBackend() map[inBalancer][]balancerRoute {
	all := map[inBalancer][]balancerRoute{}
	type led struct {
		route   Ref
		backend string
	}
	live := map[led]bool{}
	for name, routes := range d.tables().routes {
		for _, r := range routes {
			if d.lost(r.Ref()) {
				continue // it comes back like a new one
			}
			live[led{r.Ref(), r.Backend}] = true
			key := inBalancer{r.Target, r.Backend}
			all[key] = append(all[key], balancerRoute{name: name, live: true})
		}
	}
	for i := range d.steps {
		r, ok := d.steps[i].new.(Route)
		if ok && !d.steps[i].off && !live[led{r.Ref(), r.Backend}] {
			key := inBalancer{r.Target, r.Backend}
			all[key] = append(all[key], balancerRoute{name: r.Name, step: i})
		}
	}
	return all
}

// vhostsByNode finds by node and host name the vhosts that are there, or are made in this plan.
func (d *draft) vhostsByNode() map[string]map[string]Ref {
	there, next := map[string]map[string]Ref{}, map[string]map[string]Ref{}
	put := func(all map[string]map[string]Ref, v Vhost) {
		m := all[v.Target]
		if m == nil {
			m = map[string]Ref{}
			all[v.Target] = m
		}
		for _, h := range v.Hostnames {
			if other, twice := m[h]; !twice || v.Ref().Compare(other) < 0 { // one of two, and always the same
				m[h] = v.Ref()
			}
		}
	}
	for ref, o := range d.live.State {
		if v, ok := o.(Vhost); ok && !d.lost(ref) {
			put(there, v)
		}
	}
	for i := range d.steps {
		if v, ok := d.steps[i].new.(Vhost); ok && !d.steps[i].off && !d.steps[i].side {
			put(next, v)
		}
	}
	for node, names := range next {
		if there[node] == nil {
			there[node] = map[string]Ref{}
		}
		maps.Copy(there[node], names)
	}
	return there
}

// afterTurns makes a node's turn begin when the node before is back.
func (d *draft) afterTurns() {
	if len(d.slots) == 0 {
		return
	}
	back := map[string][]int{}  // node -> the steps that end its turn
	begin := map[string][]int{} // node -> the steps that begin it
	for i := range d.steps {
		s := &d.steps[i]
		if s.off {
			continue
		}
		if s.new == nil && d.hasMoved(s.ref) {
			begin[s.ref.Name] = append(begin[s.ref.Name], i)
		}
		switch o := s.new.(type) {
		case Server:
			d.serverTurn(i, o, back, begin)
		case Container:
			if _, has := d.slots[o.Name]; has && s.action != Delete {
				begin[o.Name] = append(begin[o.Name], i)
				back[o.Name] = append(back[o.Name], i)
			}
		case Agent:
			if _, has := d.slots[o.Name]; has {
				back[o.Name] = append(back[o.Name], i)
			}
		}
	}
	d.afterOutOfRotation(begin)
	d.afterBalancers(begin)
	for _, g := range d.groups {
		for _, n := range g.nodes {
			if n.class != rolled {
				continue
			}
			for _, before := range g.nodes {
				if _, has := d.slots[before.name]; has && d.slots[before.name] < d.slots[n.name] {
					d.afterAll(begin[n.name], back[before.name])
				}
			}
		}
	}
}

func (d *draft) serverTurn(i int, o Server, back, begin map[string][]int) {
	if _, has := d.slots[o.Node]; !has {
		return
	}
	if o.State == ServerReady && d.steps[i].at >= phaseTurns {
		back[o.Node] = append(back[o.Node], i)
	} else if d.steps[i].side {
		begin[o.Node] = append(begin[o.Node], i)
	}
}

// afterOutOfRotation lets a container be made again only when its node is out of every backend.
func (d *draft) afterOutOfRotation(begin map[string][]int) {
	for _, steps := range begin {
		for _, i := range steps {
			if d.steps[i].ref.Kind == KindContainer {
				d.afterAll([]int{i}, steps)
			}
		}
	}
}

// afterBalancers lets a container be made again only when load balancers that are made again, and had the node in
// rotation, or may have had, are: until then they may send it requests.
func (d *draft) afterBalancers(begin map[string][]int) {
	for ref, o := range d.live.State {
		if s, ok := o.(Server); ok && s.State == ServerReady {
			d.afterBalancer(ref, s, begin)
		}
	}
	for ref, why := range d.live.Dirty {
		for _, o := range []Object{d.live.State[ref], why.Pending} {
			if s, ok := o.(Server); ok {
				d.afterBalancer(ref, s, begin)
			}
		}
	}
}

func (d *draft) afterBalancer(ref Ref, s Server, begin map[string][]int) {
	if !d.lost(ref) {
		return
	}
	for _, lb := range d.index.containers[ref.Target] { // one that moves serves where it was until it goes there
		if d.live.State[lb] == nil || d.live.Dirty[lb].Gone {
			continue
		}
		for _, i := range begin[s.Node] {
			if d.steps[i].ref.Kind == KindContainer {
				d.follow(i, lb)
			}
		}
	}
}

func (d *draft) afterAll(steps, before []int) {
	for _, i := range steps {
		for _, j := range before {
			if i != j && d.steps[j].at < d.steps[i].at {
				d.steps[i].after = append(d.steps[i].after, j)
			}
		}
	}
}
