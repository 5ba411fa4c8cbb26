package planner

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"hostctl/schema"
)

// Memo plans as New does, byte for byte, and spares itself the tenants that can't have changed since its last plan: those
// whose files are the same, whose objects nobody has touched, and of whom the last plan had nothing to say. It leaves them
// out of the manifest and of the live state, plans what remains with the same code, and plans everything where what comes
// out isn't surely the same: where it concerns the platform, or takes anything away.
//
// The zero value knows nothing yet. A Memo may be used by several goroutines; what it was given must not be changed.
type Memo struct {
	mu     sync.Mutex
	last   *settled // nil: the next plan is a whole one
	spared int      // plans that left tenants out
}

// settled is what is known of the last plan.
type settled struct {
	instance, version string
	parts             map[string]schema.Part
	state             State
	objects           map[string]State // of state, by tenant; "" is the platform
	allocations       []Allocation
	generations       map[Generated]int
	zones             map[string]string   // domain -> tenant
	domains           map[string][]string // tenant -> domains of its zones
	open              map[string]bool     // tenants that must be looked at whether they change or not
}

// New plans as the function New does.
func (m *Memo) New(manifest schema.Manifest, live Live, p Policy) (Plan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	live = live.LeaveAlone(manifest.Platform.Drift)
	if m.last.catchUp(manifest, live) {
		if plan, ok := m.last.planOpen(manifest, live, p); ok {
			m.spared++
			return plan, nil
		}
	}
	m.last = nil
	d, err := newDraft(manifest, live, p)
	if err != nil {
		return Plan{}, err
	}
	plan, err := d.plan()
	if err == nil {
		m.last = learn(d)
	}
	return plan, err
}

// Ask plans as New does, for somebody who only wants to know: what comes out may never be carried out. So nothing of it is
// remembered, and the next plan is spared as much as if nobody had asked.
func (m *Memo) Ask(manifest schema.Manifest, live Live, p Policy) (Plan, error) {
	live = live.LeaveAlone(manifest.Platform.Drift)
	if plan, ok := m.askOpen(manifest, live, p); ok {
		return plan, nil
	}
	d, err := newDraft(manifest, live, p)
	if err != nil {
		return Plan{}, err
	}
	return d.plan()
}

// askOpen plans the open tenants alone, if that is the plan of all.
func (m *Memo) askOpen(manifest schema.Manifest, live Live, p Policy) (Plan, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.last.about(manifest, live) {
		return Plan{}, false
	}
	if !m.last.follow(live) {
		m.last = nil // it followed part of the way
		return Plan{}, false
	}
	m.last.openLive(live)
	once := *m.last
	once.open, once.zones, once.domains = maps.Clone(once.open), maps.Clone(once.zones), maps.Clone(once.domains)
	once.openParts(manifest.Parts)
	plan, ok := once.planOpen(manifest, live, p)
	if ok {
		m.spared++
	}
	return plan, ok
}

// learn notes what a whole plan says of each tenant. It returns nil if that can't be told apart.
func learn(d *draft) *settled {
	if d.m.Parts == nil || d.noted[""] || !d.calm() {
		return nil
	}
	s := &settled{
		instance: d.live.Instance, version: d.live.Version, parts: d.m.Parts, state: d.live.State, allocations: d.live.Allocations,
		generations: d.live.Generations,
		objects:     map[string]State{}, zones: map[string]string{}, domains: map[string][]string{}, open: map[string]bool{},
	}
	for ref, o := range s.state {
		s.put(ref, o)
	}
	for i := range d.m.Zones {
		z := &d.m.Zones[i]
		if _, twice := s.zones[z.Domain]; twice {
			return nil
		}
		s.zones[z.Domain] = z.Tenant
		s.domains[z.Tenant] = append(s.domains[z.Tenant], z.Domain)
	}
	s.reopen(d)
	return s
}

// calm reports whether every node is there and stays, and all that would change can be changed.
func (d *draft) calm() bool {
	for _, n := range d.nodes {
		if n.class != steady {
			return false
		}
	}
	return len(d.suppressed)+len(d.withheld) == 0
}

// share opens two tenants of whom one has what the other had.
func (s *settled) share(a, b string) {
	if a != b {
		s.open[a], s.open[b] = true, true
	}
}

// reopen opens the tenants that a plan changes, those that speak in every plan, and those whose names lie in each
// other's zones.
func (s *settled) reopen(d *draft) {
	for i := range d.steps {
		for _, o := range []Object{d.steps[i].old, d.steps[i].new} {
			if o != nil {
				s.open[o.Owner().Tenant] = true
			}
		}
	}
	for ref, want := range d.desired {
		if have, ok := s.state[ref]; ok {
			s.share(have.Owner().Tenant, want.Owner().Tenant)
		}
	}
	maps.Copy(s.open, d.noted)
	eachName(d.m, func(owner, name string) {
		s.eachZone(name, func(tenant string) {
			if tenant != "" {
				s.share(tenant, owner)
			}
		})
	})
}

