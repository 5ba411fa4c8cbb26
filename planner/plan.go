package planner

import "hostctl/schema"

// Live is what the inventory knows when a plan is made.
type Live struct {
	Instance    string // id of the inventory; "" for an empty one that was never used
	Version     string // of the inventory; a plan is made against one
	Commit      string // last applied; "" for none
	State       State
	Dirty       map[Ref]Reason     // touched again by the next plan
	Down        map[string]string  // nodes that can't be reached, with the reason; they leave rotation
	Images      map[string]string  // image tag -> image id, resolved before planning
	Allocations []Allocation       // all there ever were; sorted by scope, key
	Targets     []Target           // of the last plan that was applied, and of those begun since: where objects that are to go can be found
	Memory      Memory             // what is remembered of the last plan that was applied
	Due         []Ref              // kept for their data, for long enough; sorted
	Generations map[Generated]int  // of generated secrets, those above the first
	Lost        map[Generated]bool // generated secrets whose values nodes alone have: the inventory was made again
	There       State              // what other far sides than ours hold of what is declared and not live, for adoption; read before planning
	Lately      []Lately           // how Version was reached, as far as that is known: each begins where the one before ends
}

// Lately names every object that may have changed from one version of the inventory to a later one: its content, whether
// it is there, or whether it is dirty.
type Lately struct {
	From, To string // as Live.Version has them
	Refs     []Ref
}

// Reason says why an object is dirty.
type Reason struct {
	Text    string
	Pending Object // what a change that didn't finish was to make; nil for a delete or for drift
	Gone    bool   // it was seen not to be there: it must be created
	Drifted bool   // the change was refused, for the object had drifted: it is as it was found
	Anew    bool   // a replacement of it didn't finish: it may also be what an earlier one was to make, of which nothing is known any more
}

// Allocation is a decision that must not be made twice: a uid, an address, a port, the host of a node. It is unique by
// (Scope, Value), and by (Scope, Key).
type Allocation struct {
	Scope string `json:"scope"` // "uid", "address/<cluster>", "port/<host>/<tcp|udp>", "host" (key: node, value "<host>#<node>"), "site"
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Target is where changes go: a Docker host, a node's agent, any one node of several that share what is changed, or a
// PowerDNS or HAProxy that hostctl hasn't made. Exactly one of Docker, Lost, Address, AnyOf, PowerDNS and HAProxy is set.
type Target struct {
	Name    string         `json:"name"`
	Docker  *schema.Docker `json:"docker,omitempty"`
	Lost    bool           `json:"lost,omitempty"`    // a host that is no more: what was there is gone, and nobody is asked
	Address string         `json:"address,omitempty"` // host:port of a node's agent
	AnyOf   []string       `json:"anyOf,omitempty"`   // names of nodes

	PowerDNS *PowerDNS `json:"powerdns,omitempty"`
	HAProxy  *HAProxy  `json:"haproxy,omitempty"`
}

// External reports whether a target is a far side that hostctl hasn't made.
func (t Target) External() bool { return t.PowerDNS != nil || t.HAProxy != nil }

// Action is what a change does to an object.
type Action string

// The actions, with the signs of a plan's text: + ~ ± -. A replacement of which Old and New are equal makes anew what may
// look right: a replacement by something else didn't finish, and what is in it is unknown.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace"
	Delete  Action = "delete"
)

// Change is one object going from old to new.
type Change struct {
	ID     int
	Stage  int // changes of a stage start when every change of the stages before has ended, well or not
	Action Action
	Old    Object // nil when it is created
	New    Object // nil when it is deleted
	Expect Hash   // content it starts from; of a second change of one object, the first one's New
	Force  bool   // what is really there is known to differ, or not known: it is overwritten, whatever it is
	Adopt  bool   // it was there, and is nobody's that the inventory knows: it becomes ours
	After  []int  // changes of this plan that must have succeeded; sorted, all smaller than ID
	Why    string // what caused it, in a few words
}

// Ref names the object that the change is about.
func (c Change) Ref() Ref {
	if c.New != nil {
		return c.New.Ref()
	}
	return c.Old.Ref()
}

// Owner returns the owner of the object that the change is about.
func (c Change) Owner() Owner {
	if c.New != nil {
		return c.New.Owner()
	}
	return c.Old.Owner()
}

// Plan is changes in an order in which they can be carried out: within a stage no change needs another.
type Plan struct {
	Format      int    // PlanFormat
	Instance    string // the inventory it was made against
	Commit      string // what it makes true
	Base        string // Live.Version it was made against
	Changes     []Change
	Allocations []Allocation // new ones, reserved when the run starts; one of a scope and key that has a value already replaces it
	Released    []Allocation // given back when the run has ended well, or starts, if it allocates the value: only where scope, key and value are still these
	Targets     []Target     // everywhere that changes go, and every node; sorted by name
	Notes       []string     // for people: what was decided that may surprise
	Frozen      []schema.Frozen
	Remember    Memory // for the plans that follow, when this one was carried out
	Of          int    // of a part, how many changes the whole plan has; 0 for a whole one
}

// Replaced returns the scopes and keys of what makes room when the run starts: those that are allocated anew, and those whose
// value goes to another key.
func (p Plan) Replaced() []Allocation {
	var out []Allocation
	given := make(map[Allocation]bool, len(p.Allocations))
	for _, a := range p.Allocations {
		out = append(out, Allocation{Scope: a.Scope, Key: a.Key})
		given[Allocation{Scope: a.Scope, Value: a.Value}] = true
	}
	for _, a := range p.Released {
		if given[Allocation{Scope: a.Scope, Value: a.Value}] {
			out = append(out, Allocation{Scope: a.Scope, Key: a.Key})
		}
	}
	return out
}

// PlanFormat is the version of a saved plan.
const PlanFormat = 1

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// Policy is what the program that plans adds to the manifest.
type Policy struct {
	AgentBinary string // SHA-256 of the node-agent program, hex; "" plans no agents: such a plan is for reading only

	AllowDestroy []string // what the guards let go, as the refusals name it: of commits since the last applied one, or asked for
}
