package inventorytest

import (
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hostctl/planner"
	"hostctl/reconciler"
)

// stamps are the live states that were seen in a test, by the stamp that the inventory had.
type stamps map[string]planner.Live

func (f *fixture) stamp() reconciler.Stamp {
	f.Helper()
	st, err := f.inv.Stamp(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return st
}

// sameStamp holds a live state, which was read after one stamp and before another, against those seen before: where the
// stamp is the same, it must be the same.
func (f *fixture) sameStamp(before, after reconciler.Stamp, l planner.Live) {
	f.Helper()
	if before.Version != after.Version || !slices.Equal(before.Due, after.Due) {
		return // somebody else is at work
	}
	if before.Instance != l.Instance || before.Version != l.Version || !slices.Equal(before.Due, l.Due) {
		f.Errorf("the stamp is %+v, and Live has instance %s, version %s, due %v", before, l.Instance, l.Version, l.Due)
	}
	key := cmp.Diff(nil, before)
	if f.seen == nil {
		f.seen = stamps{}
	}
	old, ok := f.seen[key]
	l.State, l.Dirty = maps.Clone(l.State), maps.Clone(l.Dirty) // the caller may change its own
	f.seen[key] = l
	if !ok {
		return
	}
	if diff := cmp.Diff(old, l, notLately, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("the stamp is still %+v, and Live differs:\n%s", before, diff)
	}
}
