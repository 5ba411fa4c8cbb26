package planner

import "hostctl/schema"

// New plans what takes the live state to what the manifest declares: it expands the manifest to objects, compares them
// with the live ones, and orders the changes.
//
// It returns a *RefusedError where a guard says no, and a ProblemsError where the manifest can't be made true (no host
// with room, no free address, port or uid). Both name everything that is wrong, not the first thing.
func New(m schema.Manifest, live Live, p Policy) (Plan, error) {
	live = live.LeaveAlone(m.Platform.Drift)
	d, err := newDraft(m, live, p)
	if err != nil {
		return Plan{}, err
	}
	return d.plan()
}

// newDraft plans all but what concerns the plan as a whole.
func newDraft(m schema.Manifest, live Live, p Policy) (*draft, error) {
	if err := guardInput(m, live, p); err != nil {
		return nil, err
	}
	x, err := expand(m, live, p)
	if err != nil {
		return nil, err
	}
	d := diff(x)
	return d, d.order()
}

// plan makes the plan of what was drafted, if the guards let it pass.
func (d *draft) plan() (Plan, error) {
	x := d.expansion
	plan := Plan{
		Format:      PlanFormat,
		Instance:    x.live.Instance,
		Commit:      x.m.Commit,
		Base:        x.live.Version,
		Changes:     d.changes(),
		Allocations: x.alloc.made(),
		Released:    d.released(),
		Targets:     x.allTargets(),
		Frozen:      x.m.Frozen,
	}
	allowed, err := guardPlan(d, plan)
	if err != nil {
		return Plan{}, err
	}
	d.noteSuspended()
	plan.Remember, plan.Notes = x.remember(allowed), x.allNotes()
	return plan, nil
}
