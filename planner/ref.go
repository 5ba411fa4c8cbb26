package planner

import (
	"cmp"
	"fmt"
	"strings"
)

// Kind is the kind of an object.
type Kind string

// The kinds of objects, in the order of the ladder: an object may need only objects of kinds that stand before its own.
const (
	KindNetwork      Kind = "network"
	KindVolume       Kind = "volume"
	KindContainer    Kind = "container"
	KindAgent        Kind = "agent"
	KindSecret       Kind = "secret"
	KindUser         Kind = "user"
	KindWebroot      Kind = "webroot"
	KindRuntime      Kind = "runtime"
	KindVhost        Kind = "vhost"
	KindDatabase     Kind = "database"
	KindDatabaseUser Kind = "databaseuser"
	KindValkey       Kind = "valkey"
	KindValkeyUser   Kind = "valkeyuser"
	KindCron         Kind = "cron"
	KindCatalog      Kind = "catalog"
	KindZone         Kind = "zone"
	KindCert         Kind = "cert"
	KindBackend      Kind = "backend"
	KindServer       Kind = "server"
	KindRoute        Kind = "route"
	KindRRset        Kind = "rrset"
)

// Ladder is every kind from the lowest rung up. Objects are made upwards and removed downwards.
var Ladder = []Kind{
	KindNetwork, KindVolume, KindContainer, KindAgent, KindSecret, KindUser, KindWebroot, KindRuntime,
	KindVhost, KindDatabase, KindDatabaseUser, KindValkey, KindValkeyUser, KindCron, KindCatalog, KindZone, KindCert, KindBackend, KindServer, KindRoute, KindRRset,
}

// Rung returns the place of a kind on the ladder, and whether there is such a kind. It is asked for every object and every
// need, and a switch takes a third of the time of a map.
func (k Kind) Rung() (int, bool) {
	switch k {
	case KindNetwork:
		return 0, true
	case KindVolume:
		return 1, true
	case KindContainer:
		return 2, true
	case KindAgent:
		return 3, true
	case KindSecret:
		return 4, true
	case KindUser:
		return 5, true
	case KindWebroot:
		return 6, true
	case KindRuntime:
		return 7, true
	case KindVhost:
		return 8, true
	case KindDatabase:
		return 9, true
	case KindDatabaseUser:
		return 10, true
	case KindValkey:
		return 11, true
	case KindValkeyUser:
		return 12, true
	case KindCron:
		return 13, true
	case KindCatalog:
		return 14, true
	case KindZone:
		return 15, true
	case KindCert:
		return 16, true
	case KindBackend:
		return 17, true
	case KindServer:
		return 18, true
	case KindRoute:
		return 19, true
	case KindRRset:
		return 20, true
	}
	return 0, false
}

// Ref names one object: what kind, on which target, and its name there. It reads "vhost/web-1-0/acme.shop". The name may
// hold slashes, the target may not.
type Ref struct {
	Kind   Kind
	Target string
	Name   string
}

func (r Ref) String() string { return string(r.Kind) + "/" + r.Target + "/" + r.Name }

// ParseRef reads what String writes.
func ParseRef(s string) (Ref, error) {
	kind, rest, ok := strings.Cut(s, "/")
	target, name, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || target == "" || name == "" {
		return Ref{}, fmt.Errorf("reference %q: want kind/target/name", s)
	}
	if _, known := Kind(kind).Rung(); !known {
		return Ref{}, fmt.Errorf("reference %q: no object kind %q", s, kind)
	}
	return Ref{Kind: Kind(kind), Target: target, Name: name}, nil
}

// MarshalText implements encoding.TextMarshaler, so that a Ref may be a key in JSON.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Ref) UnmarshalText(b []byte) error {
	p, err := ParseRef(string(b))
	if err != nil {
		return err
	}
	*r = p
	return nil
}

// Compare orders references by the ladder, then target, then name.
func (r Ref) Compare(o Ref) int {
	a, _ := r.Kind.Rung()
	b, _ := o.Kind.Rung()
	if a != b {
		return cmp.Compare(a, b)
	}
	if c := cmp.Compare(r.Target, o.Target); c != 0 {
		return c
	}
	return cmp.Compare(r.Name, o.Name)
}
