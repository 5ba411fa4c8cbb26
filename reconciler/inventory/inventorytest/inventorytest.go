// Package inventorytest is the suite that every implementation of reconciler.Inventory passes.
package inventorytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// Test runs the suite. fresh makes a new, empty inventory; each call of what it returns opens that one again, as another
// process would, while those opened before stay open. Opened inventories are closed when t ends.
func Test(t *testing.T, fresh func(testing.TB) (open func() record.Store)) {
	for _, tt := range []struct {
		name string
		test func(*fixture)
	}{
		{"Empty", testEmpty},
		{"Create", testCreate},
		{"UpdateAndDelete", testUpdateAndDelete},
		{"TwoChangesOfOneObject", testTwoChanges},
		{"Failure", testFailure},
		{"Blocked", testBlocked},
		{"HalfCreated", testHalfCreated},
		{"CompareAndSet", testCompareAndSet},
		{"JournalIsStrict", testJournalIsStrict},
		{"Lock", testLock},
		{"Fencing", testFencing},
		{"LeaseIsRenewed", testLeaseIsRenewed},
		{"DeadHolder", testDeadHolder},
		{"RaceForLock", testRaceForLock},
		{"Stale", testStale},
		{"Instance", testInstance},
		{"Allocations", testAllocations},
		{"Gone", testGone},
		{"ReplacedContainer", testReplacedContainer},
		{"HalfReplacedContainer", testHalfReplacedContainer},
		{"DeletedContainer", testDeletedContainer},
		{"GoneDuringARun", testGoneDuringARun},
		{"Drifted", testDrifted},
		{"Unmanaged", testUnmanaged},
		{"DownAndImages", testDownAndImages},
		{"Released", testReleased},
		{"EndOfRun", testEndOfRun},
		{"Targets", testTargets},
		{"TwoReaders", testTwoReaders},
		{"DoneContext", testDoneContext},
		{"Reopen", testReopen},
		{"ReadersDuringARun", testReadersDuringARun},
		{"Backup", testBackup},
		{"RestoreIsStrict", testRestoreIsStrict},
		{"Adopt", testAdopt},
		{"Memory", testMemory},
		{"Kept", testKept},
		{"Secrets", testSecrets},
		{"Pages", testPages},
	} {
		t.Run(tt.name, func(t *testing.T) {
			open := fresh(t)
			f := &fixture{T: t, open: open, inv: open(), fresh: func() record.Store { return fresh(t)() }}
			tt.test(f)
			CheckStatus(t, f.inv)
		})
	}
}

// fixture is an inventory under test.
type fixture struct {
	*testing.T
	open  func() record.Store
	inv   record.Store
	fresh func() record.Store // another one, empty
	seen  stamps
}

