package planner

import (
	"fmt"
	"slices"
)

// step is a change in the making.
type step struct {
	ref    Ref
	rung   int
	action Action
	old    Object // nil: it is not there
	new    Object
	why    string
	at     position
	after  []int // steps
	prev   int   // the step before of the same object, -1
	next   int   // the step after of the same object, -1
	again  bool  // makes again what is there until then: nobody who needs it has to wait
	side   bool  // a step aside (drain, and back; names that go later): nobody needs it
	adopt  bool  // takes over what is there
	here   bool  // done with what is there: waits for nothing that is made again
	off    bool  // withheld
	id     int
}

// draft is a plan in the making: the steps, found by object.
type draft struct {
	*expansion
	steps      []step
	first      map[Ref]int
	suppressed map[Ref]bool // would change, on a target that can't be reached
	withheld   map[Ref]bool // would change, and needs what is suppressed
	pairs      []pair       // what gives up an exclusive name, and who takes it
	names      *nameTables
	slots      map[string]int // node -> its turn among the nodes of its group that are made again
	groupUp    map[string]bool
	kept       map[Ref]bool     // needed by what is withheld
	going      map[string][]int // steps that take automatic RRsets away, by host name
	losers     map[int]bool
	inOrder    []int
}

// pair puts a step that gives up a name into the stage of the object that takes it.
type pair struct {
	loser int
	taker Ref
}

// diff compares the desired state with the live one. What is dirty is touched again even where it is equal.
func diff(x *expansion) *draft {
	d := &draft{expansion: x, suppressed: map[Ref]bool{}, withheld: map[Ref]bool{}, slots: map[string]int{}}
	d.first = make(map[Ref]int, max(0, len(x.desired)-len(x.live.State))+64)
	d.steps = make([]step, 0, max(0, len(x.desired)-len(x.live.State))+64)
	d.takeTurns()
	for ref, want := range x.desired {
		d.compare(ref, want)
	}
	for ref, have := range x.live.State {
		if _, ok := x.desired[ref]; !ok {
			d.remove(ref, have)
		}
	}
	for _, ref := range x.index.unsettled {
		if _, ok := x.desired[ref]; !ok {
			d.remove(ref, x.live.Dirty[ref].Pending)
		}
	}
	return d
}

// emit adds a step, after the steps that its object has already.
func (d *draft) emit(s step) int {
	i := len(d.steps)
	s.prev, s.next = -1, -1
	s.rung, _ = s.ref.Kind.Rung()
	if at, ok := d.first[s.ref]; ok {
		for d.steps[at].next >= 0 {
			at = d.steps[at].next
		}
		d.steps[at].next, s.prev = i, at
	} else {
		d.first[s.ref] = i
	}
	d.steps = append(d.steps, s)
	return i
}

// chain calls fn for the steps of an object, in order.
func (d *draft) chain(ref Ref, fn func(i int, s *step)) {
	i, ok := d.first[ref]
	for ok && i >= 0 {
		if s := &d.steps[i]; !s.off {
			fn(i, s)
		}
		i = d.steps[i].next
	}
}

// now returns what is at a reference for this plan: nil if it isn't there, was seen not to be there, or is lost with the
// container that it is in.
func (d *draft) now(ref Ref) Object {
	if d.live.Dirty[ref].Gone || d.lost(ref) {
		return nil
	}
	return d.live.State[ref]
}

// lost reports whether an object goes with its container, which this plan makes anew.
func (d *draft) lost(ref Ref) bool {
	if !ref.Kind.inContainer() {
		return false
	}
	n := d.nodes[ref.Target]
	return n != nil && n.class.renewed()
}

