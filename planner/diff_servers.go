package planner

import (
	"cmp"
	"slices"
)

// takeTurns gives the nodes that are made again their turns: those that are out already first and at once, the others
// one after the other.
func (d *draft) takeTurns() {
	for _, g := range d.groups {
		nodes := slices.Clone(g.nodes)
		slices.SortStableFunc(nodes, func(a, b *node) int {
			return cmp.Or(cmp.Compare(b.class, a.class), cmp.Compare(a.index, b.index))
		})
		turn := 0
		for _, n := range nodes {
			switch n.class {
			case rolled:
				turn++
				d.slots[n.name] = turn
			case troubled:
				d.slots[n.name] = 0
			}
		}
	}
}

// compareServer takes a server through the states that its node's way asks for: a node that is made again is out of
// every backend before, and back when all that is routed to it is there.
func (d *draft) compareServer(ref Ref, have Object, want Server) {
	n := d.nodes[want.Node]
	why, dirty := d.live.Dirty[ref]
	live, _ := have.(Server)
	halfway := have == nil && why.Pending != nil && !d.lost(ref) // it may be there, and in rotation
	switch {
	case !n.class.renewed() || want.State != ServerReady:
		if have == nil || dirty || !equal(have, want) {
			s := d.toward(ref, have, want, why, dirty)
			s.side = (have != nil || halfway) && want.State != ServerReady // going out of rotation waits for nothing
			d.adopts(&s)
			d.emit(s)
		}
	case have == nil && !halfway && (n.class == troubled || d.nodes[ref.Target].class == steady),
		have != nil && live.State != ServerReady && n.class == rolled && !dirty:
		s := d.toward(ref, have, want, why, dirty)
		s.at = max(s.at, inTurn(n, d.slots[n.name], turnReady))
		d.emit(s)
	case n.class == troubled || halfway || have != nil && dirty:
		d.takeOut(ref, have, want, n)
	default:
		d.roll(ref, have, want, n)
	}
}

// takeOut takes a server out before anything else is done, for its node is out already; it is back in its node's turn.
func (d *draft) takeOut(ref Ref, have Object, want Server, n *node) {
	why, dirty := d.live.Dirty[ref]
	live, _ := have.(Server)
	from, out := have, want
	out.State = ServerDrain
	if dirty || live.State == ServerReady || live.Address != want.Address {
		s := d.toward(ref, have, out, why, dirty)
		s.side, s.why = true, "its node is made again"
		d.emit(s)
		from = out
	}
	d.emit(step{ref: ref, action: Update, old: from, new: want, at: inTurn(n, d.slots[n.name], turnReady), why: "its node is back"})
}

// roll takes a server out while its node is replaced.
func (d *draft) roll(ref Ref, have Object, want Server, n *node) {
	if !equal(have, want) {
		s := d.toward(ref, have, want, d.live.Dirty[ref], false)
		s.here = true
		d.emit(s)
	}
	from := have
	if _, changed := d.first[ref]; changed {
		from = want
	}
	out := want
	out.State = ServerDrain
	slot := d.slots[n.name]
	d.emit(step{ref: ref, action: Update, old: from, new: out, at: inTurn(n, slot, turnDrain), side: true, why: "its node is replaced"})
	d.emit(step{ref: ref, action: Update, old: out, new: want, at: inTurn(n, slot, turnReady), side: true, why: "its node is back"})
}

// serverGoes returns when a server is deleted: with its backend when that goes too, when one that stays serves, else before
// routes are made that its node knows nothing of.
func (d *draft) serverGoes(ref Ref, s Server) position {
	g := d.shards[s.Backend]
	if _, stays := d.desired[Ref{KindBackend, ref.Target, s.Backend}]; !stays || g == nil || len(g.serving) == 0 {
		return inStage(phaseDown, ref)
	}
	if g.serving[0].class == troubled || !d.healthy(g, s.Target) && d.alive(s.Node) {
		return inStage(phaseLate, ref)
	}
	return inStage(phaseUp, ref)
}
