package reconciler

import (
	"sync"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// An object that was corrected FightFlips times within FightWindow and differs again is fought over.
const (
	FightFlips  = 3
	FightWindow = time.Hour
)

// policiesRemembered is how many commits' drift policies a reconciler remembers.
const policiesRemembered = 4

// driftMemory is what a reconciler remembers of drift: the corrections of each object, and the policies of the newest
// commits. The zero value is empty. It isn't kept on disk: a hostd that starts anew corrects again, FightFlips times.
type driftMemory struct {
	mu       sync.Mutex
	objects  map[planner.Ref]*corrections
	policies map[string]policies
	commits  []string // that have a policy, oldest first
}

// corrections are those of one object with one declared content.
type corrections struct {
	declared planner.Hash
	at       []time.Time // oldest first
	fight    *Fight      // nil: it is corrected
	revision int64       // of the object when the fight began
	seen     time.Time   // last time that it differed
}

// policies are what a commit says of what is found at the far sides.
type policies struct {
	drift schema.DriftPolicy
	zones map[string]schema.UnmanagedPolicy // by domain, of the zones that it declares

	audience Audience
}

func policiesOf(m schema.Manifest) policies {
	p := policies{
		drift: m.Platform.Drift, zones: make(map[string]schema.UnmanagedPolicy, len(m.Zones)),
		audience: Audience{Platform: m.Platform.Domain, Notifications: m.Platform.Notifications},
	}
	for i := range m.Zones {
		p.zones[m.Zones[i].Domain] = m.UnmanagedIn(&m.Zones[i])
	}
	return p
}

func (m *driftMemory) policy(commit string) (policies, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.policies[commit]
	return p, ok
}

func (m *driftMemory) setPolicy(commit string, p policies) {
	if commit == "" {
		return // files that aren't committed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.policies == nil {
		m.policies = map[string]policies{}
	}
	if _, ok := m.policies[commit]; !ok {
		m.commits = append(m.commits, commit)
	}
	m.policies[commit] = p
	if len(m.commits) > policiesRemembered {
		delete(m.policies, m.commits[0])
		m.commits = m.commits[1:]
	}
}

// fight returns the fight over an object that differs from its declared content, nil where there is none. begins reports
// whether it begins now.
func (m *driftMemory) fight(ref planner.Ref, declared planner.Hash, now time.Time) (fight *Fight, begins bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.objects[ref]
	if c == nil {
		return nil, false
	}
	if c.declared != declared {
		delete(m.objects, ref)
		return nil, false
	}
	c.seen = now
	if c.fight != nil {
		return c.fight, false
	}
	c.forget(now)
	if len(c.at) < FightFlips {
		return nil, false
	}
	c.fight = &Fight{Since: c.at[len(c.at)-1].UTC(), Times: len(c.at)}
	return c.fight, true
}

// fightOf returns the fight over an object, as far as it has begun.
func (m *driftMemory) fightOf(ref planner.Ref, declared planner.Hash) *Fight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.objects[ref]; c != nil && c.declared == declared {
		return c.fight
	}
	return nil
}

// correct notes that an object is about to be corrected.
func (m *driftMemory) correct(ref planner.Ref, declared planner.Hash, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[planner.Ref]*corrections{}
	}
	c := m.objects[ref]
	if c == nil || c.declared != declared {
		c = &corrections{declared: declared}
		m.objects[ref] = c
	}
	c.forget(now)
	c.at, c.seen = append(c.at, now), now
}

// forget drops corrections that no longer count.
func (c *corrections) forget(now time.Time) {
	for len(c.at) > 0 && now.Sub(c.at[0]) >= FightWindow {
		c.at = c.at[1:]
	}
}

// fighting reports whether any object is fought over.
func (m *driftMemory) fighting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.objects {
		if c.fight != nil {
			return true
		}
	}
	return false
}

// settle ends the fights over objects that a run has touched since, be it for another commit or 'hostctl converge', and
// drops what was quiet for so long that it counts no more. revisions are those of the inventory; nil where none were
// read, because nobody fights.
func (m *driftMemory) settle(revisions map[planner.Ref]int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ref, c := range m.objects {
		switch revision, there := revisions[ref]; {
		case now.Sub(c.seen) >= FightWindow:
			delete(m.objects, ref)
		case c.fight == nil || revisions == nil:
		case !there && c.declared == "": // nobody declares it, and it is gone from the inventory each time that it is deleted
		case !there:
			delete(m.objects, ref)
		case c.revision == 0:
			c.revision = revision
		case revision != c.revision:
			delete(m.objects, ref)
		}
	}
}
