package planner

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
)

// DatabaseSource is where a database is a copy of, until a change without it makes it the one that counts.
type DatabaseSource struct {
	Node    string `json:"node"`    // whose certificate its server has
	Address string `json:"address"` // host:port of that server, as the copying node reaches it
}

// databaseMove takes a database from the shard where its data is to the one that it is declared on:
//
//	freeze   the old one becomes read-only, and the new node may read it
//	copy     the new one is made, with what is in the old one, and is read-only as well
//	switch   the two are compared; the new one is the one that counts, and its users follow
//	keep     the users of the old one go, and it is kept
//
// Each is a change of its own, and needs the one before. Until the switch the old one counts: a plan that doesn't want the
// move any more opens it again. From the switch on the new one does, and whoever wants the old place back moves it again.
type databaseMove struct {
	from, to string // shards
	source   DatabaseSource
	schema   string
	left     []Ref // copies that an earlier move has left and not put away: they are before the freeze, for then two would look alike
}

// mysqlPort is where the server of a database node listens.
const mysqlPort = 3306

// placeDatabase puts a database on the shard that it is declared on, and returns it as it is there. One whose data is on
// another moves, or stays as it is as long as it can't.
func (x *expansion) placeDatabase(o Database) Database {
	at, there := x.counting(o.Name, o.Target)
	if !there || at.Target == o.Target {
		x.add(o)
		return o
	}
	_, name, _ := strings.Cut(o.Name, ".")
	from, to := x.shards[at.Target], x.shards[o.Target]
	if from == nil || len(from.best) == 0 {
		x.stand(o.Tenant, "database %s of tenant %s is made anew, and empty: its data is on shard %s, which isn't declared any more", name, o.Tenant, at.Target)
		x.add(o)
		return o
	}
	left, why := x.leftBehind(at)
	source, hindrance := x.mayMove(at, from, to)
	why = cmp.Or(hindrance, why)
	if why != "" {
		x.stand(o.Tenant, "database %s of tenant %s stays on shard %s, and doesn't move to %s yet: %s", name, o.Tenant, from.name, to.name, why)
		return x.stays(o, at)
	}
	x.notef("database %s of tenant %s moves from shard %s to %s: while it is copied it can be read and not be written to, and then it answers on %s, to the same users. What was on %s is kept for %s",
		name, o.Tenant, from.name, to.name, to.name, from.name, days(x.live.Memory.KeepOf(KindDatabase)))
	x.moving[o.Name] = databaseMove{from: from.name, to: to.name, source: source, schema: o.Schema, left: left}
	x.add(o)
	at.From, at.On, at.MovedTo, at.Kept = o.From, from.databaseNeeds(), to.best[0].name, true
	x.add(at)
	return o
}

// counting returns the one of all copies of a database whose data counts: not one that was left, or that is a copy still. Of
// several that are alike it is the one on the shard that is preferred. It is false where there is none.
func (x *expansion) counting(name, prefer string) (Database, bool) {
	best, rank := Database{}, 0
	for _, ref := range x.databaseCopies(name) {
		o, ok := x.live.was(ref).(Database)
		if !ok {
			continue
		}
		r := 2 * rankOf(o)
		if ref.Target == prefer {
			r++
		}
		if r > rank {
			best, rank = o, r
		}
	}
	return best, rank > 0
}

// rankOf sorts the copies of a database by how much their data counts, the best one highest.
func rankOf(o Database) int {
	switch {
	case o.Source != nil:
		return 1 // nobody was ever switched to it
	case o.MovedTo != "" && o.Kept:
		return 2
	case o.MovedTo != "":
		return 3
	case o.Kept:
		return 4
	}
	return 5
}

// databaseCopies returns where a database is or may be, sorted.
func (x *expansion) databaseCopies(name string) []Ref {
	if x.copies == nil {
		x.copies = map[string][]Ref{}
		for _, ref := range x.index.data {
			if ref.Kind == KindDatabase {
				x.copies[ref.Name] = append(x.copies[ref.Name], ref)
			}
		}
	}
	return x.copies[name]
}

// mayMove returns where a database is copied from, or why it can't be now.
func (x *expansion) mayMove(o Database, from, to *group) (DatabaseSource, string) {
	if from.cluster != to.cluster {
		return DatabaseSource{}, "the two are in different clusters, and nothing goes from one to the other; dump and load it"
	}
	if x.live.Dirty[o.Ref()].Gone {
		return DatabaseSource{}, "it is gone from where it was: " + x.live.Dirty[o.Ref()].Text
	}
	source, target := from.best[0], to.best[0]
	for _, n := range []*node{source, target} {
		if n.class == down {
			return DatabaseSource{}, "node " + n.name + " can't be reached"
		}
	}
	port := strconv.Itoa(mysqlPort)
	if source.host == target.host {
		return DatabaseSource{Node: source.name, Address: net.JoinHostPort(source.address, port)}, ""
	}
	for _, p := range source.ports {
		if p.Container == mysqlPort && p.Protocol == "tcp" {
			return DatabaseSource{Node: source.name, Address: net.JoinHostPort(p.Address, strconv.Itoa(p.Host))}, ""
		}
	}
	return DatabaseSource{}, "node " + target.name + " on host " + target.host.Name + " can't reach node " + source.name + " on host " + source.host.Name +
		"; publish its port, 'ports: [{name: mysql, container: " + port + "}]' in NodeProfile " + from.profile.Name
}

