package schema

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// DriftMode is what becomes of an object that is found to differ from what was applied.
type DriftMode string

// The modes.
const (
	DriftCorrect DriftMode = "correct" // it is put right
	DriftReport  DriftMode = "report"  // it is told of, and left alone
	DriftOff     DriftMode = "off"     // nobody looks
)

// DriftKinds are the kinds of objects that a DriftPolicy may name, from the lowest rung of the planner's ladder up.
var DriftKinds = []string{
	"network", "volume", "container", "agent", "secret", "user", "webroot", "runtime", "vhost", "database", "databaseuser", "valkey", "valkeyuser", "cron", "catalog", "zone", "cert", "backend", "server", "route", "rrset",
}

// DriftPolicy is what becomes of drift, by kind of object. The zero value corrects all of it.
type DriftPolicy struct {
	Default DriftMode            `json:"default,omitempty"` // "" stands for DriftCorrect
	Kinds   map[string]DriftMode `json:"kinds,omitempty"`   // of DriftKinds
}

// Of returns what becomes of an object of a kind.
func (p DriftPolicy) Of(kind string) DriftMode {
	if m, ok := p.Kinds[kind]; ok {
		return m
	}
	if p.Default == "" {
		return DriftCorrect
	}
	return p.Default
}

// Equal reports whether two policies do the same with every kind.
func (p DriftPolicy) Equal(q DriftPolicy) bool {
	return p.Of("") == q.Of("") && !slices.ContainsFunc(DriftKinds, func(k string) bool { return p.Of(k) != q.Of(k) })
}

// driftPolicy decodes Platform.spec.driftPolicy. What it may hold was checked by its shape.
func (d *decoder) driftPolicy(n *yaml.Node) DriftPolicy {
	if n == nil || n.Kind != yaml.MappingNode {
		return DriftPolicy{}
	}
	p := DriftPolicy{Default: DriftMode(d.plain(child(n, "default")))}
	for _, k := range DriftKinds {
		if v := child(child(n, "kinds"), k); v != nil {
			if p.Kinds == nil {
				p.Kinds = map[string]DriftMode{}
			}
			p.Kinds[k] = DriftMode(d.plain(v))
		}
	}
	return p
}
