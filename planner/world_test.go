package planner_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// world is a platform in memory: what really is there, and the inventory that records it. It carries plans out as the
// contract of planner.Change has it, with faults before and after each effect, and watches over guarantee G3 meanwhile.
type world struct {
	real     planner.State
	live     planner.Live
	manifest schema.Manifest
	broken   []string // violations of a guarantee

	memo memory // what plans are made with besides New, which must make no difference

	data    map[planner.Ref]int // of webroots that are there: how many of the writes to their site they hold
	written map[string]int      // writes to each site
	ended   map[string]bool     // sites that nobody declared for a while: what they hold when they come back is all there is

	killed  map[string]bool // nodes whose container went away by itself
	service map[string]bool // load balancers that held all routes when a run last ended well, and weren't touched since
	stale   map[string]bool // nodes that couldn't be reached since a run last ended well
	moved   map[string]bool // host names that go from one webroot to another in this run, or are on neither since one that broke off
}

// fault is what happens to a change.
type fault int

const (
	fine        fault = iota
	failsBefore       // an error, and nothing was done
	failsAfter        // an error, and it was done
	killBefore        // the run ends there, nothing was done
	killAfter         // the run ends there, it was done and not recorded
)

func newWorld() *world {
	return &world{
		real: planner.State{},
		live: planner.Live{
			State: planner.State{}, Dirty: map[planner.Ref]planner.Reason{}, Down: map[string]string{},
			Images: map[string]string{"web:1": "sha256:web1", "web:2": "sha256:web2", "lb:1": "sha256:lb1", "lb:2": "sha256:lb2", "dns:1": "sha256:dns1", "db:1": "sha256:db1"},
		},
		data: map[planner.Ref]int{}, written: map[string]int{}, ended: map[string]bool{},
		killed: map[string]bool{}, service: map[string]bool{}, stale: map[string]bool{}, moved: map[string]bool{},
	}
}

