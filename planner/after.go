package planner

import (
	"cmp"
	"maps"
	"slices"
)

// After returns what is live once a plan was wholly carried out. The version stays: no inventory has been there.
func (l Live) After(p Plan) Live {
	after := l
	after.Commit, after.Targets, after.Memory = p.Commit, p.Targets, p.Remember
	after.Lately, after.Due, after.Dirty = nil, nil, map[Ref]Reason{}
	after.State = maps.Clone(l.State)
	if after.State == nil {
		after.State = State{}
	}
	for _, c := range p.Changes {
		if c.New == nil {
			delete(after.State, c.Ref())
		} else {
			after.State[c.Ref()] = c.New
		}
	}
	type place struct{ scope, key string }
	values := map[place]Allocation{}
	for _, a := range slices.Concat(l.Allocations, p.Allocations) {
		values[place{a.Scope, a.Key}] = a
	}
	for _, a := range p.Released {
		if at := (place{a.Scope, a.Key}); values[at] == a {
			delete(values, at)
		}
	}
	after.Allocations = slices.SortedFunc(maps.Values(values), func(a, b Allocation) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Key, b.Key))
	})
	return after
}
