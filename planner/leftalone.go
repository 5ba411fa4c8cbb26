package planner

import (
	"maps"

	"hostctl/schema"
)

// LeaveAlone returns a live state in which drift that a policy doesn't correct is no reason to touch an object: one that a
// change was refused for, because it had drifted, is clean. The change is planned again, from what was applied, and not
// carried out while the drift lasts.
func (l Live) LeaveAlone(p schema.DriftPolicy) Live {
	left := func(ref Ref, why Reason) bool {
		return why.Drifted && p.Of(string(ref.Kind)) != schema.DriftCorrect && l.State[ref] != nil
	}
	for ref, why := range l.Dirty {
		if left(ref, why) {
			l.Dirty = maps.Clone(l.Dirty)
			maps.DeleteFunc(l.Dirty, left)
			break
		}
	}
	return l
}