func (w *world) violated(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// run carries out a plan; next says what happens to each change. It reports whether all went well.
func (w *world) run(p planner.Plan, next func(planner.Change) fault) bool {
	w.reserve(p)
	for n := range w.live.Down {
		w.stale[n] = true
		delete(w.service, n)
	}
	w.retire()
	targets := map[string]planner.Target{}
	for _, t := range p.Targets {
		targets[t.Name] = t
	}
	w.live.Memory = w.live.Memory.Begun(p.Remember)
	w.live.Targets = slices.DeleteFunc(w.live.Targets, func(t planner.Target) bool { _, again := targets[t.Name]; return again })
	w.live.Targets = append(w.live.Targets, p.Targets...)
	done := map[int]bool{}
	for _, c := range p.Changes {
		if !ready(c, done) {
			continue
		}
		if got := w.recorded(c.Ref()); got != c.Expect {
			w.violated("change %d of %s expects %.8q, the inventory holds %.8q", c.ID, c.Ref(), c.Expect, got)
		}
		w.started(c)
		f := next(c)
		if !w.reachable(targets, c.Ref()) {
			f = failsBefore
		}
		if f == killBefore {
			return false
		}
		if f != failsBefore {
			w.effect(c)
			w.copyData(c)
			w.write()
			w.check(fmt.Sprintf("after change %d, %s %s", c.ID, c.Action, c.Ref()))
		}
		if f == killAfter {
			return false
		}
		if f == fine {
			w.finished(c)
			done[c.ID] = true
		}
	}
	if len(done) < len(p.Changes) {
		return false
	}
	w.live.Targets = p.Targets
	w.release(p)
	w.live.Memory = p.Remember
	w.endWell()
	return true
}

// retire puts load balancers that aren't declared any more out of service: nothing steers them until they are gone.
func (w *world) retire() {
	for ref, o := range w.real {
		c, ok := o.(planner.Container)
		if !ok || c.Role != schema.RoleLB {
			continue
		}
		if ref.Name >= fmt.Sprintf("eu-1-lb-%d", w.manifest.Clusters[0].HAProxy.Count) {
			w.stale[ref.Name] = true
			delete(w.service, ref.Name)
		}
	}
}

// due lets the time of all that is kept be over.
func (w *world) due() {
	w.live.Due = nil
	for ref, o := range w.live.State {
		if planner.Purgeable(o) {
			w.live.Due = append(w.live.Due, ref)
		}
	}
	slices.SortFunc(w.live.Due, planner.Ref.Compare)
}

func ready(c planner.Change, done map[int]bool) bool {
	for _, a := range c.After {
		if !done[a] {
			return false
		}
	}
	return true
}

// recorded is the hash of what the inventory holds: nothing where the object was seen not to be there.
func (w *world) recorded(ref planner.Ref) planner.Hash {
	if w.live.Dirty[ref].Gone {
		return ""
	}
	return planner.HashOf(w.live.State[ref])
}

func (w *world) reserve(p planner.Plan) {
	for _, a := range p.Replaced() {
		w.live.Allocations = slices.DeleteFunc(w.live.Allocations, func(b planner.Allocation) bool {
			return a.Scope == b.Scope && a.Key == b.Key
		})
	}
	for _, a := range p.Allocations {
		for _, b := range w.live.Allocations {
			if a.Scope == b.Scope && a.Value == b.Value {
				w.violated("%v is allocated twice: %v", a, b)
			}
		}
		w.live.Allocations = append(w.live.Allocations, a)
	}
}

func (w *world) release(p planner.Plan) {
	w.live.Allocations = slices.DeleteFunc(w.live.Allocations, func(a planner.Allocation) bool { return slices.Contains(p.Released, a) })
}

func (w *world) endWell() {
	clear(w.service)
	for ref, o := range w.real {
		if c, ok := o.(planner.Container); ok && c.Role == schema.RoleLB && w.live.Down[ref.Name] == "" {
			w.service[ref.Name] = true
		}
	}
	maps.DeleteFunc(w.killed, func(node string, _ bool) bool { return !w.leaves(node) })
	for n := range w.stale {
		if w.live.Down[n] == "" {
			delete(w.stale, n)
		}
	}
	w.check("after the run")
}

// leaves reports whether nobody declares a web node any more: it is there until what needs it has gone, and isn't made again.
func (w *world) leaves(node string) bool {
	return strings.HasPrefix(node, "web-") && !slices.ContainsFunc(w.manifest.Shards, func(s schema.Shard) bool {
		return strings.HasPrefix(node, s.Name+"-") && node < fmt.Sprintf("%s-%d", s.Name, s.NodeCount)
	})
}

func (w *world) reachable(targets map[string]planner.Target, ref planner.Ref) bool {
	t, ok := targets[ref.Target]
	if !ok {
		w.violated("no target %s for %s", ref.Target, ref)
		return false
	}
	if t.Docker != nil || t.Lost {
		return true
	}
	nodes := t.AnyOf
	if len(nodes) == 0 {
		nodes = []string{t.Name}
	}
	return slices.ContainsFunc(nodes, func(n string) bool { return w.live.Down[n] == "" && w.container(n) != nil })
}

func (w *world) container(node string) planner.Object {
	for _, h := range w.manifest.Hosts {
		if c := w.real[planner.Ref{Kind: planner.KindContainer, Target: h.Name, Name: node}]; c != nil {
			return c
		}
	}
	return nil
}

func (w *world) started(c planner.Change) {
	why := w.live.Dirty[c.Ref()]
	why.Text = "started and not finished"
	why.Anew = c.Action == planner.Replace
	if c.New != nil || w.live.State[c.Ref()] != nil { // of what never had content, what it was to be is all one knows
		why.Pending = c.New
	}
	w.live.Dirty[c.Ref()] = why
}

func (w *world) finished(c planner.Change) {
	delete(w.live.Dirty, c.Ref())
	if c.New == nil {
		delete(w.live.State, c.Ref())
	} else {
		w.live.State[c.Ref()] = c.New
	}
	for _, ref := range storedOn(w.live.State, c) {
		delete(w.live.State, ref)
		delete(w.live.Dirty, ref)
	}
	if emptied(c) {
		empty(w.live.State, c.Ref().Name)
		for ref := range w.live.Dirty {
			if ref.Target == c.Ref().Name && isInside(ref.Kind) {
				delete(w.live.Dirty, ref)
			}
		}
	}
}

// storedOn returns what goes with a volume that a change deletes.
func storedOn(s planner.State, c planner.Change) []planner.Ref {
	if v, ok := c.Old.(planner.Volume); !ok || c.New != nil || !v.Data {
		return nil
	}
	return planner.OnVolumes(s, []planner.Ref{c.Ref()})
}

// emptied reports whether a change takes away a container's filesystem.
func emptied(c planner.Change) bool {
	return c.Ref().Kind == planner.KindContainer && c.Action != planner.Update
}

func empty(s planner.State, node string) {
	maps.DeleteFunc(s, func(_ planner.Ref, o planner.Object) bool { return planner.InContainer(node, o) })
}

func isInside(k planner.Kind) bool {
	switch k {
	case planner.KindUser, planner.KindRuntime, planner.KindVhost, planner.KindCron, planner.KindBackend, planner.KindServer, planner.KindRoute:
		return true
	}
	return false
}

func (w *world) effect(c planner.Change) {
	ref := c.Ref()
	if there := w.container(ref.Name); c.Action == planner.Create && ref.Kind == planner.KindContainer && there != nil && there.Ref() != ref {
		w.violated("%s is made while %s is there", ref, there.Ref())
	}
	if there := w.real[ref]; c.Action == planner.Update && there != nil && !planner.InPlace(there, c.New) {
		w.violated("%s: no engine changes a running container from %s to %s", ref, planner.Encode(there), planner.Encode(c.New))
	}
	anew := c.Action == planner.Replace && planner.HashOf(c.Old) == planner.HashOf(c.New)
	if emptied(c) && (c.New == nil || anew || planner.HashOf(w.real[ref]) != planner.HashOf(c.New)) {
		w.checkOutOfRotation(c)
		empty(w.real, ref.Name)
		delete(w.service, ref.Name)
	}
	if c.New == nil {
		w.checkSomebodyServes(c)
		if v, ok := c.Old.(planner.Volume); ok && v.Data && !v.Kept {
			w.violated("%s holds data and is deleted", ref)
		}
		for _, r := range storedOn(w.real, c) {
			delete(w.real, r)
		}
		delete(w.real, ref)
		return
	}
	w.real[ref] = c.New
	if ref.Kind == planner.KindContainer {
		delete(w.killed, ref.Name)
	}
}

// copyData does with the files of webroots what a change does.
func (w *world) copyData(c planner.Change) {
	now, ok := c.New.(planner.Webroot)
	old, was := c.Old.(planner.Webroot)
	switch {
	case !ok && !was:
	case !ok:
		delete(w.data, old.Ref())
	case now.CopyOf != nil:
		w.bring(now.Ref(), *now.CopyOf)
	case was && old.CopyOf != nil && !now.Kept:
		w.bring(now.Ref(), *old.CopyOf)
	case now.Kept:
		w.ended[now.Name] = w.ended[now.Name] || !slices.ContainsFunc(w.manifest.Webroots, func(s schema.Webroot) bool { return s.Tenant+"."+s.Name == now.Name })
	case w.ended[now.Name]:
		w.ended[now.Name], w.written[now.Name] = false, w.data[now.Ref()]
	}
}

func (w *world) bring(to planner.Ref, from planner.Copy) {
	source := planner.Ref{Kind: planner.KindWebroot, Target: from.Shard, Name: to.Name}
	there, ok := w.real[source].(planner.Webroot)
	if !ok || there.MovesTo != to.Target || len(from.Nodes) == 0 {
		w.violated("%s is brought from %s, which isn't open to it: %+v from %+v", to, source, there, from)
	}
	w.data[to] = w.data[source]
}

// write has every site that is led to written to: what it is then served from must hold all that was written before.
func (w *world) write() {
	ready := w.inRotation()
	vhosts := map[string][]planner.Vhost{} // by node
	for ref, o := range w.real {
		if v, ok := o.(planner.Vhost); ok && !v.Quiet && !w.killed[ref.Target] {
			vhosts[ref.Target] = append(vhosts[ref.Target], v)
		}
	}
	for _, o := range w.real {
		r, ok := o.(planner.Route)
		if !ok || w.stale[r.Target] {
			continue
		}
		for _, node := range ready[[2]string{r.Target, r.Backend}] {
			w.writeAt(vhosts[node], r)
		}
	}
}

func (w *world) writeAt(vhosts []planner.Vhost, r planner.Route) {
	for _, v := range vhosts {
		ref := v.Ref()
		if !slices.Contains(v.Hostnames, r.Name) {
			continue
		}
		at := planner.Ref{Kind: planner.KindWebroot, Target: r.Backend, Name: ref.Name}
		if w.data[at] != w.written[ref.Name] {
			w.violated("%s leads to %s with %d of the %d writes to %s", r.Ref(), at, w.data[at], w.written[ref.Name], ref.Name)
		}
		w.written[ref.Name]++
		w.data[at] = w.written[ref.Name]
	}
}

// kill takes a node's container away; the inventory has noticed.
func (w *world) kill(node string) {
	for ref, o := range w.real {
		if ref.Kind != planner.KindContainer || ref.Name != node {
			continue
		}
		_ = o
		delete(w.real, ref)
		empty(w.real, node)
		why := w.live.Dirty[ref]
		why.Gone, why.Text = true, "not there"
		w.live.Dirty[ref] = why
		w.killed[node] = true
		delete(w.service, node)
		return
	}
}

func (w *world) checkOutOfRotation(c planner.Change) {
	node := c.Ref().Name
	if w.real[c.Ref()] == nil || w.killed[node] {
		return
	}
	for _, o := range w.real {
		if s, ok := o.(planner.Server); ok && s.Node == node && s.State == planner.ServerReady && !w.stale[s.Target] {
			w.violated("%s %s while %s is in rotation", c.Action, c.Ref(), s.Ref())
		}
	}
}

// checkSomebodyServes looks whether a node that serves leaves a backend, for its shard has one too many, while none of the
// nodes that stay serves.
func (w *world) checkSomebodyServes(c planner.Change) {
	gone, ok := c.Old.(planner.Server)
	if !ok || gone.State != planner.ServerReady || w.idle(gone) || w.live.Down[gone.Node] != "" || !w.leaves(gone.Node) || w.stale[gone.Target] {
		return
	}
	stays := slices.IndexFunc(w.manifest.Shards, func(s schema.Shard) bool { return s.Name == gone.Backend })
	if stays < 0 || w.manifest.Shards[stays].Drain {
		return
	}
	for _, o := range w.real {
		s, ok := o.(planner.Server)
		if ok && s.Target == gone.Target && s.Backend == gone.Backend && !w.leaves(s.Node) && !w.idle(s) {
			return
		}
	}
	w.violated("%s leaves, and none that stays serves", gone.Ref())
}

// idle reports whether a server gets no requests, or can't answer them.
func (w *world) idle(s planner.Server) bool {
	return s.State != planner.ServerReady || w.killed[s.Node] || w.container(s.Node) == nil
}

// check looks for what lacks what it needs.
func (w *world) check(when string) {
	ready := w.inRotation()
	for ref, o := range w.real {
		for _, lack := range w.lacks(ref, o, ready) {
			w.violated("%s: %s lacks %s", when, ref, lack)
		}
	}
}

// inRotation returns the nodes that are in rotation, by load balancer and backend.
func (w *world) inRotation() map[[2]string][]string {
	ready := map[[2]string][]string{}
	for _, o := range w.real {
		if s, ok := o.(planner.Server); ok && s.State == planner.ServerReady {
			ready[[2]string{s.Target, s.Backend}] = append(ready[[2]string{s.Target, s.Backend}], s.Node)
		}
	}
	return ready
}

func (w *world) lacks(ref planner.Ref, o planner.Object, ready map[[2]string][]string) (lacks []string) {
	need := func(r planner.Ref) {
		if w.real[r] == nil {
			lacks = append(lacks, r.String())
		}
	}
	switch o := o.(type) {
	case planner.Container:
		need(planner.Ref{Kind: planner.KindNetwork, Target: ref.Target, Name: o.Network})
		for _, m := range o.Mounts {
			need(planner.Ref{Kind: planner.KindVolume, Target: ref.Target, Name: m.Volume})
		}
	case planner.Agent:
		need(planner.Ref{Kind: planner.KindVolume, Target: ref.Target, Name: o.Volume})
	case planner.Cron:
		need(planner.Ref{Kind: planner.KindUser, Target: ref.Target, Name: o.Tenant})
	case planner.Runtime:
		need(planner.Ref{Kind: planner.KindUser, Target: ref.Target, Name: o.Tenant})
	case planner.Vhost:
		need(planner.Ref{Kind: planner.KindUser, Target: ref.Target, Name: o.Tenant})
		if o.Version != "" && !o.Suspended {
			need(planner.Ref{Kind: planner.KindRuntime, Target: ref.Target, Name: ref.Name + "/php-" + o.Version})
		}
	case planner.Server:
		need(planner.Ref{Kind: planner.KindBackend, Target: ref.Target, Name: o.Backend})
		if w.container(o.Node) == nil && !w.killed[o.Node] && !w.stale[ref.Target] {
			lacks = append(lacks, "the container "+o.Node)
		}
	case planner.Route:
		need(planner.Ref{Kind: planner.KindBackend, Target: ref.Target, Name: o.Backend})
		if !w.moved[ref.Name] {
			for _, node := range w.withoutVhost(o, ready) {
				lacks = append(lacks, "its vhost on "+node)
			}
		}
	case planner.RRset:
		need(planner.Ref{Kind: planner.KindZone, Target: ref.Target, Name: o.Zone})
		if o.From.Kind == string(schema.KindFQDN) && !w.explicit(o) && !w.stale["eu-1-dns-0"] {
			for lb := range w.service {
				need(planner.Ref{Kind: planner.KindRoute, Target: lb, Name: o.FQDN})
			}
		}
	}
	return lacks
}

// withoutVhost returns the nodes that a route leads to and that don't serve its name, though they should.
func (w *world) withoutVhost(r planner.Route, ready map[[2]string][]string) (nodes []string) {
	for _, node := range ready[[2]string{r.Target, r.Backend}] {
		if !w.killed[node] && !w.stale[r.Target] && !w.serves(node, r.Name) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

func (w *world) serves(node, hostname string) bool {
	for ref, o := range w.real {
		if v, ok := o.(planner.Vhost); ok && ref.Target == node && slices.Contains(v.Hostnames, hostname) {
			return true
		}
	}
	return false
}

func (w *world) explicit(r planner.RRset) bool {
	return slices.ContainsFunc(w.manifest.Records, func(z schema.ZoneRecord) bool { return z.FQDN == r.FQDN && z.Type == r.Type })
}

func describe(p planner.Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%d/%d %s %s after %v (%s)", c.Stage, c.ID, c.Action, c.Ref(), c.After, c.Why)
		switch n := c.New.(type) {
		case planner.Server:
			b.WriteString(" " + string(n.State))
		case planner.Vhost:
			fmt.Fprintf(&b, " %v", n.Hostnames)
		case planner.Route:
			b.WriteString(" " + n.Backend)
		}
		b.WriteString("\n")
	}
	return b.String()
}
