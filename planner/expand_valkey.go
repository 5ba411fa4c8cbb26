package planner

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"hostctl/schema"
)

// Valkey is an instance of Valkey on a shard of role valkey: a server of its own. Name: "<tenant>.<instance>". Data-bearing: it
// is dropped only when it was kept for long enough, or is marked with Purge.
type Valkey struct {
	Meta
	Tenant      string                `json:"tenant"`
	Instance    string                `json:"instance"`
	Port        int                   `json:"port"`      // on its node, TLS only
	MaxMemory   int64                 `json:"maxMemory"` // bytes
	Policy      schema.EvictionPolicy `json:"policy"`
	Persistence schema.Persistence    `json:"persistence"`
	Kept        bool                  `json:"kept,omitempty"`  // nobody declares it any more: it is stopped, and its data stays
	Purge       bool                  `json:"purge,omitempty"` // deletionPolicy: Delete; where nobody declares it any more it is dropped

	Adopt bool `json:"adopt,omitempty"` // data that is there already is taken over

	MovedTo string      `json:"movedTo,omitempty"` // node that may copy it, or has: it is read-only
	Source  *CopySource `json:"source,omitempty"`  // it is a copy, and read-only
}

// Ref implements Object.
func (o Valkey) Ref() Ref { return o.ref(KindValkey) }

// ValkeyUser is a user of an instance on the same shard, and the only way into it. Name: "<tenant>.<user>".
type ValkeyUser struct {
	Meta
	Tenant       string   `json:"tenant"`
	User         string   `json:"user"`               // what it logs in as
	Instance     string   `json:"instance"`           // of the same tenant
	Keys         []string `json:"keys"`               // patterns, sorted
	Channels     []string `json:"channels,omitempty"` // patterns, sorted
	Commands     []string `json:"commands,omitempty"` // rules as a person wrote them; see schema.CommandRules
	PasswordHash string   `json:"passwordHash,omitempty"`
	Password     Held     `json:"password,omitzero"` // on the node; where it is set there is no PasswordHash
	Retains      bool     `json:"retains,omitempty"` // the password of before is valid as well
	Locked       bool     `json:"locked,omitempty"`
	Adopt        bool     `json:"adopt,omitempty"` // one that is there already is taken over
}

// Ref implements Object.
func (o ValkeyUser) Ref() Ref { return o.ref(KindValkeyUser) }

// scopeValkey, with the shard behind it, is the scope of the ports of instances: key is "<tenant>.<instance>".
const scopeValkey = "valkey/"

// Ports of instances. The node's own (the agent's) are none of them, and an instance's user id on its node follows from its
// port.
const (
	FirstValkeyPort = 6400
	LastValkeyPort  = 9399
)

// expandValkey makes instances and their users.
func (x *expansion) expandValkey() {
	homes := make(map[string]Valkey, len(x.m.ValkeyInstances))
	for i := range x.m.ValkeyInstances {
		v := &x.m.ValkeyInstances[i]
		g := x.shards[v.Shard]
		if g == nil || g.role != schema.RoleValkey {
			x.problemf("%s: ValkeyInstance %s of tenant %s: there is no shard %q for Valkey", v.Position, v.Name, v.Tenant, v.Shard)
			continue
		}
		o := Valkey{
			Meta:   Meta{Target: g.name, Name: siteName(v.Tenant, v.Name), From: ownerOf(v.Meta), On: g.databaseNeeds()},
			Tenant: v.Tenant, Instance: v.Name, MaxMemory: v.MaxMemory, Policy: v.Policy, Persistence: v.Persistence,
			Purge: v.Deletion == schema.Delete, Adopt: v.Adopt,
		}
		homes[o.Name], _ = x.house(o).(Valkey)
	}
	for i := range x.m.ValkeyUsers {
		x.expandValkeyUser(&x.m.ValkeyUsers[i], homes)
	}
}

func (o Valkey) standing() standing { return standing{o.Kept, o.MovedTo, o.Source} }

func (o Valkey) with(m Meta, s standing) movable {
	o.Meta, o.Kept, o.MovedTo, o.Source = m, s.kept, s.movedTo, s.source
	return o
}

func (o Valkey) seated(x *expansion) movable {
	at, _ := x.counting(nameOf(o), o.Target)
	was, _ := at.(Valkey)
	o.Port = x.valkeyPort(x.shards[o.Target], o.Name, was.Port)
	return o
}

func (o Valkey) staying(at movable) movable {
	if was, ok := at.(Valkey); ok {
		o.Port = was.Port
	}
	return o
}

func (o Valkey) resource() string { return "ValkeyInstance " + o.Instance }

