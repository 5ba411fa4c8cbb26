package planner

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"hostctl/schema"
)

// relocation is a webroot that goes from one shard to another, with its files:
//
//  1. The shard that has it opens it to the nodes of the other (Webroot.MovesTo).
//  2. The other one brings its files (Webroot.CopyOf), while the site is served where it was, and makes all else of it.
//  3. The vhosts that serve it take no more requests that write (Vhost.Quiet).
//  4. What has changed since is brought, and the webroot is one like any other.
//  5. Routes lead there, and what is left behind is kept like all that nobody declares.
//
// Which of two webroots of one name has the site's data can be told at every moment, whatever of this was recorded: see holderOf.
type relocation struct {
	from, to Ref // webroots
	tenant   string
	copy     Copy

	stale, open, first, final, retire int   // steps, in this order; -1: none
	quiet, loud                       []int // of vhosts, before final and after it
}

// relocate notes that a webroot is wanted where its data isn't.
func (x *expansion) relocate(w Webroot) {
	holder, ok := x.holderOf(w.Ref())
	if !ok || holder == w.Ref() {
		return
	}
	x.relocations[w.Name] = &relocation{
		from: holder, to: w.Ref(), tenant: w.Tenant, stale: -1, open: -1, first: -1, final: -1, retire: -1,
		copy: Copy{Shard: holder.Target, Nodes: x.peersOf(holder.Target, x.shards[w.Target])},
	}
}

// relocated returns the relocation of a webroot that is wanted at a reference.
func (x *expansion) relocatedTo(ref Ref) *relocation {
	if r := x.relocations[ref.Name]; r != nil && r.to == ref {
		return r
	}
	return nil
}

// leftBy returns the relocation of a webroot that leaves a shard.
func (x *expansion) leftBy(ref Ref) *relocation {
	if r := x.relocations[ref.Name]; r != nil && r.from == ref {
		return r
	}
	return nil
}

// holderOf returns which webroot of one name, on whatever shard, has the site's data: one that is neither kept nor being
// brought. Of two, one has moved to the other.
func (x *expansion) holderOf(want Ref) (Ref, bool) {
	if w, ok := x.servedAt(want); ok && w.MovesTo == "" {
		return want, true
	}
	held := map[string]Webroot{} // by shard
	for _, shard := range x.webShards() {
		if w, ok := x.servedAt(Ref{KindWebroot, shard, want.Name}); ok {
			held[shard] = w
		}
	}
	for _, shard := range sortedKeys(held) {
		if _, moved := held[held[shard].MovesTo]; !moved {
			return held[shard].Ref(), true
		}
	}
	return Ref{}, false
}

func (x *expansion) servedAt(ref Ref) (Webroot, bool) {
	w, ok := x.live.State[ref].(Webroot)
	return w, ok && !w.Kept && w.CopyOf == nil && !x.live.Dirty[ref].Gone
}

// webShards returns the names of all web shards that there are or were, sorted.
func (x *expansion) webShards() []string {
	if x.shardNames == nil {
		names := map[string]bool{}
		for name, g := range x.shards {
			names[name] = g.role == schema.RoleWeb
		}
		for _, t := range x.live.Targets {
			names[t.Name] = names[t.Name] || len(t.AnyOf) > 0
		}
		for _, name := range sortedKeys(names) {
			if names[name] {
				x.shardNames = append(x.shardNames, name)
			}
		}
	}
	return x.shardNames
}

// peersOf returns the nodes of a shard that have its files, as the nodes of another one reach them: those that answer in front.
func (x *expansion) peersOf(shard string, of *group) []Peer {
	var names []string
	for name := range x.index.containers {
		number, ok := strings.CutPrefix(name, shard+"-")
		if i, err := strconv.Atoi(number); ok && err == nil && strconv.Itoa(i) == number {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if x.isDown(a) != x.isDown(b) {
			return map[bool]int{true: 1, false: -1}[x.isDown(a)]
		}
		return strings.Compare(a, b)
	})
	var peers []Peer
	for _, name := range names {
		c, ok := x.live.State[x.index.containers[name][0]].(Container)
		if !ok || c.Role != schema.RoleWeb {
			continue
		}
		address := net.JoinHostPort(c.Address, strconv.Itoa(AgentPort))
		for _, p := range c.Ports {
			if p.Name == agentPort && (len(of.nodes) == 0 || of.nodes[0].host.Name != c.Target) {
				address = net.JoinHostPort(p.Address, strconv.Itoa(p.Host))
			}
		}
		peers = append(peers, Peer{Node: name, Address: address})
	}
	return peers
}

