// Package inventory is the record of what is really there: who owns it, what was started and not finished, and the
// decisions that must not be made twice. It stands in PostgreSQL (inventory/postgres) or in one SQLite file
// (inventory/sqlite); the two pass one suite (inventorytest) and share what is no SQL (inventory/record).
package inventory

import (
	"context"
	"fmt"
	"strings"

	"hostctl/reconciler"
	"hostctl/reconciler/inventory/postgres"
	"hostctl/reconciler/inventory/record"
	"hostctl/reconciler/inventory/sqlite"
)

// Store is an inventory in one of the stores. It may be used by several goroutines, and what it stands in by several
// processes.
type Store struct{ record.Store }

// Open opens the inventory in a file, made if there is none, or in a database by its URL, postgres://…, and brings its
// tables up to date. A run whose holder has died is ended as interrupted. No password is in what it returns.
func Open(ctx context.Context, name string) (*Store, error) {
	var s record.Store
	var err error
	scheme, _, isURL := strings.Cut(name, "://")
	switch {
	case postgres.IsURL(name):
		s, err = postgres.Open(ctx, name)
	case isURL:
		err = fmt.Errorf("open inventory: no store is called %s://; want postgres://USER@HOST:PORT/DATABASE, or a file", scheme)
	default:
		s, err = sqlite.Open(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	return &Store{s}, nil
}

// IsURL reports whether Open takes a name for that of a database, and not of a file.
func IsURL(name string) bool { return strings.Contains(name, "://") }

var _ reconciler.Watcher = (*Store)(nil)

// Watch implements reconciler.Watcher. Of changes in a file nobody tells.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	if w, ok := s.Store.(reconciler.Watcher); ok {
		return w.Watch(ctx, changed)
	}
	<-ctx.Done()
	return nil
}