// valkeyPort returns an instance's port on a shard: the one it has there, the one it has where it comes from, or the smallest
// that is free.
func (x *expansion) valkeyPort(g *group, name string, from int) int {
	scope := scopeValkey + g.name
	if v, ok := x.alloc.get(scope, name); ok {
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
	}
	if from != 0 && x.alloc.free(scope, name, strconv.Itoa(from)) {
		x.alloc.set(scope, name, strconv.Itoa(from))
		return from
	}
	for n := FirstValkeyPort; n <= LastValkeyPort; n++ {
		if x.alloc.free(scope, name, strconv.Itoa(n)) {
			x.alloc.set(scope, name, strconv.Itoa(n))
			return n
		}
	}
	x.problemf("shard %s: no port is left for Valkey instance %s; declare another Shard", g.name, name)
	return 0
}

// valkeyReleased reports whether an instance's port is free again: nobody declares it there, and it is gone, or goes with this plan.
func (d *draft) valkeyReleased(a Allocation) bool {
	shard := strings.TrimPrefix(a.Scope, scopeValkey)
	ref := Ref{KindValkey, shard, a.Key}
	goes := d.has(ref) && d.desired[ref] == nil
	if d.desired[ref] != nil || d.live.was(ref) != nil && !goes {
		return false
	}
	return !slices.ContainsFunc(d.m.ValkeyInstances, func(v schema.ValkeyInstance) bool { return v.Shard == shard && siteName(v.Tenant, v.Name) == a.Key })
}

func (x *expansion) expandValkeyUser(u *schema.ValkeyUser, homes map[string]Valkey) {
	v, ok := homes[siteName(u.Tenant, u.Instance)]
	if !ok {
		return // its instance can't be made, which was said
	}
	o := ValkeyUser{
		Meta:   Meta{Target: v.Target, Name: siteName(u.Tenant, u.Name), From: ownerOf(u.Meta), On: []Ref{v.Ref()}},
		Tenant: u.Tenant, User: u.Name, Instance: u.Instance, Keys: u.Keys, Channels: u.Channels, Commands: u.Commands, PasswordHash: u.PasswordHash,
		Locked: x.isSuspended(u.Tenant), Adopt: u.Adopt,
	}
	if best := x.shards[v.Target].best; u.Password != nil && len(best) > 0 {
		var ref Ref
		ref, o.Password = x.secret(best[0], o.From, schema.KindValkeyUser, "password", *u.Password)
		o.On = append(o.On, ref)
		sortRefs(o.On)
	}
	x.add(o)
}

// keepValkey keeps an instance that nobody declares any more where it is, stopped, unless its time is over.
func (x *expansion) keepValkey(o Valkey) {
	g := x.shards[o.Target]
	if g != nil && (x.abandoned(o) || x.purgesValkey(o)) {
		return
	}
	var needs []Ref
	if g != nil && g.role == schema.RoleValkey {
		needs = g.databaseNeeds()
	}
	x.add(x.putAway(o, needs))
}

// purgesValkey reports whether an instance that isn't declared is dropped, and says so in the plan.
func (x *expansion) purgesValkey(o Valkey) bool {
	_, due := slices.BinarySearchFunc(x.live.Due, o.Ref(), Ref.Compare)
	switch {
	case o.Kept && due && o.MovedTo != "":
		x.notef("what Valkey instance %s of tenant %s has left on %s is dropped: it moved away %s ago; a snapshot of it stays in the trash there", o.Instance, o.Tenant, o.Target, days(x.live.Memory.KeepOf(KindValkey)))
	case o.Kept && due:
		x.notef("Valkey instance %s of tenant %s is dropped: nobody has declared it for %s; a snapshot of it stays in the trash of %s", o.Instance, o.Tenant, days(x.live.Memory.KeepOf(KindValkey)), o.Target)
	case o.Purge && !o.Kept:
		x.notef("Valkey instance %s of tenant %s is dropped, and at once: its deletionPolicy is Delete; a snapshot of it stays in the trash of %s", o.Instance, o.Tenant, o.Target)
	default:
		return false
	}
	return true
}

// Endpoint returns the host and port at which clients of the same network reach an object, "" where it has none of its own.
func Endpoint(s State, o Object) string {
	v, ok := o.(Valkey)
	if !ok || v.Kept || v.Source != nil {
		return ""
	}
	for _, need := range v.On {
		need.Kind = KindContainer // an agent's name and host are its container's
		if c, ok := s[need].(Container); ok {
			return net.JoinHostPort(c.Address, strconv.Itoa(v.Port))
		}
	}
	return ""
}