// compareMoved emits what brings a webroot to its new shard.
func (d *draft) compareMoved(r *relocation, have Object, want Webroot) {
	ref := r.to
	why, dirty := d.live.Dirty[ref]
	if old, ok := have.(Webroot); ok && old.MovesTo != "" { // what it left behind when it went away: that ends first
		old.Kept, old.MovesTo = true, ""
		s := d.toward(ref, have, old, why, dirty)
		s.at, s.side = inStage(phaseUp, ref)-perRung*3/5, true
		r.stale = d.emit(s)
		have, dirty = old, false
	}
	coming := want
	coming.CopyOf = &r.copy
	if have == nil || dirty || !equal(have, coming) {
		s := d.toward(ref, have, coming, why, dirty)
		s.why = strings.TrimPrefix(s.why+"; its files come from shard "+r.from.Target, "; ")
		r.first = d.emit(s)
	}
	r.final = d.emit(step{ref: ref, action: Update, old: coming, new: want, at: d.late(ref), side: true, why: "what has changed meanwhile comes too"})
}

// compareLeft emits what opens a webroot to the shard that it goes to, and keeps it when it is there.
func (d *draft) compareLeft(r *relocation, have Object, want Webroot) {
	ref := r.from
	why, dirty := d.live.Dirty[ref]
	open := have.(Webroot)
	open.MovesTo = r.to.Target
	if dirty || !equal(have, open) {
		s := d.toward(ref, have, open, why, dirty)
		s.at, s.side, s.why = inStage(phaseUp, ref)-perRung/2, true, "its files go to shard "+r.to.Target
		r.open = d.emit(s)
	}
	r.retire = d.emit(step{ref: ref, action: Update, old: open, new: want, at: inStage(phaseDown, ref), side: true, why: "shard " + r.to.Target + " has its files"})
}

// hush emits what lets a vhost take no more requests that write, where its site moves to another shard, and returns the
// vhost as it is then.
func (d *draft) hush(ref Ref, have Vhost) Vhost {
	r := d.relocations[ref.Name]
	why, dirty := d.live.Dirty[ref]
	if r == nil || !nodeOf(ref.Target, r.from.Target) || d.live.State[ref] == nil || why.Gone {
		return have
	}
	quiet := have
	quiet.Quiet = true
	if dirty || !have.Quiet {
		text := "until its files are on shard " + r.to.Target
		if dirty {
			text = "dirty: " + why.Text
		}
		r.quiet = append(r.quiet, d.emit(step{ref: ref, action: Update, old: have, new: quiet, at: inStage(phaseLate, ref), side: true, here: true, why: text}))
	}
	return quiet
}

// hold returns a vhost that is made again though its site moves away: it takes no more requests that write.
func (d *draft) hold(ref Ref, have Vhost) Vhost {
	if n := d.nodes[ref.Target]; n != nil && n.class == rolled {
		return d.hush(ref, have)
	}
	if r := d.relocations[ref.Name]; r != nil && nodeOf(ref.Target, r.from.Target) {
		have.Quiet = true
	}
	return have
}

// comesBack returns the relocation that brings a site back to a vhost that takes no requests that write: routes may lead to it,
// and it must take none before the files are there.
func (d *draft) comesBack(ref Ref) *relocation {
	r := d.relocations[ref.Name]
	if r == nil || !nodeOf(ref.Target, r.to.Target) {
		return nil
	}
	for _, o := range []Object{d.live.State[ref], d.live.Dirty[ref].Pending} {
		if v, ok := o.(Vhost); ok && v.Quiet {
			return r
		}
	}
	return nil
}

// speakAgain emits what lets such a vhost take all requests when the files are there.
func (d *draft) speakAgain(r *relocation, ref Ref, quiet Vhost) Object {
	loud := quiet
	loud.Quiet = false
	r.loud = append(r.loud, d.emit(step{ref: ref, action: Update, old: quiet, new: loud, at: inStage(phaseLate, ref), side: true, why: "its files are here"}))
	return loud
}

// takeSilentOut takes a node that nobody declares and that can't be told anything out of rotation, where a site moves away
// from it: it may serve all the same. It returns the server as it is then.
func (d *draft) takeSilentOut(ref Ref, s Server) Server {
	if d.nodes[s.Node] != nil || d.alive(s.Node) || d.now(ref) == nil || s.State != ServerReady {
		return s
	}
	for _, r := range d.relocations {
		if r.from.Target == s.Backend {
			out := s
			out.State = ServerMaint
			d.emit(step{ref: ref, action: Update, old: s, new: out, at: inStage(phaseUp, ref), side: true, why: "it doesn't answer, and sites move away from it"})
			return out
		}
	}
	return s
}