// compare emits what takes an object to what is wanted.
func (d *draft) compare(ref Ref, want Object) {
	have := d.now(ref)
	why, dirty := d.live.Dirty[ref]
	if d.expelUser(ref) {
		have, why, dirty = nil, Reason{}, false
	}
	if have != nil && !dirty && !d.madeAgain(ref) && equal(have, want) && ref.Kind != KindServer && renamed(have, want) == "" && !claimed(have, want) {
		return
	}
	if r := d.relocatedTo(ref); !d.usable(ref) || r != nil && !d.groupUsable(r.from.Target) {
		if have == nil || dirty || !equal(have, want) {
			d.suppressed[ref] = true
		}
		return
	}
	switch want := want.(type) {
	case Vhost:
		d.compareVhost(ref, have, want)
		return
	case Server:
		d.compareServer(ref, have, want)
		return
	case movable:
		d.compareMovable(ref, have, want)
		return
	case account:
		d.compareLogin(ref, have, want)
		return
	case User:
		d.keepUserNow(ref, want)
	case Webroot:
		if r := d.relocatedTo(ref); r != nil {
			d.compareMoved(r, have, want)
			return
		}
		if r := d.leftBy(ref); r != nil && have != nil {
			d.compareLeft(r, have, want)
			return
		}
	}
	s := d.toward(ref, have, want, why, dirty)
	s.again = s.again || d.has(ref)
	d.adopts(&s)
	if retires(have, want) {
		s.at, s.side = inStage(phaseDown, ref), true
	}
	d.emit(s)
}

// retires reports whether a change puts data away that nobody declares any more: it goes down the ladder, after what
// serves the data has gone.
func retires(have, want Object) bool {
	switch want := want.(type) {
	case User:
		old, ok := have.(User)
		return ok && want.Locked && !old.Locked
	case Webroot:
		old, ok := have.(Webroot)
		return ok && want.Kept && !old.Kept
	case Database:
		old, ok := have.(Database)
		return ok && want.Kept && !old.Kept
	case Valkey:
		old, ok := have.(Valkey)
		return ok && want.Kept && !old.Kept
	}
	return false
}

// has reports whether an object has a step already.
func (d *draft) has(ref Ref) bool {
	_, ok := d.first[ref]
	return ok
}

// toward returns the step from what is there to what is wanted.
func (d *draft) toward(ref Ref, have, want Object, why Reason, dirty bool) step {
	s := step{ref: ref, old: have, new: want, at: d.upward(ref), action: Update}
	switch {
	case have == nil:
		s.action = Create
		s.again = d.isAgain(ref, want)
		if s.why = d.whyCreate(ref, why); s.why == "" && adopts(want) {
			s.why = "what is there of that name is taken over"
		}
	case ref.Kind == KindContainer && d.nodes[ref.Name].class.renewed():
		s.action = Replace
		s.why = "what changes can't be changed in place"
		if dirty {
			s.why = "unfinished: " + why.Text
		}
	case dirty:
		s.why = "dirty: " + why.Text
	case claimed(have, want):
		s.why = "was there already"
	case renamed(have, want) != "":
		s.why = "renamed from " + renamed(have, want)
	case ref.Kind == KindAgent && d.madeAgain(ref):
		s.why = "its container is made again"
		s.again = d.nodes[ref.Name].class == rolled && equal(have, want)
	}
	return s
}

func (d *draft) whyCreate(ref Ref, why Reason) string {
	switch {
	case d.lost(ref) && d.live.State[ref] != nil:
		return "its container is made again"
	case why.Gone:
		return "gone: " + why.Text
	case why.Text != "":
		return "unfinished: " + why.Text
	}
	return ""
}

// isAgain reports whether making an object only repeats, in the new container, what serves in the old one until then.
func (d *draft) isAgain(ref Ref, want Object) bool {
	if !d.lost(ref) || d.nodes[ref.Target].class != rolled {
		return false
	}
	have, there := d.live.State[ref]
	_, dirty := d.live.Dirty[ref]
	return there && !dirty && equal(have, want)
}

// keepUserNow changes a user in the container that is there, if its node is replaced later in this plan: folders of the
// shard may be made through the node meanwhile.
func (d *draft) keepUserNow(ref Ref, want User) {
	n := d.nodes[ref.Target]
	if n.class != rolled || d.isAgain(ref, want) {
		return
	}
	why, dirty := d.live.Dirty[ref]
	have := d.live.State[ref]
	if why.Gone {
		have = nil
	}
	s := d.toward(ref, have, want, why, dirty)
	s.at, s.again, s.here = inStage(phaseUp, ref), false, true
	d.emit(s)
}

// madeAgain reports whether an object outlives the container that is made anew and must be made sure of: the agent.
func (d *draft) madeAgain(ref Ref) bool {
	if ref.Kind != KindAgent {
		return false
	}
	n := d.nodes[ref.Name]
	return n != nil && n.class.renewed()
}

