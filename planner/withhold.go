package planner

import "slices"

// withhold takes back steps that need what can't be changed now, because its target can't be reached; and deletes of
// what those that stay as they are need. Later plans make up for it.
func (d *draft) withhold() {
	if len(d.suppressed) == 0 {
		return
	}
	byRung := d.stepsByRung()
	for rung := range byRung {
		for _, i := range byRung[rung] {
			s := &d.steps[i]
			if s.new != nil && !s.side && d.needsWithheld(s) {
				d.takeBack(s.ref)
			}
		}
	}
	for rung := len(byRung) - 1; rung >= 0; rung-- {
		for _, i := range byRung[rung] {
			switch s := &d.steps[i]; {
			case s.off:
			case s.new == nil && d.neededByWithheld(s.old):
				s.off, d.withheld[s.ref] = true, true
			default:
				d.keepNames(s)
			}
		}
	}
}

func (d *draft) needsWithheld(s *step) bool {
	for _, n := range s.new.Needs() {
		if r := d.relocatedTo(n); r != nil && s.ref.Kind == KindRoute && d.stuck(r) {
			return true // its files aren't there
		}
	}
	if s.ref.Kind == KindRoute && s.old == nil {
		return false // no route lacks because nodes are down: they are out of rotation, and come back after their vhosts
	}
	for _, n := range s.new.Needs() {
		if d.suppressed[n] || d.withheld[n] {
			return true
		}
	}
	return false
}

func (d *draft) takeBack(ref Ref) {
	d.withheld[ref] = true
	d.chain(ref, func(_ int, s *step) { s.off = true })
}

func (d *draft) neededByWithheld(o Object) bool {
	if len(d.withheld) == 0 {
		return false
	}
	if d.kept == nil {
		d.kept = map[Ref]bool{}
		for w := range d.withheld {
			d.keepNeeds(w)
		}
	}
	ref := o.Ref()
	if d.kept[ref] || d.perhapsNeededByWithheld(o) {
		d.keepNeeds(ref)
		return true
	}
	return false
}

func (d *draft) perhapsNeededByWithheld(o Object) bool {
	for w := range d.withheld {
		if _, dirty := d.live.Dirty[w]; dirty && d.mayNeed(w, o) {
			return true
		}
	}
	return false
}

// keepNeeds marks what the live content of an object that isn't changed needs, also where that was made after it.
func (d *draft) keepNeeds(ref Ref) {
	for _, o := range []Object{d.live.State[ref], d.live.Dirty[ref].Pending} {
		if o == nil {
			continue
		}
		for _, n := range o.Needs() {
			d.kept[n] = true
			if r, ok := o.(Route); ok && n.Kind == KindVhost {
				d.keepEverywhere(n, r.Backend)
			}
		}
	}
}

// keepEverywhere keeps a vhost on all nodes of its shard.
func (d *draft) keepEverywhere(vhost Ref, shard string) {
	if g := d.shards[shard]; g != nil {
		for _, n := range g.nodes {
			d.kept[Ref{KindVhost, n.name, vhost.Name}] = true
		}
	}
}

// keepNames takes back the step in which a vhost gives up names, if a route that stays leads to one of them.
func (d *draft) keepNames(s *step) {
	old, ok := s.old.(Vhost)
	if !ok || !s.side {
		return
	}
	now := s.new.(Vhost)
	for _, h := range old.Hostnames {
		if !slices.Contains(now.Hostnames, h) && d.routed(h, func(r Route) bool { return d.withheld[r.Ref()] }) {
			s.off = true
		}
	}
}
