package inventorytest

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// populate makes an inventory with something of everything in it, and a run under way.
func (f *fixture) populate() {
	f.Helper()
	a, b, c := Route("a.example", "web-1"), Route("b.example", "<web>"), user("web-1-0")
	p := f.plan(Create(a), Create(b))
	p.Allocations = []planner.Allocation{{Scope: "uid", Key: "acme", Value: "20001"}}
	p.Targets = []planner.Target{{Name: "eu-1-lb-0", Address: "10.0.0.2:9443"}}
	j := f.begin(p)
	f.started(j, p.Changes...)
	f.finished(j, p.Changes...)
	f.end(j, reconciler.Succeeded)
	_, err := f.inv.SetDown(f.Context(), map[string]string{"web-1-0": "no answer"})
	f.must(err)
	f.must(f.inv.SetImages(f.Context(), map[string]string{"web": "sha256:1"}))
	_, err = f.inv.Drifted(f.Context(), []planner.Ref{a.Ref()}, "it's \"different\"")
	f.must(err)
	p = f.plan(Create(c), Update(b, a))
	j = f.begin(p)
	f.started(j, p.Changes[0])
}

// A backup that is restored is the inventory, but for the run that was under way.
func testBackup(f *fixture) {
	f.populate()
	file := filepath.Join(f.TempDir(), "it's a backup")
	f.must(f.inv.Backup(f.Context(), file))
	if err := f.inv.Backup(f.Context(), file); err == nil {
		f.Error("Backup to a file that is there succeeded")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		f.Errorf("backup: %v, %v; want mode 0600", info, err)
	}
	backup, err := os.ReadFile(file)
	f.must(err)

	want, objects := f.live(), f.objects()
	f.inv = f.fresh()
	f.must(f.inv.Restore(f.Context(), bytes.NewReader(backup)))
	got := f.live()
	if got.Version == want.Version {
		f.Errorf("the version is still %s: a reader that knew the empty inventory would see nothing", want.Version)
	}
	want.Version, got.Version = "", ""
	if diff := cmp.Diff(want, got, notLately); diff != "" {
		f.Errorf("restored (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(objects, f.objects(), cmpopts.IgnoreFields(reconciler.ObjectStatus{}, "Finished")); diff != "" {
		f.Errorf("restored objects (-want +got):\n%s", diff)
	}
	runs := f.runs()
	if len(runs) != 2 || runs[0].State != reconciler.Interrupted || runs[1].State != reconciler.Succeeded {
		f.Errorf("restored runs: %+v", runs)
	}
	if _, err := f.inv.Plan(f.Context(), runs[1].Plan); err != nil {
		f.Errorf("the plan of a restored run: %v", err)
	}
	f.apply(Create(user("web-1-0"))) // and on it goes
}

// objects is the status of every object.
func (f *fixture) objects() []reconciler.ObjectStatus {
	f.Helper()
	all, err := f.inv.Objects(f.Context())
	f.must(err)
	return all
}

func testRestoreIsStrict(f *fixture) {
	f.populate()
	file := filepath.Join(f.TempDir(), "backup")
	f.must(f.inv.Backup(f.Context(), file))
	whole, err := os.ReadFile(file)
	f.must(err)
	if err := f.inv.Restore(f.Context(), bytes.NewReader(whole)); !errors.Is(err, record.ErrNotEmpty) {
		f.Errorf("Restore into an inventory in use: %v, want ErrNotEmpty", err)
	}
	if err := f.inv.Adopt(f.Context(), strings.Repeat("0", 32), 1); !errors.Is(err, record.ErrNotEmpty) {
		f.Errorf("Adopt by an inventory in use: %v, want ErrNotEmpty", err)
	}
	inv := f.fresh()
	before, err := inv.Live(f.Context())
	f.must(err)
	text, lines := string(whole), strings.SplitAfter(string(whole), "\n")
	for name, backup := range map[string]string{
		"nothing":        "",
		"something else": "{}\n",
		"cut off":        strings.Join(lines[:len(lines)-2], ""),
		"a half line":    text[:len(text)/2],
		"a row removed":  strings.Join(append(lines[:3:3], lines[4:]...), ""),
		"another format": strings.Replace(text, `"format":1`, `"format":2`, 1),
		"another table":  strings.Replace(text, `"table":"targets"`, `"table":"elsewhere"`, 1),
		"another column": strings.Replace(text, `"holder":`, `"owner":`, 1),
	} {
		if err := inv.Restore(f.Context(), strings.NewReader(backup)); err == nil {
			f.Errorf("%s was restored", name)
		}
	}
	after, err := inv.Live(f.Context())
	f.must(err)
	if diff := cmp.Diff(before, after); diff != "" {
		f.Errorf("what was refused has left something (-before +after):\n%s", diff)
	}
	f.must(inv.Restore(f.Context(), bytes.NewReader(whole)))
}

// An inventory that was lost is made again as one of the same instance, and its runs outrank those that were lost.
func testAdopt(f *fixture) {
	const instance = "0123456789abcdef0123456789abcdef"
	for _, id := range []string{"", "x", instance + "0", strings.ToUpper(instance)} {
		if err := f.inv.Adopt(f.Context(), id, 0); err == nil {
			f.Errorf("instance %q was adopted", id)
		}
	}
	f.live() // a reader that knows the empty one
	f.must(f.inv.Adopt(f.Context(), instance, 41))
	if l := f.live(); l.Instance != instance {
		f.Errorf("instance %s, want %s", l.Instance, instance)
	}
	a := Route("a.example", "web-1")
	p := f.plan(Create(a))
	j := f.begin(p)
	if j.Run() != 42 {
		f.Errorf("run %d, want 42", j.Run())
	}
	f.started(j, p.Changes...)
	f.must(j.Finished(f.Context(), p.Changes, executors.All(1, nil)))
	f.end(j, reconciler.Succeeded)
	f.wantLive(stateOf(a), nil)
}

// CheckTables checks that a backup has every column of a database. query returns table and column of each.
func CheckTables(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(record.Tables, func(t record.Table) bool { return t.Name == table && slices.Contains(t.Columns, column) }) {
			t.Errorf("a backup would lack %s.%s: add it to record.Tables", table, column)
		}
	}
	if err := rows.Err(); err != nil || n < 40 {
		t.Errorf("found %d columns: %v", n, err)
	}
}
