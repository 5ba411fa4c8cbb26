package planner

import (
	"maps"
	"slices"
	"strings"
	"time"

	"hostctl/schema"
)

// Memory is what the inventory keeps of a plan for those that follow: the policy that they are held against is the one
// of before, so that no commit takes away what would have stopped it.
type Memory struct {
	Protected  []string                      `json:"protected,omitempty"`  // owners, as Owner.ID names them; sorted
	Guardrails *schema.Guardrails            `json:"guardrails,omitempty"` // nil: schema.DefaultGuardrails
	Keep       map[schema.Kind]time.Duration `json:"keep,omitempty"`       // see schema.Platform
	Allowed    []string                      `json:"allowed,omitempty"`    // of Policy.AllowDestroy: what is still to go, on nodes that couldn't be reached
	Frozen     map[string]string             `json:"frozen,omitempty"`     // tenant -> commit whose files count
	Suspended  map[string]string             `json:"suspended,omitempty"`  // tenant -> why, "" where nobody says
}

// Begun returns what is remembered as soon as a plan is being carried out, well or not: what it protects is protected
// from then on, and what was protected still is. What was allowed stays allowed until a plan that needs it no more was
// carried out well.
func (m Memory) Begun(next Memory) Memory {
	m.Protected = union(m.Protected, next.Protected)
	m.Frozen = next.Frozen
	m.Suspended = either(m.Suspended, next.Suspended)
	m.Allowed = union(m.Allowed, next.Allowed)
	return m
}

// union returns what is in either, sorted.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// KeepOf returns how long what an object holds outlives its resource.
func (m Memory) KeepOf(k Kind) time.Duration {
	switch k {
	case KindWebroot, KindVolume:
		return schema.Platform{Keep: m.Keep}.KeepOf(schema.KindWebroot)
	case KindValkey:
		return schema.Platform{Keep: m.Keep}.KeepOf(schema.KindValkeyInstance)
	case KindDatabase:
		return schema.Platform{Keep: m.Keep}.KeepOf(schema.KindDatabase)
	case KindZone:
		return schema.Platform{Keep: m.Keep}.KeepOf(schema.KindZone)
	}
	return schema.DefaultKeep
}

func (m Memory) guardrails() schema.Guardrails {
	if m.Guardrails == nil {
		return schema.DefaultGuardrails
	}
	return *m.Guardrails
}

// remember returns what is to be remembered of a plan.
func (x *expansion) remember(allowed []string) Memory {
	rails := x.m.Platform.Guardrails
	out := Memory{Protected: Protected(x.m), Guardrails: &rails, Keep: maps.Clone(x.m.Platform.Keep), Allowed: allowed, Suspended: suspendedIn(x.m)}
	if rails == (schema.Guardrails{}) {
		out.Guardrails = nil
	}
	for _, f := range x.m.Frozen {
		if out.Frozen == nil {
			out.Frozen = map[string]string{}
		}
		out.Frozen[f.Tenant] = f.Commit
		for _, id := range x.live.Memory.Protected {
			if strings.HasPrefix(id, f.Tenant+"/") && !slices.Contains(out.Protected, id) {
				out.Protected = append(out.Protected, id)
			}
		}
	}
	slices.Sort(out.Protected)
	return out
}
