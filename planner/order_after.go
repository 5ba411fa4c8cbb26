package planner

import "strings"

// follow makes step i come after the last step of an object that stands before it.
func (d *draft) follow(i int, ref Ref) {
	last, at := -1, d.steps[i].at
	d.chain(ref, func(j int, s *step) {
		if s.at < at {
			last = j
		}
	})
	if last >= 0 && last != i {
		d.steps[i].after = append(d.steps[i].after, last)
	}
}

// afterNeeds lets a failure block what needs the failed change, and the second change of one object follow the first.
func (d *draft) afterNeeds() {
	for i := range d.steps {
		s := &d.steps[i]
		if s.off {
			continue
		}
		if s.prev >= 0 && !d.steps[s.prev].off && d.steps[s.prev].at < s.at {
			s.after = append(s.after, s.prev)
		}
		if s.new == nil {
			continue
		}
		for _, n := range s.new.Needs() {
			d.follow(i, n)
		}
	}
	d.losers = map[int]bool{}
	for _, p := range d.pairs { // what gives up a name waits for all that the taker waits for
		d.losers[p.loser] = true
		taker, ok := d.firstStep(p.taker)
		if !ok || d.steps[p.loser].off || d.steps[taker].at != d.steps[p.loser].at {
			continue
		}
		d.steps[p.loser].after = append(d.steps[p.loser].after, d.steps[taker].after...)
	}
}

// afterDependents lets a delete follow the changes of all that needed it: in what is live, and in what changes that
// didn't finish were to make.
func (d *draft) afterDependents() {
	d.eachDependent(func(dependent int, gone int) {
		d.follow(gone, d.steps[dependent].ref)
	})
	d.afterUnknown()
	for i := range d.steps {
		s := &d.steps[i]
		if s.off || s.action == Create {
			continue
		}
		switch o := s.old.(type) {
		case Vhost:
			d.afterRoutes(i, o)
		case Route:
			d.afterRRsets(i, o)
		}
	}
}

// eachDependent calls fn for each pair of a changed object and a delete of what its old content needs. What goes with a
// container that is made again is changed by that.
func (d *draft) eachDependent(fn func(dependent, gone int)) {
	for ref, i := range d.first {
		if !d.steps[i].off {
			d.eachDeletedNeed(ref, i, fn)
		}
	}
	if len(d.slots) == 0 {
		return
	}
	for ref := range d.live.State {
		if i, ok := d.firstStep(d.containerOf(ref)); ok && d.lost(ref) && !d.has(ref) {
			d.eachDeletedNeed(ref, i, fn)
		}
	}
}

func (d *draft) eachDeletedNeed(ref Ref, i int, fn func(dependent, gone int)) {
	for _, o := range []Object{d.live.State[ref], d.live.Dirty[ref].Pending} {
		if o == nil {
			continue
		}
		for _, n := range o.Needs() {
			if gone, ok := d.deletion(n); ok && gone != i {
				fn(i, gone)
			}
		}
	}
}

// afterUnknown lets a delete follow what is dirty and may need it: an earlier change that didn't finish may have made what
// neither the live state nor the latest change tells of.
func (d *draft) afterUnknown() {
	var dirty []Ref
	for ref := range d.live.Dirty {
		if (ref.Kind == KindVhost || ref.Kind == KindRoute) && d.willChange(ref) {
			dirty = append(dirty, ref)
		}
	}
	if len(dirty) == 0 {
		return
	}
	for i := range d.steps {
		if s := &d.steps[i]; !s.off && s.new == nil {
			for _, ref := range dirty {
				if d.mayNeed(ref, s.old) {
					d.follow(i, ref)
				}
			}
		}
	}
}

// mayNeed reports whether an object of unknown content may need another: a vhost any runtime of its site, a route any
// backend, the certificate of its name, and the servers that go with it. What else objects need, their names tell.
func (d *draft) mayNeed(dirty Ref, o Object) bool {
	ref := o.Ref()
	if ref.Target != dirty.Target {
		return false
	}
	switch o := o.(type) {
	case Runtime:
		return dirty.Kind == KindVhost && strings.HasPrefix(ref.Name, dirty.Name+"/")
	case Backend:
		return dirty.Kind == KindRoute
	case Cert:
		return dirty.Kind == KindRoute && dirty.Name == ref.Name
	case Server:
		_, goes := d.deletion(Ref{KindBackend, ref.Target, o.Backend})
		return goes && dirty.Kind == KindRoute
	}
	return false
}

// containerOf returns the container of the node that an object is on.
func (d *draft) containerOf(ref Ref) Ref {
	if n := d.nodes[ref.Target]; n != nil && n.host != nil {
		return Ref{KindContainer, n.host.Name, n.name}
	}
	return Ref{}
}

// deletion returns the step that takes an object away: its own delete, or that of the container it is in.
func (d *draft) deletion(ref Ref) (int, bool) {
	found, ok := -1, false
	d.chain(ref, func(i int, s *step) {
		if s.action == Delete {
			found, ok = i, true
		}
	})
	if ok || !ref.Kind.inContainer() {
		return found, ok
	}
	for _, c := range d.index.containers[ref.Target] {
		if i, there := d.first[c]; there && d.steps[i].action == Delete {
			return i, true
		}
	}
	return -1, false
}

// afterRoutes lets a vhost give up names only when their routes are gone.
func (d *draft) afterRoutes(i int, old Vhost) {
	s := &d.steps[i]
	now, _ := s.new.(Vhost)
	stays := make(map[string]bool, len(now.Hostnames))
	for _, h := range now.Hostnames {
		stays[h] = true
	}
	for _, h := range old.Hostnames {
		if stays[h] {
			continue
		}
		if _, taken := d.taker(s.ref, h); taken {
			continue
		}
		for _, r := range d.tables().routes[h] {
			if d.lost(r.Ref()) && !d.has(r.Ref()) {
				d.follow(i, d.containerOf(r.Ref()))
			} else {
				d.follow(i, r.Ref())
			}
		}
	}
}

// afterRRsets lets a route go only when no automatic RRset leads to it.
func (d *draft) afterRRsets(i int, old Route) {
	if d.steps[i].action != Delete {
		return
	}
	for _, r := range d.rrsetsGoing()[old.Name] {
		if d.steps[r].at < d.steps[i].at {
			d.steps[i].after = append(d.steps[i].after, r)
		}
	}
}

// rrsetsGoing returns the steps that take away automatic RRsets, by host name.
func (d *draft) rrsetsGoing() map[string][]int {
	if d.going != nil {
		return d.going
	}
	d.going = map[string][]int{}
	for i := range d.steps {
		s := &d.steps[i]
		if s.off {
			continue
		}
		old, was := s.old.(RRset)
		now, is := s.new.(RRset)
		if was && old.automatic() && (!is || !now.automatic()) {
			d.going[old.FQDN] = append(d.going[old.FQDN], i)
		}
	}
	return d.going
}
