package planner

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
			if s := &d.steps[i]; !s.off && s.new == nil && d.neededByWithheld(s.ref) {
				d.takeBack(s.ref)
			}
		}
	}
}

func (d *draft) needsWithheld(s *step) bool {
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

func (d *draft) neededByWithheld(ref Ref) bool {
	if len(d.withheld) == 0 {
		return false
	}
	if d.kept == nil {
		d.kept = map[Ref]bool{}
		for w := range d.withheld {
			d.keepNeeds(w)
		}
	}
	if d.kept[ref] {
		d.keepNeeds(ref)
		return true
	}
	return false
}

// keepNeeds marks what the live content of an object that isn't changed needs.
func (d *draft) keepNeeds(ref Ref) {
	for _, o := range []Object{d.live.State[ref], d.live.Dirty[ref].Pending} {
		if o == nil {
			continue
		}
		for _, n := range o.Needs() {
			d.kept[n] = true
		}
	}
}
