package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler"
)

// Runs implements reconciler.Inventory.
func (s *Store) Runs(ctx context.Context, limit int) ([]reconciler.Run, error) {
	runs, err := query(ctx, s, func(row pgx.CollectableRow) (r reconciler.Run, err error) {
		var started, deadline, finished int64
		err = row.Scan(&r.ID, &r.Commit, &r.Plan, &r.Holder, &r.State, &r.Message, &r.Changes, &r.Done, &r.Failed,
			&started, &deadline, &finished)
		r.Started, r.Deadline, r.Finished = at(started), at(deadline), at(finished)
		return r, err
	}, sqlRuns, limit)
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
	changes, err := query(ctx, s, func(row pgx.CollectableRow) (c reconciler.ChangeStatus, err error) {
		var ref string
		var started, finished int64
		if err := row.Scan(&c.ID, &ref, &c.Action, &c.State, &c.Error, &started, &finished); err != nil {
			return c, err
		}
		c.Started, c.Finished = at(started), at(finished)
		c.Ref, err = planner.ParseRef(ref)
		return c, err
	}, sqlChanges, run)
	if err != nil {
		return nil, fmt.Errorf("read changes of run %d: %w", run, err)
	}
	return changes, nil
}

const sqlChanges = `SELECT id, ref, action, state, error, started, finished FROM changes WHERE run = $1 ORDER BY id`

// Objects implements reconciler.Inventory.
func (s *Store) Objects(ctx context.Context) ([]reconciler.ObjectStatus, error) {
	objects, err := query(ctx, s, func(row pgx.CollectableRow) (o reconciler.ObjectStatus, err error) {
		var started, finished int64
		err = row.Scan(&o.Ref.Kind, &o.Ref.Target, &o.Ref.Name,
			&o.Owner.Tenant, &o.Owner.Kind, &o.Owner.Name, &o.Owner.File, &o.Owner.Line,
			&o.Hash, &o.Revision, &o.Commit, &o.Dirty, &started, &finished, &o.Error)
		o.Started, o.Finished = at(started), at(finished)
		return o, err
	}, sqlObjects)
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
