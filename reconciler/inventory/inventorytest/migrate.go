package inventorytest

import (
	"database/sql"
	"io/fs"
	"testing"

	"github.com/pressly/goose/v3"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// TestMigrate makes the tables of the first version in an empty database, with data in them, and opens that. The data
// must be there, and the inventory must work.
func TestMigrate(t *testing.T, d goose.Dialect, db *sql.DB, migrations fs.FS, open func() record.Store) {
	p, err := goose.NewProvider(d, db, migrations, goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = p.UpTo(t.Context(), 1)
	must(t, err)
	a, b := Route("a.example", "web-1"), Route("b.example", "web-1")
	statements := []string{
		`INSERT INTO meta (one, instance, version, applied) VALUES (1, '0123456789abcdef0123456789abcdef', 7, 'c0ffee')`,
		`INSERT INTO runs (id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished)
		VALUES (3, 'c0ffee', 'p', 'h', 'succeeded', '', 1, 1, 0, 1000000, 2000000, 3000000)`,
		`INSERT INTO allocations (scope, key, value, run) VALUES ('uid', 'acme', '20001', 3)`,
		`INSERT INTO objects (ref, kind, target, name, tenant, owner_kind, owner_name, file, line,
			content, hash, pending, pending_hash, version, revision, commit_id, dirty, gone, started, finished, error)
		VALUES ('` + a.Ref().String() + `', 'route', 'eu-1-lb-0', 'a.example', 'acme', 'Webroot', 'shop', 'tenants/acme/shop.yaml', 7,
			'` + string(planner.Encode(a)) + `', '` + string(planner.HashOf(a)) + `', '', '', 5, 3, 'c0ffee', '', 0, 1000000, 3000000, '')`,
	}
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		must(t, err)
	}
	s := open()
	f := &fixture{T: t, open: open, inv: s}
	f.wantLive(stateOf(a), nil)
	l := f.live()
	if l.Commit != "c0ffee" || len(l.Allocations) != 1 || l.Instance != "0123456789abcdef0123456789abcdef" {
		t.Errorf("of the old inventory there is %+v", l)
	}
	f.apply(Create(b), Delete(a))
	f.wantLive(stateOf(b), nil)
	if runs := f.runs(); len(runs) != 2 || runs[0].ID != 4 || runs[0].State != reconciler.Succeeded {
		t.Errorf("runs: %+v", runs)
	}
}