// eachName calls fn with each name that gets records by itself in the zone that it is in, and its tenant.
func eachName(m schema.Manifest, fn func(tenant, name string)) {
	for i := range m.FQDNs {
		fn(m.FQDNs[i].Tenant, m.FQDNs[i].Hostname)
	}
	for i := range m.EmailDomains {
		fn(m.EmailDomains[i].Tenant, m.EmailDomains[i].Domain)
	}
}

// eachZone calls fn with the tenant of every zone that a name is in.
func (s *settled) eachZone(name string, fn func(tenant string)) {
	for ok := true; ok; _, name, ok = strings.Cut(name, ".") {
		if tenant, is := s.zones[name]; is {
			fn(tenant)
		}
	}
}

// put enters a live object under its tenant.
func (s *settled) put(ref Ref, o Object) {
	tenant := o.Owner().Tenant
	if s.objects[tenant] == nil {
		s.objects[tenant] = State{}
	}
	s.objects[tenant][ref] = o
}

// catchUp brings what is known to a manifest and a live state, and opens every tenant that differs in either. It is false
// where that can't be told, or the platform itself differs.
func (s *settled) catchUp(m schema.Manifest, live Live) bool {
	if !s.about(m, live) || !s.follow(live) {
		return false
	}
	s.openParts(m.Parts)
	s.openLive(live)
	return true
}

// about reports whether what is known is of this inventory, and of a platform whose own files are these.
func (s *settled) about(m schema.Manifest, live Live) bool {
	return s != nil && m.Parts != nil && s.instance == live.Instance && s.parts[""] == m.Parts[""]
}

// openParts opens the tenants whose files aren't what they were.
func (s *settled) openParts(now map[string]schema.Part) {
	for tenant, part := range now {
		if s.parts[tenant] != part {
			s.open[tenant] = true
		}
	}
	for tenant := range s.parts {
		if _, ok := now[tenant]; !ok {
			s.open[tenant] = true
		}
	}
	s.parts = now
}

// openLive opens the tenants that the live state has something to say of.
func (s *settled) openLive(live Live) {
	s.openAllocated(live.Allocations)
	s.openRotated(live.Generations)
	for ref, why := range live.Dirty {
		s.openRef(ref, live.State, why.Pending)
	}
	for _, ref := range live.Due {
		s.openRef(ref, live.State, live.Dirty[ref].Pending)
	}
}

// follow takes over what has changed in the live state since the last plan.
func (s *settled) follow(live Live) bool {
	at := slices.IndexFunc(live.Lately, func(l Lately) bool { return l.From == s.version })
	if s.version != live.Version && at < 0 {
		return false
	}
	var passed []Lately
	if at >= 0 {
		passed = live.Lately[at:]
	}
	for _, l := range passed {
		if l.From != s.version {
			return false
		}
		s.version = l.To
		for _, ref := range l.Refs {
			s.openRef(ref, s.state, live.State[ref])
			if old, ok := s.state[ref]; ok {
				delete(s.objects[old.Owner().Tenant], ref)
			}
			if o, ok := live.State[ref]; ok {
				s.put(ref, o)
			}
		}
	}
	s.state = live.State
	return s.version == live.Version
}

// openRef opens the tenants of what is at a reference and of another object of it.
func (s *settled) openRef(ref Ref, state State, also Object) {
	for _, o := range []Object{state[ref], also} {
		if o != nil {
			s.open[o.Owner().Tenant] = true
		}
	}
}

// openAllocated opens the tenants whose uid isn't what it was, and those with webroots that were renamed.
func (s *settled) openAllocated(now []Allocation) {
	for _, a := range now {
		if a.Scope == scopeSite {
			tenant, _, _ := strings.Cut(a.Key, ".")
			s.open[tenant] = true
		}
	}
	if slices.Equal(s.allocations, now) {
		return
	}
	was := make(map[Allocation]bool, len(s.allocations))
	for _, a := range s.allocations {
		was[a] = true
	}
	for _, a := range now {
		if a.Scope == scopeUID && !was[a] {
			s.open[a.Key] = true
		}
		delete(was, a)
	}
	for a := range was {
		tenant, _, _ := strings.Cut(a.Key, ".")
		s.open[tenant] = true
	}
	s.allocations = now
}

// openRotated opens the tenants of generated secrets whose generation isn't what it was.
func (s *settled) openRotated(now map[Generated]int) {
	for _, pair := range [][2]map[Generated]int{{s.generations, now}, {now, s.generations}} {
		for g, n := range pair[0] {
			if pair[1][g] != n {
				s.open[g.Tenant] = true
			}
		}
	}
	s.generations = now
}
