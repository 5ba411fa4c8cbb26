package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"hostctl/reconciler"
)

// Runs implements reconciler.Inventory.
func (s *Store) Runs(ctx context.Context, limit int) ([]reconciler.Run, error) {
	runs, err := query(ctx, s, scanRun, sqlRuns, limit)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}

const sqlRuns = `
	SELECT id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished
	FROM runs ORDER BY id DESC LIMIT $1`

// Changes implements reconciler.Inventory.
func (s *Store) Changes(ctx context.Context, run int64) ([]reconciler.ChangeStatus, error) {
	changes, err := query(ctx, s, scanChange, sqlChanges, run)
	if err != nil {
		return nil, fmt.Errorf("read changes of run %d: %w", run, err)
	}
	return changes, nil
}

const sqlChanges = `SELECT id, ref, action, state, error, started, finished FROM changes WHERE run = $1 ORDER BY id`

// Objects implements reconciler.Inventory.
func (s *Store) Objects(ctx context.Context) ([]reconciler.ObjectStatus, error) {
	objects, err := query(ctx, s, scanObject, sqlObjects)
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	slices.SortFunc(objects, func(a, b reconciler.ObjectStatus) int { return a.Ref.Compare(b.Ref) })
	return objects, nil
}

const sqlObjects = `
	SELECT kind, target, name, tenant, owner_kind, owner_name, file, line,
		hash, revision, commit_id, dirty, started, finished, error
	FROM objects`

// query runs a statement and reads its rows.
func query[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], statement string, args ...any) ([]T, error) {
	found, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.AppendRows([]T(nil), found, scan)
}
