package planner

import (
	"fmt"
	"slices"
	"strings"
)

// Part returns the changes of a plan that are about what the names mean, with all that must come before them and all that
// comes after them, in the plan's order. A name is an object's reference, or that of a tenant, a target or a shard.
//
// A part is for reading only: carried out, it would leave the commit half true and recorded as the whole of it. Plan.Of
// says so, and EncodePlan refuses it. A name that means no change of the plan is an error.
func (p Plan) Part(names []string) (Plan, error) {
	taken := make(map[int]bool, len(p.Changes))
	for _, name := range names {
		found := false
		for _, c := range p.Changes {
			if c.meant(name) {
				found, taken[c.ID] = true, true
			}
		}
		if !found {
			return Plan{}, fmt.Errorf("the plan changes nothing that is called %s: want kind/target/name, or the name of a tenant, shard or node", name)
		}
	}
	for _, c := range p.Changes { // upwards first: what comes after a change that is taken
		taken[c.ID] = taken[c.ID] || slices.ContainsFunc(c.After, func(id int) bool { return taken[id] })
	}
	for _, c := range slices.Backward(p.Changes) { // then downwards: what any of these come after
		if taken[c.ID] {
			for _, id := range c.After {
				taken[id] = true
			}
		}
	}
	part := p
	part.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c Change) bool { return !taken[c.ID] })
	part.Of = len(p.Changes)
	part.Notes = append([]string{fmt.Sprintf("this is a part of the plan, %d of its %d changes: %s, with what comes before and after; it can't be applied",
		len(part.Changes), len(p.Changes), strings.Join(names, ", "))}, p.Notes...)
	return part, nil
}

// meant reports whether a name means a change.
func (c Change) meant(name string) bool {
	ref, owner := c.Ref(), c.Owner()
	return ref.String() == name || owner.Tenant == name || ref.Target == name ||
		owner.Kind == "Shard" && owner.Name == name || ref.Kind == KindContainer && ref.Name == name
}
