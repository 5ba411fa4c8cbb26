package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pressly/goose/v3"

	"hostctl/migrations"
	"hostctl/planner"
	"hostctl/reconciler/inventory/inventorytest"
	"hostctl/reconciler/inventory/record"
	"hostctl/reconciler/inventory/sqlite"
)

func TestMain(m *testing.M) {
	inventorytest.Child(openStore)
	os.Exit(m.Run())
}

func openStore(ctx context.Context, file string) (record.Store, error) { return sqlite.Open(ctx, file) }

func TestConformance(t *testing.T) { inventorytest.Test(t, fresh) }

func TestKilled(t *testing.T) {
	inventorytest.TestKilled(t, openStore, filepath.Join(t.TempDir(), "inventory.db"))
}

func Benchmark(b *testing.B) { inventorytest.Benchmark(b, fresh) }

func fresh(t testing.TB) func() record.Store {
	file := filepath.Join(t.TempDir(), "inventory ?#%20.db")
	return func() record.Store { return open(t, file) }
}

func open(t testing.TB, file string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// The tables know by kind what the planner knows by object.
func TestInsideKinds(t *testing.T) {
	for _, kind := range planner.Ladder {
		o, err := planner.Decode(fmt.Appendf(nil, `{"ref":"%s/web-1-0/x","owner":{"kind":"Shard","name":"web-1"},"spec":{}}`, kind))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Contains(record.InsideKinds, kind), planner.InContainer("web-1-0", o); got != want {
			t.Errorf("%s is in a container: %v, the planner says %v", kind, got, want)
		}
	}
}

// A backup has every table and column but the removals, which a store that is made anew has no use for.
func TestBackupIsWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.db")
	open(t, file)
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	inventorytest.CheckTables(t, db, `
		SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT IN ('goose_db_version', 'removals')`)
}

// A file of the first version, with data in it, is brought up to date when it is opened.
func TestMigrateWithData(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	inventorytest.TestMigrate(t, goose.DialectSQLite3, db, migrations.SQLite(), func() record.Store { return open(t, file) })
}

// Every statement is one that the tables can answer.
func TestStatementsPrepare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.db")
	open(t, file)
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	statements := inventorytest.Statements(t)
	for name, text := range statements {
		stmt, err := db.PrepareContext(t.Context(), text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := stmt.Close(); err != nil {
			t.Error(err)
		}
	}
}