// leftBehind returns the copies that a move has left and not put away since, or why they can't be now.
func (x *expansion) leftBehind(at Database) (left []Ref, why string) {
	for _, ref := range x.databaseCopies(at.Name) {
		o, ok := x.live.was(ref).(Database)
		if !ok || ref == at.Ref() || o.Kept || o.Source != nil {
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

// stays leaves a database where its data is, and a copy that was begun as it is.
func (x *expansion) stays(o, at Database) Database {
	copied := Ref{KindDatabase, o.Target, o.Name}
	if c, ok := x.live.State[copied].(Database); ok && c.Source != nil {
		c.From, c.On = o.From, x.shards[c.Target].databaseNeeds()
		x.add(c)
	}
	o.Target, o.On, o.MovedTo = at.Target, x.shards[at.Target].databaseNeeds(), at.MovedTo
	if o.MovedTo != "" { // nothing of it can be changed while it is read-only
		o.Charset, o.Collation = at.Charset, at.Collation
	}
	x.add(o)
	return o
}

// abandoned reports whether a database is a copy that nobody was switched to, nor may have been, and the data that counts is
// elsewhere.
func (x *expansion) abandoned(o Database) bool {
	if o.Source == nil || o.Kept {
		return false
	}
	_, dirty := x.live.Dirty[o.Ref()]
	if _, copied := x.live.State[o.Ref()]; copied && dirty {
		return false // what was begun may have been the switch
	}
	at, _ := x.counting(o.Name, "")
	return at.Target != o.Target
}

// Where the steps of a move stand within the rung of databases.
const (
	movePutAway position = 0
	moveFreeze  position = 2
	moveCopy    position = 4
	moveSwitch  position = 7
)

// compareDatabase changes a database in several steps where it moves.
func (d *draft) compareDatabase(ref Ref, have Object, want Database) {
	why, dirty := d.live.Dirty[ref]
	m, moves := d.moving[ref.Name]
	between := want
	switch {
	case moves && ref.Target == m.to:
		between.Source = &m.source
	case moves && ref.Target == m.from:
		between.Kept = false
	default:
		s := d.toward(ref, have, want, why, dirty)
		if retires(have, want) && !slices.Contains(m.left, ref) {
			s.at, s.side = inStage(phaseDown, ref), true
		}
		d.emit(s)
		return
	}
	if old, ok := have.(Database); ok && slices.Contains(m.left, ref) {
		old.Kept, old.On = true, want.On
		d.emit(d.toward(ref, have, old, why, dirty))
		have = old
	}
	var before Object = between
	if have == nil || dirty || !equal(have, between) {
		s := d.toward(ref, have, between, why, dirty)
		s.why = "freeze: read-only until it has moved to " + m.to
		if between.Source != nil {
			s.why = "copy of what is on " + m.from
		}
		d.emit(s)
	} else {
		before = have
	}
	last := step{ref: ref, action: Update, old: before, new: want, at: inStage(phaseDown, ref), side: true, why: "moved to " + m.to}
	if between.Source != nil {
		last.at, last.side, last.why = inStage(phaseUp, ref), false, "switch: from here on it counts"
	}
	d.emit(last)
}

// expelUser removes a user from the place that its database moves to, where an earlier move has left it: nobody may write
// there before the switch is known to be done. It reports whether there was one.
func (d *draft) expelUser(ref Ref) bool {
	if ref.Kind != KindDatabaseUser || len(d.moving) == 0 {
		return false
	}
	u, ok := d.live.was(ref).(DatabaseUser)
	if !ok || d.live.Dirty[ref].Gone {
		return false
	}
	for name, m := range d.moving {
		if m.to == ref.Target && m.schema == u.Schema {
			at := inStage(phaseUp, Ref{Kind: KindDatabase}) + movePutAway
			d.emit(step{ref: ref, action: Delete, old: u, at: at, why: "nobody may write there before " + name + " is there"})
			return true
		}
	}
	return false
}

// alignMoves puts the steps of each move in their order, all before or all after the turns of nodes that are made again.
func (d *draft) alignMoves() {
	for name, m := range d.moving {
		from, to := Ref{KindDatabase, m.from, name}, Ref{KindDatabase, m.to, name}
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
			switch db := s.new.(Database); {
			case s.ref == from:
				s.at += moveFreeze
			case db.Kept:
				s.at += movePutAway
			case db.Source != nil:
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
		from, to := Ref{KindDatabase, m.from, name}, Ref{KindDatabase, m.to, name}
		d.chain(to, func(i int, _ *step) { d.follow(i, from) })
		d.chain(from, func(i int, _ *step) {
			d.follow(i, to)
			for _, ref := range m.left {
				d.follow(i, ref)
			}
		})
	}
	for i := range d.steps {
		u, ok := d.steps[i].old.(DatabaseUser)
		if !ok || d.steps[i].off || d.steps[i].new != nil {
			continue
		}
		for name, m := range d.moving {
			from, to := Ref{KindDatabase, m.from, name}, Ref{KindDatabase, m.to, name}
			switch {
			case m.schema != u.Schema:
			case m.from == u.Target:
				d.follow(i, to)
				d.follow(i, Ref{KindDatabaseUser, to.Target, u.Name})
			case m.to == u.Target:
				d.steps[d.first[from]].after = append(d.steps[d.first[from]].after, i)
			}
		}
	}
}
