package postgres_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"hostctl/migrations"
	"hostctl/planner"
	"hostctl/reconciler/inventory/inventorytest"
	"hostctl/reconciler/inventory/record"
	"hostctl/reconciler/inventory/sqlite"
)

// A database of the first version, with data in it, is brought up to date when it is opened.
func TestMigrateWithData(t *testing.T) {
	url := newDatabase(t)
	db := stdlib.OpenDB(*connect(t, url).Config())
	defer db.Close()
	inventorytest.TestMigrate(t, goose.DialectPostgres, db, migrations.Postgres(), func() record.Store { return open(t, url) })
}

// A backup of one store is restored in the other, and back again.
func TestBackupMoves(t *testing.T) {
	file := func(s record.Store) []byte {
		t.Helper()
		name := filepath.Join(t.TempDir(), "backup")
		must(t, s.Backup(t.Context(), name))
		b, err := os.ReadFile(name)
		must(t, err)
		return b
	}
	live := func(s record.Store) planner.Live {
		t.Helper()
		l, err := s.Live(t.Context())
		must(t, err)
		l.Version, l.Lately = "", nil // a reader's own
		return l
	}
	here, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "inventory.db"))
	must(t, err)
	defer here.Close()
	inventorytest.Fill(t, here, inventorytest.Creates(inventorytest.Sites(2_000)))
	there := open(t, newDatabase(t))
	must(t, there.Restore(t.Context(), bytes.NewReader(file(here))))
	if diff := cmp.Diff(live(here), live(there)); diff != "" {
		t.Fatalf("from SQLite to PostgreSQL (-before +after):\n%s", diff)
	}
	back, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "inventory.db"))
	must(t, err)
	defer back.Close()
	must(t, back.Restore(t.Context(), bytes.NewReader(file(there))))
	if diff := cmp.Diff(live(here), live(back)); diff != "" {
		t.Fatalf("and back (-before +after):\n%s", diff)
	}
}