// remove emits what takes away an object that nobody declares. What is in a container that goes, goes with it.
func (d *draft) remove(ref Ref, have Object) {
	if d.goesWithVolume(ref) {
		return
	}
	if ref.Kind.inContainer() && d.nodes[ref.Target] == nil {
		d.hushLeaving(ref, have)
		return
	}
	if v, ok := have.(Vhost); ok && d.lost(ref) {
		d.holdLostVhost(ref, v)
		return
	}
	if d.lost(ref) || d.leaves(have) {
		return
	}
	if !d.usable(ref) {
		d.suppressed[ref] = true
		return
	}
	if v, ok := have.(Vhost); ok {
		d.removeVhost(ref, v)
		return
	}
	if d.expelUser(ref) {
		return
	}
	s := step{ref: ref, action: Delete, old: have, at: d.goesAt(ref), why: d.whyDelete(ref)}
	if server, ok := have.(Server); ok {
		if s.at = d.serverGoes(ref, server); s.at > inStage(phaseUp, ref) { // else it goes as soon as it could be taken out
			s.old = d.takeSilentOut(ref, server)
		}
	}
	d.emit(s)
}

func (d *draft) whyDelete(ref Ref) string {
	switch {
	case d.isLost(ref.Target):
		return "its host is lost"
	case d.hasMoved(ref):
		return "its node moves to host " + d.nodes[ref.Name].host.Name
	}
	if why, ok := d.live.Dirty[ref]; ok {
		return "nobody declares it; dirty: " + why.Text
	}
	if r, ok := d.live.State[ref].(RRset); ok && r.unmanaged() {
		return "somebody put it into the zone, and nobody declares it"
	}
	return ""
}

// usable reports whether changes can be made where an object is: whether its node, or one of the nodes that share what
// is changed, can be reached.
func (d *draft) usable(ref Ref) bool {
	switch ref.Kind {
	case KindNetwork, KindVolume, KindContainer, KindAgent:
		return true
	case KindCatalog, KindZone, KindRRset:
		return d.groupUsable(ref.Target) || d.isExternal(ref.Target)
	case KindWebroot, KindDatabase, KindDatabaseUser, KindValkey, KindValkeyUser:
		return d.groupUsable(ref.Target)
	}
	n := d.nodes[ref.Target]
	return n != nil && n.class != down
}

func (d *draft) groupUsable(name string) bool {
	if d.groupUp == nil {
		d.groupUp = map[string]bool{}
		for _, g := range d.groups {
			for _, n := range g.nodes {
				d.groupUp[g.name] = d.groupUp[g.name] || n.class != down
			}
		}
		for _, t := range d.live.Targets {
			for _, node := range t.AnyOf {
				there := func(c Ref) bool { _, dirty := d.live.Dirty[c]; return !dirty }
				leaving := d.nodes[node] == nil && slices.ContainsFunc(d.index.containers[node], there) && !d.isDown(node)
				d.groupUp[t.Name] = d.groupUp[t.Name] || leaving
			}
		}
	}
	return d.groupUp[name]
}

// changes returns the steps as changes, in the order and with the numbers that order has given them.
func (d *draft) changes() []Change {
	out := make([]Change, 0, len(d.steps))
	stage, last := 0, position(-1)
	for _, i := range d.sorted() {
		s := &d.steps[i]
		if s.at != last {
			stage, last = stage+1, s.at
		}
		out = append(out, Change{
			ID: s.id, Stage: stage, Action: s.action, Old: s.old, New: s.new,
			Expect: d.expect(s), Force: d.forced(s), Adopt: s.adopt, After: d.afterIDs(s), Why: s.why,
		})
	}
	return out
}

// expect returns the hash of what a step starts from.
func (d *draft) expect(s *step) Hash {
	if s.prev >= 0 && !d.steps[s.prev].off && s.old != nil {
		return HashOf(d.steps[s.prev].new)
	}
	if s.old == nil || d.now(s.ref) == nil && !s.here && !s.adopt {
		return ""
	}
	return HashOf(s.old)
}

// forced reports whether a step starts from something that nobody knows: the first one of an object that is dirty.
func (d *draft) forced(s *step) bool {
	if s.prev >= 0 && !d.steps[s.prev].off || s.old == nil || s.adopt {
		return false
	}
	_, dirty := d.live.Dirty[s.ref]
	return dirty
}

func (s *step) String() string { return fmt.Sprintf("%s %s at %d", s.action, s.ref, s.at) }
