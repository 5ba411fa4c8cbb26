package planner

import (
	"cmp"
	"net"
	"slices"
	"strconv"
)

// CopySource is where a database or a Valkey instance is a copy of, until a change without it makes it the one that counts.
type CopySource struct {
	Node    string `json:"node"`    // whose certificate is at the other end
	Address string `json:"address"` // host:port there, of a database its server and of an instance the agent, as the copying node reaches it
}

// movable is a database or a Valkey instance: data that goes from one shard to another.
type movable interface {
	Object
	standing() standing
	// with returns it in another place, or standing otherwise.
	with(Meta, standing) movable
	// seated returns it with what is allocated to it on the shard that it is on.
	seated(*expansion) movable
	// staying returns it, as it is declared, where its data is and as far as it can be changed there.
	staying(at movable) movable
	// resource names it in messages: "database shop".
	resource() string
}

// standing is what a move changes of an object.
type standing struct {
	kept    bool
	movedTo string
	source  *CopySource
}

// dataName names a database or an instance whatever shard it is on.
type dataName struct {
	kind Kind
	name string
}

func nameOf(o movable) dataName { return dataName{o.Ref().Kind, o.Ref().Name} }

func (n dataName) on(shard string) Ref { return Ref{n.kind, shard, n.name} }

// userKind is the kind of the users of such data.
func (n dataName) userKind() Kind {
	if n.kind == KindValkey {
		return KindValkeyUser
	}
	return KindDatabaseUser
}

// dataMove takes a database or an instance from the shard where its data is to the one that it is declared on:
//
//	freeze   the old one becomes read-only, and the new node may read it
//	copy     the new one is made, with what is in the old one, and is read-only as well
//	switch   the two are compared; the new one is the one that counts, and its users follow
//	keep     the users of the old one go, and it is kept
//
// Each is a change of its own, and needs the one before. Until the switch the old one counts: a plan that doesn't want the
// move any more opens it again. From the switch on the new one does, and whoever wants the old place back moves it again.
type dataMove struct {
	from, to string // shards
	source   CopySource
	data     movable // as it is declared
	left     []Ref   // copies that an earlier move has left and not put away: they are before the freeze, for then two would look alike
}

// isOf reports whether a user is one of the data that moves.
func (m dataMove) isOf(user Object) bool {
	switch u := user.(type) {
	case DatabaseUser:
		db, ok := m.data.(Database)
		return ok && db.Schema == u.Schema
	case ValkeyUser:
		v, ok := m.data.(Valkey)
		return ok && v.Tenant == u.Tenant && v.Instance == u.Instance
	}
	return false
}

// mysqlPort is where the server of a database node listens.
const mysqlPort = 3306

// house puts a database or an instance on the shard that it is declared on, and returns it as it is there. One whose data is
// on another moves, or stays as it is as long as it can't.
func (x *expansion) house(o movable) movable {
	ref, tenant := o.Ref(), o.Owner().Tenant
	at, there := x.counting(nameOf(o), ref.Target)
	if !there || at.Ref().Target == ref.Target {
		return x.seat(o)
	}
	from, to := x.shards[at.Ref().Target], x.shards[ref.Target]
	if from == nil || len(from.best) == 0 {
		x.stand(tenant, "%s of tenant %s is made anew, and empty: its data is on shard %s, which isn't declared any more", o.resource(), tenant, at.Ref().Target)
		return x.seat(o)
	}
	left, why := x.leftBehind(at)
	source, hindrance := x.mayMove(at, from, to)
	why = cmp.Or(hindrance, why)
	if why != "" {
		x.stand(tenant, "%s of tenant %s stays on shard %s, and doesn't move to %s yet: %s", o.resource(), tenant, from.name, to.name, why)
		return x.stays(o, at)
	}
	x.notef("%s of tenant %s moves from shard %s to %s: while it is copied it can be read and not be written to, and then it answers on %s, to the same users. What was on %s is kept for %s",
		o.resource(), tenant, from.name, to.name, to.name, from.name, days(x.live.Memory.KeepOf(ref.Kind)))
	o = x.seat(o)
	x.moving[nameOf(o)] = dataMove{from: from.name, to: to.name, source: source, data: o, left: left}
	x.add(at.with(from.place(at, o.Owner()), standing{kept: true, movedTo: to.best[0].name, source: at.standing().source}))
	return o
}

// seat adds an object to what is desired, in its own place.
func (x *expansion) seat(o movable) movable {
	o = o.seated(x)
	x.add(o)
	return o
}

// place is where an object is on a shard with data.
func (g *group) place(o Object, from Owner) Meta {
	return Meta{Target: g.name, Name: o.Ref().Name, From: from, On: g.databaseNeeds()}
}

