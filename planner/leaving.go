package planner

import (
	"slices"
	"strconv"
	"strings"

	"hostctl/schema"
)

// linger keeps nodes that a group has too many, while none of those that stay can be reached: somebody has to serve. They
// stay as they are, and get all that the group gets.
func (x *expansion) linger(g *group) {
	if len(g.nodes) == 0 {
		return
	}
	for _, n := range g.nodes {
		if n.class != down {
			return
		}
	}
	silent := g.nodes[0].name
	for _, name := range sortedKeys(x.index.containers) {
		index, surplus := g.surplus(name)
		if !surplus || !x.alive(name) {
			continue
		}
		ref := x.index.containers[name][0]
		n := &node{name: name, group: g, index: index, owner: g.owner, host: x.hosts[ref.Target]}
		problems := len(x.problems)
		n.address, n.ports = x.address(g.cluster.Cluster, name), x.publish(n)
		if len(x.problems) > problems { // its ports are others' now
			x.problems = x.problems[:problems]
			continue
		}
		x.nodes[name] = n
		g.nodes = append(g.nodes, n)
		x.expandNode(n)
		x.desired[ref], n.class = x.live.State[ref], steady
		x.notef("node %s stays until %s, which stays in its place, answers", name, silent)
	}
}

// surplus reports whether a node is one that a group has too many, and its number.
func (g *group) surplus(name string) (int, bool) {
	number, ok := strings.CutPrefix(name, g.name+"-")
	i, err := strconv.Atoi(number)
	return i, ok && err == nil && i >= g.count && strconv.Itoa(i) == number
}

// alive reports whether a node that nobody declares is there, on a host that is declared. One whose last change didn't end
// serves, as far as anybody knows.
func (x *expansion) alive(name string) bool {
	if x.nodes[name] != nil || x.isDown(name) || len(x.index.containers[name]) != 1 {
		return false
	}
	ref := x.index.containers[name][0]
	agent := Ref{KindAgent, ref.Target, name}
	there := x.live.State[agent] != nil && !x.live.Dirty[agent].Gone
	return x.live.State[ref] != nil && !x.live.Dirty[ref].Gone && x.hosts[ref.Target] != nil && (there || x.policy.AgentBinary == "")
}

// healthy reports whether a node that stays in a group serves while a plan is carried out: it isn't made again, and a load
// balancer has it in rotation, each of them where none is named.
func (d *draft) healthy(g *group, balancer string) bool {
	return len(g.nodes) == 0 || slices.ContainsFunc(g.nodes, func(n *node) bool {
		return n.class == steady && (g.drain || d.inRotation(n, balancer))
	})
}

// inRotation reports whether a node is known to be in rotation in a load balancer that can be reached, or in each of them.
func (d *draft) inRotation(n *node, balancer string) bool {
	if n.group.role != schema.RoleWeb {
		return true
	}
	for _, lb := range n.group.cluster.lb.nodes {
		if balancer != "" && lb.name != balancer || lb.class != steady {
			continue
		}
		ref := Ref{KindServer, lb.name, n.group.name + "/" + n.name}
		s, ok := d.live.State[ref].(Server)
		if _, dirty := d.live.Dirty[ref]; !ok || dirty || s.State != ServerReady {
			return false
		}
	}
	return true
}

// leaver is a step that takes a node away of which its group has too many.
type leaver struct {
	step  int
	group *group
}

// placeLeavers lets nodes go only when one that stays serves: where all of these are made, or made again, when they are.
// Routes to what a node that goes knows nothing of come after it.
func (d *draft) placeLeavers() {
	leavers := d.leavers()
	if len(leavers) == 0 {
		return
	}
	made := d.madeByNode()
	for _, l := range leavers {
		s := &d.steps[l.step]
		var last position
		for _, n := range l.group.nodes {
			for _, i := range made[n.name] {
				last = max(last, d.steps[i].at)
			}
		}
		if server, ok := s.old.(Server); ok {
			if last >= s.at {
				s.at = last + perRung/2
			}
			d.placeNodeBehind(s.at, server.Node)
			d.placeRoutesBehind(s.at, server)
		}
	}
	for _, l := range leavers {
		for _, n := range l.group.nodes {
			d.afterAll([]int{l.step}, made[n.name])
		}
	}
}

// leavers returns what takes nodes away while no node that stays serves: they leave rotation, and their containers go.
func (d *draft) leavers() []leaver {
	var out []leaver
	for i := range d.steps {
		s := &d.steps[i]
		if s.off || s.action != Delete {
			continue
		}
		node, balancer := "", ""
		switch o := s.old.(type) {
		case Server:
			node, balancer = o.Node, o.Target
		case Agent, Container:
			node = s.ref.Name
		}
		if node == "" || !d.alive(node) {
			continue
		}
		for _, g := range d.groups {
			if _, surplus := g.surplus(node); surplus && !d.healthy(g, balancer) {
				out = append(out, leaver{i, g})
			}
		}
	}
	return out
}

// madeByNode returns the steps that make nodes, or bring them into rotation.
func (d *draft) madeByNode() map[string][]int {
	made := map[string][]int{}
	for i := range d.steps {
		s := &d.steps[i]
		if s.off || s.new == nil {
			continue
		}
		switch o := s.new.(type) {
		case Container:
			made[o.Name] = append(made[o.Name], i)
		case Agent:
			made[o.Name] = append(made[o.Name], i)
		case Server:
			if o.State == ServerReady {
				made[o.Node] = append(made[o.Node], i)
			}
		}
	}
	return made
}

// placeNodeBehind puts the deletes of a node behind those of its servers.
func (d *draft) placeNodeBehind(at position, node string) {
	for _, c := range d.index.containers[node] {
		for n, ref := range []Ref{{KindAgent, c.Target, node}, c, {KindVolume, c.Target, node}} {
			d.chain(ref, func(_ int, s *step) {
				if s.action == Delete {
					s.at = max(s.at, at+1+position(n))
				}
			})
		}
	}
}

// placeRoutesBehind puts routes that come to the backend of a server that goes behind that, and their RRsets behind them.
func (d *draft) placeRoutesBehind(at position, gone Server) {
	moved := map[Ref]bool{}
	for i := range d.steps {
		s := &d.steps[i]
		r, ok := s.new.(Route)
		old, was := s.old.(Route)
		if ok && !s.off && r.Target == gone.Target && r.Backend == gone.Backend && (!was || old.Backend != r.Backend) {
			s.at = max(s.at, at+perRung)
			moved[s.ref] = true
		}
	}
	if len(moved) == 0 {
		return
	}
	behind := map[Ref]position{}
	for i := range d.steps {
		s := &d.steps[i]
		if _, ok := s.new.(RRset); !ok || s.off {
			continue
		}
		for _, need := range s.new.Needs() {
			if moved[need] {
				s.at = max(s.at, at+2*perRung)
				behind[s.ref] = s.at
			}
		}
	}
	for _, p := range d.pairs {
		if to, ok := behind[p.taker]; ok && !d.steps[p.loser].off {
			d.steps[p.loser].at = max(d.steps[p.loser].at, to)
		}
	}
}
