package reconciler

import (
	"context"
	"fmt"
	"slices"

	"hostctl/planner"
	"hostctl/schema"
)

// orphan tells of an object that nobody declared. It is false where nobody wants to know of it.
func (s sight) orphan(live planner.Live, found planner.Object, p policies) (Finding, bool) {
	f := finding(nil, found, schema.DriftReport)
	if p.drift.Of(string(f.Ref.Kind)) == schema.DriftOff {
		return f, false
	}
	set, ok := found.(planner.RRset)
	if !ok {
		return f, true
	}
	f.planned = planner.IsUnmanaged(live.State[f.Ref])
	switch p.zones[set.Zone] {
	case schema.UnmanagedIgnore:
		return f, false
	case schema.UnmanagedDelete:
		zone, _ := live.State[planner.Ref{Kind: planner.KindZone, Target: set.Target, Name: set.Zone}].(planner.Zone)
		if set, ok = planner.Unmanaged(set, zone); ok {
			f.Mode, f.unmanaged = schema.DriftCorrect, &set
		}
	}
	return f, true
}

// seenOf returns the targets of which all objects of a kind were seen, sorted.
func (s sight) seenOf(k planner.Kind) []string {
	var targets []string
	for t, kinds := range s.covered {
		if kinds[k] {
			targets = append(targets, t)
		}
	}
	slices.Sort(targets)
	return targets
}

// planUnmanaged hands what nobody declares, and what nobody wants, to the next plan, and takes back what isn't there any more or may
// stay now. It reports whether that changes the plan.
func (r *Reconciler) planUnmanaged(ctx context.Context, d *Drift) (bool, error) {
	var found []planner.RRset
	for _, f := range d.Found {
		if f.unmanaged != nil && f.Fighting == nil {
			found = append(found, *f.unmanaged)
		}
	}
	if len(found) == 0 && !d.recorded {
		return false, nil
	}
	moved, err := r.Inventory.SetUnmanaged(ctx, d.zonesSeen, found)
	if err != nil {
		return false, fmt.Errorf("record drift: %w", err)
	}
	return moved, nil
}
