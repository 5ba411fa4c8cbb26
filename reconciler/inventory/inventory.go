// Package inventory is the record of what is really there: who owns it, what was started and not finished, and the
// decisions that must not be made twice. It stands in PostgreSQL (inventory/postgres) or in one SQLite file
// (inventory/sqlite); the two pass one suite (inventorytest) and share what is no SQL (inventory/record).
package inventory

import (
	"context"

	"hostctl/reconciler/inventory/record"
	"hostctl/reconciler/inventory/sqlite"
)

// Store is an inventory in one of the stores. It may be used by several goroutines, and what it stands in by several
// processes.
type Store struct{ record.Store }

// Open opens the inventory in a file, makes it if there is none, and brings its tables up to date. A run whose holder
// has died is ended as interrupted.
func Open(ctx context.Context, file string) (*Store, error) {
	s, err := sqlite.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	return &Store{s}, nil
}
