package planner

// position is the place of a step in the order of a plan; steps of one position are one stage. The phases come one after
// the other, and each has its own order within:
//
//	early   deletes of routes to backends whose nodes come back in this plan, and of the RRsets that need them
//	up      creates and updates, up the ladder, containers by tiers
//	turns   nodes that are made again, by tiers; in a group one after the other
//	late    creates and updates that need what the turns have made, up the ladder
//	down    deletes, and names that go, down the ladder
type position int

const (
	phaseEarly position = 0
	phaseUp    position = 1_000
	phaseTurns position = 1_000_000
	phaseLate  position = 1_000_000_000
	phaseDown  position = 2_000_000_000

	perRung position = 10
	perTurn position = 1_000
	perTier position = 100_000_000

	phaseEarlyAfterDNS = phaseTurns + 2*perTier - perTurn // between the turns of DNS nodes and load balancers
)

// inStage returns the position of an object in a phase that goes up or down the ladder.
func inStage(phase position, ref Ref) position {
	rung, _ := ref.Kind.Rung()
	at := position(rung) * perRung
	if phase == phaseEarly || phase == phaseEarlyAfterDNS || phase == phaseDown {
		at = position(len(Ladder)-rung) * perRung
	}
	return phase + at
}

// inTier sets containers of one tier apart from those of another, going up or down.
func inTier(at position, n int, phase position) position {
	if phase == phaseDown {
		return at + perRung - 1 - position(n)
	}
	return at + position(n)
}

// What is done in a node's turn, in this order. Between turnInside and turnReady are the rungs of what is in a container.
const (
	turnDrain     position = 0
	turnLeave     position = 1 // of a node that moves: its agent goes, then its container
	turnContainer position = 3
	turnAgent     position = 4
	turnInside    position = 10
	turnReady     position = 900
)

func inTurn(n *node, slot int, what position) position {
	return phaseTurns + position(tier(n.group.role))*perTier + position(slot)*perTurn + what
}

// upward returns the position at which an object is made or changed: in its node's turn if that is made again.
func (d *draft) upward(ref Ref) position {
	rung, _ := ref.Kind.Rung()
	name, what := ref.Target, turnInside+position(rung)
	switch {
	case ref.Kind == KindContainer:
		name, what = ref.Name, turnContainer
	case ref.Kind == KindAgent:
		name, what = ref.Name, turnAgent
	case !ref.Kind.inContainer():
		return inStage(phaseUp, ref)
	}
	n := d.nodes[name]
	switch {
	case n.class.renewed():
		return inTurn(n, d.slots[name], what)
	case ref.Kind == KindContainer:
		return inTier(inStage(phaseUp, ref), tier(n.group.role), phaseUp)
	}
	return inStage(phaseUp, ref)
}

// late returns the position of a step that has to wait for what the turns make.
func (d *draft) late(ref Ref) position {
	at := inStage(phaseLate, ref)
	if n := d.nodes[ref.Name]; ref.Kind == KindContainer && n != nil {
		at = inTier(at, tier(n.group.role), phaseLate)
	}
	return at
}