// counting returns the one of all copies whose data counts: not one that was left, or that is a copy still. Of several that
// are alike it is the one on the shard that is preferred. It is false where there is none.
func (x *expansion) counting(name dataName, prefer string) (movable, bool) {
	var best movable
	rank := 0
	for _, ref := range x.copiesOf(name) {
		o, ok := x.live.was(ref).(movable)
		if !ok {
			continue
		}
		r := 2 * o.standing().rank()
		if ref.Target == prefer {
			r++
		}
		if r > rank {
			best, rank = o, r
		}
	}
	return best, rank > 0
}

// countsOn returns the shard whose copy counts; "" where there is none.
func (x *expansion) countsOn(name dataName) string {
	at, there := x.counting(name, "")
	if !there {
		return ""
	}
	return at.Ref().Target
}

// rank sorts the copies of one thing by how much their data counts, the best one highest.
func (s standing) rank() int {
	switch {
	case s.source != nil:
		return 1 // nobody was ever switched to it
	case s.movedTo != "" && s.kept:
		return 2
	case s.movedTo != "":
		return 3
	case s.kept:
		return 4
	}
	return 5
}

// copiesOf returns where a database or an instance is or may be, sorted.
func (x *expansion) copiesOf(name dataName) []Ref {
	if x.copies == nil {
		x.copies = map[dataName][]Ref{}
		for _, ref := range x.index.data {
			if ref.Kind == KindDatabase || ref.Kind == KindValkey {
				key := dataName{ref.Kind, ref.Name}
				x.copies[key] = append(x.copies[key], ref)
			}
		}
	}
	return x.copies[name]
}

// mayMove returns where data is copied from, or why it can't be now.
func (x *expansion) mayMove(o movable, from, to *group) (CopySource, string) {
	if from.cluster != to.cluster {
		return CopySource{}, "the two are in different clusters, and nothing goes from one to the other; dump and load it"
	}
	if x.live.Dirty[o.Ref()].Gone {
		return CopySource{}, "it is gone from where it was: " + x.live.Dirty[o.Ref()].Text
	}
	source, target := from.best[0], to.best[0]
	for _, n := range []*node{source, target} {
		if n.class == down {
			return CopySource{}, "node " + n.name + " can't be reached"
		}
	}
	port := mysqlPort
	if o.Ref().Kind == KindValkey {
		port = AgentPort // which every node publishes
	}
	if source.host == target.host {
		return CopySource{Node: source.name, Address: net.JoinHostPort(source.address, strconv.Itoa(port))}, ""
	}
	for _, p := range source.ports {
		if p.Container == port && p.Protocol == "tcp" {
			return CopySource{Node: source.name, Address: net.JoinHostPort(p.Address, strconv.Itoa(p.Host))}, ""
		}
	}
	return CopySource{}, "node " + target.name + " on host " + target.host.Name + " can't reach node " + source.name + " on host " + source.host.Name +
		"; publish its port, 'ports: [{name: mysql, container: " + strconv.Itoa(port) + "}]' in NodeProfile " + from.profile.Name
}

// leftBehind returns the copies that a move has left and not put away since, or why they can't be now.
func (x *expansion) leftBehind(at movable) (left []Ref, why string) {
	for _, ref := range x.copiesOf(nameOf(at)) {
		o, ok := x.live.was(ref).(movable)
		if !ok || ref == at.Ref() || o.standing().kept || o.standing().source != nil {
			continue
		}
		g := x.shards[ref.Target]
		if g == nil || len(g.best) == 0 || g.best[0].class == down {
			why = "what an earlier move has left on shard " + ref.Target + " can't be put away there first"
		}
		left = append(left, ref)
	}
	return left, why
}

// stays leaves a database or an instance where its data is, and a copy that was begun as it is.
func (x *expansion) stays(o, at movable) movable {
	if c, ok := x.live.State[o.Ref()].(movable); ok && c.standing().source != nil {
		x.add(c.with(x.shards[c.Ref().Target].place(c, o.Owner()), c.standing()))
	}
	stands := o.standing()
	stands.movedTo = at.standing().movedTo
	o = o.staying(at).with(x.shards[at.Ref().Target].place(o, o.Owner()), stands)
	x.add(o)
	return o
}

// abandoned reports whether an object is a copy that nobody was switched to, nor may have been, and the data that counts is
// elsewhere.
func (x *expansion) abandoned(o movable) bool {
	if o.standing().source == nil || o.standing().kept {
		return false
	}
	_, dirty := x.live.Dirty[o.Ref()]
	if _, copied := x.live.State[o.Ref()]; copied && dirty {
		return false // what was begun may have been the switch
	}
	return x.countsOn(nameOf(o)) != o.Ref().Target
}

// putAway returns what is kept of an object that nobody declares any more.
func (x *expansion) putAway(o movable, needs []Ref) movable {
	ref, stands := o.Ref(), o.standing()
	if x.countsOn(nameOf(o)) == ref.Target {
		stands.movedTo = "" // it was about to move: what an earlier move has left must not look like it
	}
	stands.kept = true
	return o.with(Meta{Target: ref.Target, Name: ref.Name, From: o.Owner(), On: needs}, stands)
}

