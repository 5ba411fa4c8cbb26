package planner

import "slices"

// isLost reports whether a target is a host that is declared to be no more.
func (x *expansion) isLost(target string) bool {
	h := x.hosts[target]
	return h != nil && h.Lost
}

// hasMoved reports whether an object is the container or the agent of a node that is on another host now.
func (x *expansion) hasMoved(ref Ref) bool {
	if ref.Kind != KindContainer && ref.Kind != KindAgent {
		return false
	}
	n := x.nodes[ref.Name]
	return n != nil && n.host.Name != ref.Target
}

// isElsewhere reports whether a node is on another host, or may be.
func (x *expansion) isElsewhere(n *node) bool {
	return slices.ContainsFunc(x.index.containers[n.name], func(c Ref) bool { return c.Target != n.host.Name })
}

// elsewhereAndWell reports whether a node that moves still serves where it was.
func (x *expansion) elsewhereAndWell(n *node) bool {
	from := x.index.containers[n.name]
	if len(from) != 1 || from[0].Target == n.host.Name || x.isLost(from[0].Target) || x.isDown(n.name) {
		return false
	}
	agent := Ref{KindAgent, from[0].Target, n.name}
	_, dirty := x.live.Dirty[from[0]]
	return !dirty && x.live.State[from[0]] != nil && x.live.State[agent] != nil && !x.live.Dirty[agent].Gone
}

// goesAt returns when an object is deleted: what was on a host that is lost is forgotten before anything is made in its
// place; of a node that moves, what it was goes in its turn, for two of it must never be there at once.
func (d *draft) goesAt(ref Ref) position {
	switch {
	case d.isLost(ref.Target):
		return inStage(phaseEarly, ref)
	case d.hasMoved(ref):
		n := d.nodes[ref.Name]
		at := turnLeave
		if ref.Kind == KindContainer {
			at++
		}
		return inTurn(n, d.slots[n.name], at)
	}
	return inStage(phaseDown, ref)
}
