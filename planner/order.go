package planner

import (
	"cmp"
	"fmt"
	"slices"
)

// order gives every step its position, what must have succeeded before it, and its number.
func (d *draft) order() error {
	d.placeContainersDown()
	d.withhold()
	d.deleteEarly()
	byRung := d.stepsByRung()
	for rung := range byRung {
		if Ladder[rung] == KindRoute {
			d.pushBehindRelocations(byRung[rung])
		}
		d.pushBehindNeeds(byRung[rung])
		switch Ladder[rung] {
		case KindWebroot:
			d.openRelocations()
		case KindVhost:
			d.joinPairs()
			d.orderRelocations()
		case KindDatabase, KindValkey:
			d.alignMoves(Ladder[rung])
		}
	}
	d.freeNames()
	d.afterVhosts()
	d.placeLeavers()
	d.afterNeeds()
	d.afterDependents()
	d.afterDrains()
	d.afterTurns()
	d.afterMoves()
	d.afterRotations()
	return d.number()
}

func (d *draft) placeContainersDown() {
	for i := range d.steps {
		s := &d.steps[i]
		if c, ok := s.old.(Container); ok && s.action == Delete && s.at >= phaseDown {
			s.at = inTier(s.at, tier(c.Role), phaseDown)
		}
	}
}

// stepsByRung returns the steps of each rung, each rung in the order of references.
func (d *draft) stepsByRung() [][]int {
	rungs := make([][]int, len(Ladder))
	for i := range d.steps {
		if !d.steps[i].off {
			rungs[d.steps[i].rung] = append(rungs[d.steps[i].rung], i)
		}
	}
	// Containers may need containers of a lower tier: those first.
	r, _ := KindContainer.Rung()
	slices.SortFunc(rungs[r], func(a, b int) int { return cmp.Compare(d.steps[a].at, d.steps[b].at) })
	return rungs
}

// pushBehindNeeds moves steps of one rung behind what they need, where that is made in a node's turn or later. What was
// there before, and is made again in its node's turn, needs no waiting for.
func (d *draft) pushBehindNeeds(steps []int) {
	for _, i := range steps {
		s := &d.steps[i]
		if s.side || s.here || s.new == nil {
			continue
		}
		for _, n := range s.new.Needs() {
			d.chain(n, func(_ int, need *step) {
				if need.new != nil && !need.side && !need.again && need.at >= s.at {
					s.at = d.late(s.ref)
				}
			})
		}
	}
}

// joinPairs puts what gives up a name into the stage of what takes it, or the other way round: the later of the two.
func (d *draft) joinPairs() {
	for moved := true; moved; {
		moved = false
		for _, p := range d.pairs {
			taker, ok := d.firstStep(p.taker)
			if !ok || d.steps[p.loser].off {
				continue
			}
			a, b := &d.steps[p.loser], &d.steps[taker]
			if a.at != b.at {
				a.at, b.at = max(a.at, b.at), max(a.at, b.at)
				moved = true
			}
		}
	}
}

func (d *draft) firstStep(ref Ref) (int, bool) {
	i, ok := d.first[ref]
	return i, ok && !d.steps[i].off && d.steps[i].new != nil
}

// freeNames puts a deleted RRset into the stage of one that takes its owner name: a name can't be a CNAME and
// something else at once, and shouldn't be nothing in between.
func (d *draft) freeNames() {
	takers := map[[2]string]int{}
	for i := range d.steps {
		s := &d.steps[i]
		if r, ok := s.new.(RRset); ok && !s.off && s.action == Create {
			key := [2]string{r.Target, r.FQDN}
			if j, ok := takers[key]; !ok || d.steps[j].at < s.at {
				takers[key] = i
			}
		}
	}
	for i := range d.steps {
		s := &d.steps[i]
		r, ok := s.old.(RRset)
		if !ok || s.off || s.action != Delete || s.at < phaseDown {
			continue
		}
		if j, ok := takers[[2]string{r.Target, r.FQDN}]; ok {
			s.at = d.steps[j].at
			d.pairs = append(d.pairs, pair{loser: i, taker: d.steps[j].ref})
		}
	}
}

// number sorts the steps and gives them their numbers.
func (d *draft) number() error {
	for n, i := range d.sorted() {
		d.steps[i].id = n + 1
	}
	for i := range d.steps {
		for _, a := range d.steps[i].after {
			if before := &d.steps[a]; !d.steps[i].off && (before.off || before.at >= d.steps[i].at) {
				return fmt.Errorf("planner: bug: %v has to come after %v", &d.steps[i], before)
			}
		}
	}
	return nil
}

// sorted returns the steps in the order of a plan: by stage, target, kind, deletes first, name.
func (d *draft) sorted() []int {
	if d.inOrder != nil {
		return d.inOrder
	}
	order := make([]int, 0, len(d.steps))
	for i := range d.steps {
		if !d.steps[i].off {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &d.steps[i], &d.steps[j]
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		if c := cmp.Compare(a.ref.Target, b.ref.Target); c != 0 {
			return c
		}
		if a.rung != b.rung {
			return cmp.Compare(a.rung, b.rung)
		}
		if x, y := d.gives(i), d.gives(j); x != y {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(a.ref.Name, b.ref.Name)
	})
	d.inOrder = order
	return order
}

// gives sorts deletes before what only gives up a name, and that before the rest.
func (d *draft) gives(i int) int {
	switch {
	case d.steps[i].action == Delete:
		return 0
	case d.losers[i]:
		return 1
	}
	return 2
}

// afterIDs returns the numbers of the changes that a step comes after, sorted.
func (d *draft) afterIDs(s *step) []int {
	if len(s.after) == 0 {
		return nil
	}
	ids := make([]int, len(s.after))
	for k, a := range s.after {
		ids[k] = d.steps[a].id
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