func (f *fixture) live() planner.Live {
	f.Helper()
	before := f.stamp()
	l, err := f.inv.Live(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.sameStamp(before, f.stamp(), l)
	return l
}

// plan makes a plan of changes against what is live, which get their numbers here.
func (f *fixture) plan(cs ...planner.Change) planner.Plan {
	f.Helper()
	l := f.live()
	for i := range cs {
		cs[i].ID = i + 1
	}
	return planner.Plan{
		Format: planner.PlanFormat, Instance: l.Instance, Base: l.Version, Changes: cs,
		Commit: "c0ffee" + l.Version,
	}
}

func (f *fixture) begin(p planner.Plan) reconciler.Journal {
	f.Helper()
	return f.beginAs(p, reconciler.Holder{Name: "test"})
}

func (f *fixture) beginAs(p planner.Plan, by reconciler.Holder) reconciler.Journal {
	f.Helper()
	j, err := f.inv.Begin(f.Context(), p, by)
	if err != nil {
		f.Fatal(err)
	}
	return j
}

func (f *fixture) started(j reconciler.Journal, cs ...planner.Change) {
	f.Helper()
	f.must(j.Started(f.Context(), cs))
}

func (f *fixture) finished(j reconciler.Journal, cs ...planner.Change) {
	f.Helper()
	f.must(j.Finished(f.Context(), cs, executors.All(len(cs), nil)))
}

func (f *fixture) end(j reconciler.Journal, outcome reconciler.RunState) {
	f.Helper()
	f.must(j.End(f.Context(), outcome, ""))
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// apply makes changes in a run of their own, one after the other.
func (f *fixture) apply(cs ...planner.Change) {
	f.Helper()
	p := f.plan(cs...)
	j := f.begin(p)
	for _, c := range p.Changes {
		f.started(j, c)
		f.finished(j, c)
	}
	f.end(j, reconciler.Succeeded)
}

// wantLive compares what the next plan is made against.
func (f *fixture) wantLive(state planner.State, dirty map[planner.Ref]planner.Reason) {
	f.Helper()
	l := f.live()
	if diff := cmp.Diff(state, l.State, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("state (-want +got):\n%s", diff)
	}
	ignoreText := cmpopts.IgnoreFields(planner.Reason{}, "Text")
	if diff := cmp.Diff(dirty, l.Dirty, cmpopts.EquateEmpty(), ignoreText); diff != "" {
		f.Errorf("dirty (-want +got):\n%s", diff)
	}
	for ref, r := range l.Dirty {
		if r.Text == "" {
			f.Errorf("no text says why %s is dirty", ref)
		}
	}
}

func (f *fixture) status(ref planner.Ref) reconciler.ObjectStatus {
	f.Helper()
	all, err := f.inv.Objects(f.Context())
	f.must(err)
	i := slices.IndexFunc(all, func(o reconciler.ObjectStatus) bool { return o.Ref == ref })
	if i < 0 {
		f.Fatalf("no status of %s", ref)
	}
	return all[i]
}

func (f *fixture) runs() []reconciler.Run {
	f.Helper()
	runs, err := f.inv.Runs(f.Context(), 100)
	f.must(err)
	return runs
}

func (f *fixture) changes(run int64) []reconciler.ChangeStatus {
	f.Helper()
	cs, err := f.inv.Changes(f.Context(), run)
	f.must(err)
	return cs
}

// CheckStatus checks what must hold of every status at any time; see reconciler.Impossible.
func CheckStatus(t testing.TB, inv reconciler.Inventory) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	const every = 1_000_000
	found, err := reconciler.Impossible(ctx, inv, every)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range found {
		t.Error(text)
	}
	objects, err := inv.Objects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(objects, func(a, b reconciler.ObjectStatus) int { return a.Ref.Compare(b.Ref) }) {
		t.Error("objects aren't in the order of their references")
	}
}

// Objects and changes to test with.

func meta(target, name string) planner.Meta {
	return planner.Meta{Target: target, Name: name, From: planner.Owner{
		Tenant: "acme", Kind: "Webroot", Name: "shop", File: "tenants/acme/shop.yaml", Line: 7,
	}}
}

// Route is an object to test with: a host name and what it leads to.
func Route(name, backend string) planner.Object {
	return planner.Route{Meta: meta("eu-1-lb-0", name), Backend: backend}
}

func vhost() planner.Object {
	m := meta("web-1-0", "shop")
	m.On = []planner.Ref{{Kind: planner.KindUser, Target: "web-1-0", Name: "acme"}}
	return planner.Vhost{Meta: m, Tenant: "acme", Site: "shop", Hostnames: []string{"shop.example"}}
}

func user(node string) planner.Object {
	return planner.User{Meta: meta(node, "acme"), Login: "t-acme", UID: 20001}
}

func container(node, image string) planner.Object {
	return planner.Container{Meta: meta("host-1", node), Role: "web", Cluster: "eu-1", Image: image}
}

// Create is a change that makes an object which isn't there.
func Create(o planner.Object) planner.Change {
	return planner.Change{Action: planner.Create, New: o, Why: "declared"}
}

// Update is a change that turns one content of an object into another.
func Update(from, to planner.Object) planner.Change {
	return planner.Change{Action: planner.Update, Old: from, New: to, Expect: planner.HashOf(from), Why: "changed"}
}

// Delete is a change that removes an object.
func Delete(o planner.Object) planner.Change {
	return planner.Change{Action: planner.Delete, Old: o, Expect: planner.HashOf(o), Why: "no longer declared"}
}

func stateOf(os ...planner.Object) planner.State {
	s := planner.State{}
	for _, o := range os {
		s[o.Ref()] = o
	}
	return s
}

func isConflict(err error) bool { return executors.KindOf(err) == executors.Conflict }

func isLocked(err error) bool {
	var locked *reconciler.LockedError
	return errors.As(err, &locked)
}

// overAtOnce is a lease that nobody can keep.
const overAtOnce = time.Nanosecond

// many returns n routes, all leading to one backend.
func many(n int, backend string) []planner.Object {
	os := make([]planner.Object, n)
	for i := range os {
		os[i] = Route(fmt.Sprintf("site-%06d.example", i), backend)
	}
	return os
}