// nodeOf reports whether a node is one of a shard.
func nodeOf(node, shard string) bool {
	number, ok := strings.CutPrefix(node, shard+"-")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// hushLeaving does so on nodes that nobody declares any more: what is in their containers goes with them, and until then they
// serve.
func (d *draft) hushLeaving(ref Ref, have Object) {
	if !d.alive(ref.Target) {
		return
	}
	switch have := have.(type) {
	case Vhost:
		d.hush(ref, have)
	case Cron:
		site, _, _ := strings.Cut(ref.Name, "/")
		if r := d.relocations[site]; r != nil && nodeOf(ref.Target, r.from.Target) {
			d.emit(step{ref: ref, action: Delete, old: have, at: inStage(phaseDown, ref), why: "its site moves to shard " + r.to.Target})
		}
	}
}

// openRelocations puts what comes before files are brought in its place: behind the nodes that it is done through, where none
// of these is there yet.
func (d *draft) openRelocations() {
	for _, r := range d.relocations {
		var last position
		for i, at := range []int{r.stale, r.open, r.first} {
			if at < 0 {
				continue
			}
			s := &d.steps[at]
			if g := d.shards[s.ref.Target]; g != nil && g.best[0].class >= troubled && s.at < phaseLate {
				s.at = d.late(s.ref) - perRung + position(i)
			}
			s.at = max(s.at, last+1)
			last = s.at
		}
		if r.open >= 0 && r.stale >= 0 {
			d.afterAll([]int{r.open}, []int{r.stale})
		}
	}
}

// orderRelocations puts the steps of each relocation behind what they wait for. What has been moved up to vhosts is in its
// place then.
func (d *draft) orderRelocations() {
	for _, name := range sortedKeys(d.relocations) {
		if r := d.relocations[name]; d.stuck(r) {
			d.callOff(r)
		} else {
			d.orderRelocation(name, r)
		}
	}
}

// stuck reports whether a part of what serves a site on its new shard can't be made now.
func (d *draft) stuck(r *relocation) bool {
	if r.final < 0 || r.retire < 0 || d.steps[r.final].off || d.suppressed[r.to] || d.withheld[r.to] {
		return true
	}
	for _, n := range d.shards[r.to.Target].serving {
		vhost := Ref{KindVhost, n.name, r.to.Name}
		want := d.desired[vhost]
		if want == nil {
			continue
		}
		for _, ref := range append([]Ref{vhost}, want.Needs()...) {
			if ref.Kind != KindWebroot && (d.suppressed[ref] || d.withheld[ref]) {
				return true
			}
		}
	}
	return false
}

// callOff takes back all of a relocation but the first bringing.
func (d *draft) callOff(r *relocation) {
	for _, i := range r.quiet {
		if next := d.steps[i].next; next >= 0 && d.steps[next].old != nil {
			d.steps[next].old = d.steps[i].old
		}
	}
	for _, i := range r.loud {
		if next := d.steps[i].next; next >= 0 {
			d.steps[next].off = true
		}
	}
	ended, begun := d.jobSteps(r)
	for _, i := range append(slices.Concat(r.quiet, r.loud, ended, begun), r.final, r.retire) {
		if i >= 0 {
			d.steps[i].off = true
		}
	}
	for _, i := range d.lockedWith(r) {
		d.steps[i].off = true
	}
}

func (d *draft) orderRelocation(name string, r *relocation) {
	group := d.shards[r.to.Target]
	ready := inStage(phaseUp, Ref{Kind: KindServer}) // just before the routes: requests that write wait no longer than they must
	var made []int
	wait := func(ref Ref) {
		d.chain(ref, func(i int, s *step) {
			if s.new != nil && i != r.final && !slices.Contains(r.loud, i) {
				made, ready = append(made, i), max(ready, s.at)
			}
		})
	}
	wait(r.to)
	for _, n := range group.serving {
		vhost := Ref{KindVhost, n.name, name}
		wait(vhost)
		if want := d.desired[vhost]; want != nil {
			for _, need := range want.Needs() {
				wait(need)
			}
		}
	}
	if d.silentNode(r.from.Target) {
		for _, lb := range group.cluster.lb.nodes { // one that is made again may have the node in rotation until then
			for _, c := range d.index.containers[lb.name] {
				if i, ok := d.first[c]; ok && lb.class.renewed() && !d.steps[i].off {
					made, ready = append(made, i), max(ready, d.steps[i].at)
				}
			}
		}
	}
	if r.open >= 0 {
		made = append(made, r.open)
	}
	if r.first >= 0 && r.open >= 0 {
		d.afterAll([]int{r.first}, []int{r.open})
	}
	for _, i := range r.quiet {
		d.steps[i].at = ready + 3
		d.hushLater(i)
		d.afterAll([]int{i}, made)
	}
	ended, begun := d.jobSteps(r)
	for _, i := range ended {
		d.steps[i].at = ready + 3
		d.afterAll([]int{i}, made)
	}
	r.quiet = slices.DeleteFunc(r.quiet, func(i int) bool { return d.steps[i].off })
	d.steps[r.final].at = ready + 6
	d.afterAll([]int{r.final}, slices.Concat(made, r.quiet, ended, d.outSteps(r)))
	for _, i := range begun {
		d.steps[i].at = max(d.steps[i].at, r.done(d)+1)
		d.afterAll([]int{i}, []int{r.final})
	}
	for _, i := range r.loud {
		d.steps[i].at = r.done(d)
	}
	d.afterAll(slices.Concat(d.lockedWith(r), r.loud, []int{r.retire}), []int{r.final})
}

// done is when all is in its place: routes may lead there after it.
func (r *relocation) done(d *draft) position { return d.steps[r.final].at + 2 }

// silentNode reports whether a shard has a node that is there, or may be, and can't be told to take no more writes.
func (d *draft) silentNode(shard string) bool {
	for name, containers := range d.index.containers {
		if !nodeOf(name, shard) || d.live.Dirty[containers[0]].Gone {
			continue
		}
		n := d.nodes[name]
		if n == nil && !d.alive(name) || n != nil && n.class >= troubled {
			return true
		}
	}
	return false
}

// jobSteps returns the steps that end a site's jobs on the shard that it leaves, which write, and those that begin them where it goes.
func (d *draft) jobSteps(r *relocation) (ended, begun []int) {
	for i := range d.steps {
		s := &d.steps[i]
		switch {
		case s.off || s.ref.Kind != KindCron || !strings.HasPrefix(s.ref.Name, r.to.Name+"/"):
		case s.new == nil && nodeOf(s.ref.Target, r.from.Target):
			ended = append(ended, i)
		case s.new != nil && nodeOf(s.ref.Target, r.to.Target):
			begun = append(begun, i)
		}
	}
	return ended, begun
}

// outSteps returns the steps that take nodes that a site leaves out of rotation.
func (d *draft) outSteps(r *relocation) []int {
	var out []int
	for i := range d.steps {
		if s, ok := d.leavesRotation(i); ok && s.Backend == r.from.Target {
			out = append(out, i)
		}
	}
	return out
}

// hushLater puts the step that hushes a vhost behind the one that makes it again in a new container, where that comes before: until
// then it may take all requests.
func (d *draft) hushLater(i int) {
	quiet := &d.steps[i]
	if quiet.next < 0 || d.steps[quiet.next].action != Create {
		c, replaced := d.first[d.containerOf(quiet.ref)]
		quiet.off = d.lost(quiet.ref) && replaced && d.steps[c].at < quiet.at // it is gone by then, and nothing leads to it
		return
	}
	if d.steps[quiet.next].at > quiet.at {
		return
	}
	again, last := quiet.next, d.steps[quiet.next].next
	quiet.at = max(quiet.at, d.steps[again].at+1)
	held := d.steps[again].new.(Vhost)
	hushed := held
	held.Quiet, hushed.Quiet = false, true
	d.steps[again].new, d.steps[again].prev, d.steps[again].next = held, quiet.prev, i
	quiet.action, quiet.old, quiet.new, quiet.here, quiet.prev, quiet.next = Update, held, hushed, false, again, last
	d.first[quiet.ref] = again
	if last >= 0 {
		d.steps[last].prev, d.steps[last].old = i, hushed
	}
}

// lockedWith returns the steps that lock a tenant's user on the shard that its site leaves.
func (d *draft) lockedWith(r *relocation) []int {
	var out []int
	if g := d.shards[r.from.Target]; g != nil {
		for _, n := range g.nodes {
			d.chain(Ref{KindUser, n.name, r.tenant}, func(i int, s *step) {
				if s.side {
					out = append(out, i)
				}
			})
		}
	}
	return out
}

// pushBehindRelocations moves routes behind what they lead to.
func (d *draft) pushBehindRelocations(routes []int) {
	for _, i := range routes {
		s := &d.steps[i]
		if s.new == nil {
			continue
		}
		for _, n := range s.new.Needs() {
			r := d.relocatedTo(n)
			if r == nil || r.final < 0 || d.steps[r.final].off || s.at > r.done(d) {
				continue
			}
			if s.at = d.late(s.ref); s.at <= r.done(d) {
				s.at = r.done(d) + perRung
			}
		}
	}
}
