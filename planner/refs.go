package planner

import "slices"

// sorted returns the references in their order.
func sorted(refs []Ref) []Ref {
	sortRefs(refs)
	return refs
}

func sortRefs(refs []Ref) { slices.SortFunc(refs, Ref.Compare) }
