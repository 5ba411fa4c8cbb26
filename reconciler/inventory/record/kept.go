package record

import (
	"fmt"
	"slices"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
)

// KeptOf tells what of the live state is kept, ordered by reference; since has all that was noted as kept.
func KeptOf(l planner.Live, since map[planner.Ref]time.Time) []reconciler.Kept {
	var all []reconciler.Kept
	for ref, t := range since {
		o := l.State[ref]
		if o == nil || !planner.IsKept(o) {
			continue
		}
		k := reconciler.Kept{Ref: ref, Owner: o.Owner(), Since: t}
		if planner.Purgeable(o) {
			k.Until = k.Since.Add(l.Memory.KeepOf(ref.Kind))
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b reconciler.Kept) int { return a.Ref.Compare(b.Ref) })
	return all
}

// Due returns what of that has been kept for long enough.
func Due(kept []reconciler.Kept, now time.Time) []planner.Ref {
	var due []planner.Ref
	for _, k := range kept {
		if !k.Until.IsZero() && !now.Before(k.Until) {
			due = append(due, k.Ref)
		}
	}
	return due
}

// SplitKept returns the changes after which an object is kept, and those after which it no longer is.
func SplitKept(cs []planner.Change) (kept, freed []planner.Change) {
	for _, c := range cs {
		switch {
		case c.New != nil && planner.IsKept(c.New):
			kept = append(kept, c)
		case c.Old != nil && planner.IsKept(c.Old):
			freed = append(freed, c)
		}
	}
	return kept, freed
}

// KeptRow is an object that is noted as kept, as it is stored.
type KeptRow struct {
	Ref, Content string // planner.Encode's, "" for none
	Since        time.Time
}

// DueOf returns what is due, from the rows of what is kept alone.
func DueOf(m planner.Memory, rows []KeptRow, now time.Time) ([]planner.Ref, error) {
	l := planner.Live{State: planner.State{}, Memory: m}
	since := map[planner.Ref]time.Time{}
	for _, r := range rows {
		ref, err := planner.ParseRef(r.Ref)
		if err != nil {
			return nil, err
		}
		since[ref] = r.Since
		if r.Content == "" {
			continue
		}
		if l.State[ref], err = planner.Decode([]byte(r.Content)); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Ref, err)
		}
	}
	return Due(KeptOf(l, since), now), nil
}
