package planner

import "hostctl/schema"

// New plans what takes the live state to what the manifest declares: it expands the manifest to objects, compares them
// with the live ones, and orders the changes.
//
// It returns a *RefusedError where a guard says no, and a ProblemsError where the manifest can't be made true (no host
// with room, no free address, port or uid). Both name everything that is wrong, not the first thing.
func New(m schema.Manifest, live Live, p Policy) (Plan, error) {
	if err := guardInput(m, live); err != nil {
		return Plan{}, err
	}
	x, err := expand(m, live, p)
	if err != nil {
		return Plan{}, err
	}
	d := diff(x)
	if err := d.order(); err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Format:      PlanFormat,
		Instance:    live.Instance,
		Commit:      m.Commit,
		Base:        live.Version,
		Changes:     d.changes(),
		Allocations: x.alloc.made(),
		Released:    x.released(),
		Targets:     x.allTargets(),
		Frozen:      m.Frozen,
	}
	allowed, err := guardPlan(d, plan)
	if err != nil {
		return Plan{}, err
	}
	plan.Remember, plan.Notes = x.remember(allowed), x.allNotes()
	return plan, nil
}
