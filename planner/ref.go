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
	KindNetwork   Kind = "network"
	KindVolume    Kind = "volume"
	KindContainer Kind = "container"
	KindAgent     Kind = "agent"
	KindUser      Kind = "user"
	KindWebroot   Kind = "webroot"
	KindRuntime   Kind = "runtime"
	KindVhost     Kind = "vhost"
	KindZone      Kind = "zone"
	KindBackend   Kind = "backend"
	KindServer    Kind = "server"
	KindRoute     Kind = "route"
	KindRRset     Kind = "rrset"
)

// Ladder is every kind from the lowest rung up. Objects are made upwards and removed downwards.
var Ladder = []Kind{
	KindNetwork, KindVolume, KindContainer, KindAgent, KindUser, KindWebroot, KindRuntime, KindVhost,
	KindZone, KindBackend, KindServer, KindRoute, KindRRset,
}

var rungs = func() map[Kind]int {
	m := make(map[Kind]int, len(Ladder))
	for i, k := range Ladder {
		m[k] = i
	}
	return m
}()

// Rung returns the place of a kind on the ladder, and whether there is such a kind.
func (k Kind) Rung() (int, bool) {
	r, ok := rungs[k]
	return r, ok
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
	return cmp.Or(
		cmp.Compare(rungs[r.Kind], rungs[o.Kind]),
		cmp.Compare(r.Target, o.Target),
		cmp.Compare(r.Name, o.Name),
	)
}