// Where the steps of a move stand within their rung.
const (
	movePutAway position = 0
	moveFreeze  position = 2
	moveCopy    position = 4
	moveSwitch  position = 7
)

// compareMovable changes a database or an instance in several steps where it moves.
func (d *draft) compareMovable(ref Ref, have Object, want movable) {
	why, dirty := d.live.Dirty[ref]
	m, moves := d.moving[nameOf(want)]
	stands := want.standing()
	switch {
	case moves && ref.Target == m.to:
		stands.source = &m.source
	case moves && ref.Target == m.from:
		stands.kept = false
	default:
		s := d.toward(ref, have, want, why, dirty)
		if retires(have, want) && !slices.Contains(m.left, ref) {
			s.at, s.side = inStage(phaseDown, ref), true
		}
		d.emit(s)
		return
	}
	between := want.with(Meta{Target: ref.Target, Name: ref.Name, From: want.Owner(), On: want.Needs()}, stands)
	if old, ok := have.(movable); ok && slices.Contains(m.left, ref) {
		left := old.standing()
		left.kept = true
		old = old.with(Meta{Target: ref.Target, Name: ref.Name, From: old.Owner(), On: want.Needs()}, left)
		d.emit(d.toward(ref, have, old, why, dirty))
		have = old
	}
	before := Object(between)
	if have == nil || dirty || !equal(have, between) {
		s := d.toward(ref, have, between, why, dirty)
		s.why = "freeze: read-only until it has moved to " + m.to
		if stands.source != nil {
			s.why = "copy of what is on " + m.from
		}
		d.emit(s)
	} else {
		before = have
	}
	last := step{ref: ref, action: Update, old: before, new: want, at: inStage(phaseDown, ref), side: true, why: "moved to " + m.to}
	if stands.source != nil {
		last.at, last.side, last.why = inStage(phaseUp, ref), false, "switch: from here on it counts"
	}
	d.emit(last)
}

// expelUser removes a user from the place that its data moves to, where an earlier move has left it: nobody may write there
// before the switch is known to be done. It reports whether there was one.
func (d *draft) expelUser(ref Ref) bool {
	if ref.Kind != KindDatabaseUser && ref.Kind != KindValkeyUser || len(d.moving) == 0 {
		return false
	}
	u := d.live.was(ref)
	if u == nil || d.live.Dirty[ref].Gone {
		return false
	}
	for name, m := range d.moving {
		if m.to == ref.Target && m.isOf(u) {
			at := inStage(phaseUp, Ref{Kind: name.kind}) + movePutAway
			d.emit(step{ref: ref, action: Delete, old: u, at: at, why: "nobody may write there before " + name.name + " is there"})
			return true
		}
	}
	return false
}

// alignMoves puts the steps of each move of a kind in their order, all before or all after the turns of nodes that are made again.
func (d *draft) alignMoves(kind Kind) {
	for name, m := range d.moving {
		if name.kind != kind {
			continue
		}
		from, to := name.on(m.from), name.on(m.to)
		phase := phaseUp
		each := func(fn func(s *step)) {
			for _, ref := range []Ref{from, to} {
				d.chain(ref, func(_ int, s *step) {
					if s.at < phaseDown {
						fn(s)
					}
				})
			}
		}
		each(func(s *step) {
			if s.at >= phaseLate {
				phase = phaseLate
			}
		})
		each(func(s *step) {
			s.at = inStage(phase, s.ref)
			switch stands := s.new.(movable).standing(); {
			case s.ref == from:
				s.at += moveFreeze
			case stands.kept:
				s.at += movePutAway
			case stands.source != nil:
				s.at += moveCopy
			default:
				s.at += moveSwitch
			}
		})
	}
}

// afterMoves lets the copy come after the freeze, and all that takes the old place away after the switch: the users there
// after those of the new place.
func (d *draft) afterMoves() {
	if len(d.moving) == 0 {
		return
	}
	for name, m := range d.moving {
		from, to := name.on(m.from), name.on(m.to)
		d.chain(to, func(i int, _ *step) { d.follow(i, from) })
		d.chain(from, func(i int, _ *step) {
			d.follow(i, to)
			for _, ref := range m.left {
				d.follow(i, ref)
			}
		})
	}
	for i := range d.steps {
		s := &d.steps[i]
		if s.off || s.new != nil || s.ref.Kind != KindDatabaseUser && s.ref.Kind != KindValkeyUser {
			continue
		}
		for name, m := range d.moving {
			from, to := name.on(m.from), name.on(m.to)
			switch {
			case !m.isOf(s.old):
			case m.from == s.ref.Target:
				d.follow(i, to)
				d.follow(i, Ref{name.userKind(), to.Target, s.ref.Name})
			case m.to == s.ref.Target:
				d.steps[d.first[from]].after = append(d.steps[d.first[from]].after, i)
			}
		}
	}
}
