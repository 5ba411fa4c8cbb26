package planner

import (
	"slices"
)

// nameTables finds by host name what is live or may be. They are built when a plan first needs them.
type nameTables struct {
	routes map[string][]Route // live, and what changes that didn't finish were to make
	site   map[string]*site   // who has the name in the manifest
}

func (d *draft) tables() *nameTables {
	if d.names != nil {
		return d.names
	}
	t := &nameTables{routes: map[string][]Route{}, site: map[string]*site{}}
	for ref, o := range d.live.State {
		if r, ok := o.(Route); ok {
			t.routes[ref.Name] = append(t.routes[ref.Name], r)
		}
	}
	for ref, why := range d.live.Dirty {
		if r, ok := why.Pending.(Route); ok {
			t.routes[ref.Name] = append(t.routes[ref.Name], r)
		}
	}
	for i := range d.sites {
		for _, h := range d.sites[i].hostnames {
			t.site[h] = &d.sites[i]
		}
	}
	d.names = t
	return t
}

// taker returns the vhost that a name goes to on the same node, if it goes to one.
func (d *draft) taker(ref Ref, hostname string) (Ref, bool) {
	s := d.tables().site[hostname]
	if s == nil || s.name == ref.Name || s.shard != d.nodes[ref.Target].group {
		return Ref{}, false
	}
	return Ref{KindVhost, ref.Target, s.name}, true
}

// routed reports whether a load balancer that can be reached routes a name, or may.
func (d *draft) routed(hostname string, which func(Route) bool) bool {
	return slices.ContainsFunc(d.tables().routes[hostname], func(r Route) bool { return d.usable(r.Ref()) && which(r) })
}

func anyRoute(Route) bool { return true }

// moves reports whether a route stays, and goes to another backend.
func (d *draft) moves(r Route) bool {
	_, stays := d.desired[r.Ref()]
	return stays
}

// leaving sorts out the names that a vhost has, or may have, and won't have: those that another vhost on the node takes,
// and those that must be served until nothing routes them here.
func (d *draft) leaving(ref Ref, want []string) (taken []Ref, held []string) {
	keep := anyRoute
	if d.lost(ref) {
		keep = d.moves // routes that go are gone before the new container serves
	}
	var names []string
	for _, o := range []Object{d.live.State[ref], d.live.Dirty[ref].Pending} {
		if v, ok := o.(Vhost); ok {
			names = append(names, v.Hostnames...)
		}
	}
	slices.Sort(names)
	for _, h := range slices.Compact(names) {
		if slices.Contains(want, h) {
			continue
		}
		if t, ok := d.taker(ref, h); ok {
			taken = append(taken, t)
		} else if d.routed(h, keep) {
			held = append(held, h)
		}
	}
	return taken, held
}

// compareVhost changes a vhost in two steps where names go whose routes still come here: first to all names, and when
// the routes are gone to those that stay.
func (d *draft) compareVhost(ref Ref, have Object, want Vhost) {
	taken, held := d.leaving(ref, want.Hostnames)
	wide := want
	if len(held) > 0 {
		wide.Hostnames = append(slices.Clone(want.Hostnames), held...)
		slices.Sort(wide.Hostnames)
	}
	why, dirty := d.live.Dirty[ref]
	back := d.comesBack(ref)
	if back != nil {
		wide.Quiet = true
	}
	var before Object = wide
	if have == nil || dirty || !equal(have, wide) {
		i := d.emit(d.toward(ref, have, wide, why, dirty))
		d.giveUp(i, taken)
	} else {
		before = have
	}
	if back != nil {
		before = d.speakAgain(back, ref, wide)
	}
	if len(held) > 0 {
		d.emit(step{ref: ref, action: Update, old: before, new: want, at: inStage(phaseDown, ref), side: true, why: "names whose routes are gone"})
	}
}

// giveUp puts a step into the stage of those who take names from it.
func (d *draft) giveUp(i int, takers []Ref) {
	for _, t := range takers {
		d.pairs = append(d.pairs, pair{loser: i, taker: t})
	}
}

// removeVhost deletes a vhost: at once where another takes its names, else when nothing routes to it.
func (d *draft) removeVhost(ref Ref, have Vhost) {
	taken, held := d.leaving(ref, nil)
	if len(taken) == 0 {
		have = d.hush(ref, have)
	}
	s := step{ref: ref, action: Delete, old: have, at: inStage(phaseDown, ref), why: d.whyDelete(ref)}
	switch {
	case len(taken) > 0 && len(held) == 0:
		s.at = d.upward(ref)
		d.giveUp(d.emit(s), taken)
		return
	case len(taken) > 0:
		rest := have
		rest.Hostnames = held
		i := d.emit(step{ref: ref, action: Update, old: have, new: rest, at: d.upward(ref), why: "names that another takes"})
		d.giveUp(i, taken)
		s.old = rest
	}
	d.emit(s)
}

// holdLostVhost makes a vhost again in a new container, with its user and runtime, though nobody declares it any more:
// it has names whose routes leave it in this plan, and later than the container is made.
func (d *draft) holdLostVhost(ref Ref, have Vhost) {
	_, held := d.leaving(ref, nil)
	have = d.hold(ref, have)
	if len(held) == 0 || d.live.State[ref] == nil {
		return
	}
	have.Hostnames = held
	for _, o := range d.heldWith(have) {
		r := o.Ref()
		if _, desired := d.desired[r]; desired || !d.lost(r) {
			continue
		}
		if _, done := d.first[r]; !done || r == ref {
			d.emit(step{ref: r, action: Create, new: o, at: d.upward(r), why: "serves until its routes have moved"})
			d.emit(step{ref: r, action: Delete, old: o, at: inStage(phaseDown, r)})
		}
	}
}

// heldWith returns a vhost and what it needs in its container, as they are live.
func (d *draft) heldWith(v Vhost) []Object {
	all := []Object{v}
	for i := 0; i < len(all); i++ {
		for _, n := range all[i].Needs() {
			if o, ok := d.live.State[n]; ok && n.Kind.inContainer() {
				all = append(all, o)
			}
		}
	}
	return all
}
