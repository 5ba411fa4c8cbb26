package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// ObjectPage implements reconciler.Pager.
func (s *Store) ObjectPage(ctx context.Context, q reconciler.ObjectQuery) ([]reconciler.ObjectStatus, error) {
	statement, args := sqlObjectPage, []any{q.After, string(q.Kind), q.Dirty, q.Limit}
	if !q.All {
		statement, args = sqlObjectPageOf, append(args, q.Tenant)
	}
	objects, err := query(ctx, s, scanObject, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return objects, nil
}

const (
	sqlObjectPage = sqlObjects + `
	WHERE ref > $1 AND ($2::text = '' OR kind = $2) AND (NOT $3::boolean OR dirty <> '') ORDER BY ref LIMIT $4`
	sqlObjectPageOf = sqlObjects + `
	WHERE tenant = $5 AND tenant <> '' AND ref > $1 AND ($2::text = '' OR kind = $2) AND (NOT $3::boolean OR dirty <> '') ORDER BY ref LIMIT $4`
)

// ObjectsNamed implements reconciler.Pager.
func (s *Store) ObjectsNamed(ctx context.Context, refs []planner.Ref) ([]reconciler.ObjectStatus, error) {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = r.String()
	}
	objects, err := query(ctx, s, scanObject, sqlObjectsNamed, names)
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return objects, nil
}

const sqlObjectsNamed = sqlObjects + ` WHERE ref = ANY ($1::text[])`

// RunPage implements reconciler.Pager.
func (s *Store) RunPage(ctx context.Context, w reconciler.Whose, before int64, limit int) ([]reconciler.Run, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	statement, args := sqlRunPage, []any{before, limit}
	if !w.All {
		statement, args = sqlRunPageOf, append(args, w.Tenant)
	}
	runs, err := query(ctx, s, scanRun, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}

const (
	sqlRunPage = `
	SELECT id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished
	FROM runs WHERE id < $1 ORDER BY id DESC LIMIT $2`
	sqlRunPageOf = `
	SELECT runs.id, commit_id, plan, holder, runs.state, message, count(*),
		count(*) FILTER (WHERE changes.state = 'done'), count(*) FILTER (WHERE changes.state = 'failed'),
		runs.started, deadline, runs.finished
	FROM changes JOIN runs ON runs.id = changes.run
	WHERE changes.tenant = $3 AND changes.tenant <> '' AND changes.run < $1
	GROUP BY runs.id ORDER BY runs.id DESC LIMIT $2`
)

// ChangePage implements reconciler.Pager.
func (s *Store) ChangePage(ctx context.Context, w reconciler.Whose, run int64, skip, limit int) ([]reconciler.ChangeStatus, error) {
	changes, err := query(ctx, s, scanChange, sqlChangePage, run, w.All, w.Tenant, limit, skip)
	if err != nil {
		return nil, fmt.Errorf("read changes of run %d: %w", run, err)
	}
	return changes, nil
}

const sqlChangePage = `
	SELECT id, ref, action, state, error, started, finished FROM changes
	WHERE run = $1 AND ($2::boolean OR tenant <> '' AND tenant = $3) ORDER BY id LIMIT $4 OFFSET $5`

// LiveOf implements reconciler.Pager.
func (s *Store) LiveOf(ctx context.Context, kinds ...planner.Kind) (planner.Live, error) {
	l := planner.Live{Down: map[string]string{}}
	err := s.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, sqlMeta).Scan(&l.Instance, &l.Version, &l.Commit); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		var known record.Known // of this reading
		if err := known.Read(ctx, rowsOf{rows{tx}, kinds}, &l); err != nil {
			return fmt.Errorf("objects: %w", err)
		}
		if err := readPolicy(ctx, tx, &l); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
		return readPairs(ctx, tx, sqlDown, l.Down)
	})
	if err != nil {
		return planner.Live{}, fmt.Errorf("read live state: %w", err)
	}
	return l, nil
}

// rowsOf is the rows of some kinds.
type rowsOf struct {
	rows
	kinds []planner.Kind
}

// Changed implements record.Rows.
func (r rowsOf) Changed(ctx context.Context, _ int64, pass func([]record.Row) error) error {
	names := make([]string, len(r.kinds))
	for i, k := range r.kinds {
		names[i] = string(k)
	}
	return r.passRows(ctx, pass, sqlObjectsOf, names)
}

const sqlObjectsOf = `
	SELECT ref, content, pending, dirty, error, gone FROM objects WHERE kind = ANY ($1::text[])`

// Count implements reconciler.Pager.
func (s *Store) Count(ctx context.Context, w reconciler.Whose) (objects, dirty int, err error) {
	if err := s.pool.QueryRow(ctx, sqlCount, w.All, w.Tenant).Scan(&objects, &dirty); err != nil {
		return 0, 0, fmt.Errorf("count objects: %w", err)
	}
	return objects, dirty, nil
}

const sqlCount = `
	SELECT count(*), count(*) FILTER (WHERE dirty <> '') FROM objects WHERE $1::boolean OR tenant <> '' AND tenant = $2`

func scanObject(row pgx.CollectableRow) (o reconciler.ObjectStatus, err error) {
	var started, finished int64
	err = row.Scan(&o.Ref.Kind, &o.Ref.Target, &o.Ref.Name,
		&o.Owner.Tenant, &o.Owner.Kind, &o.Owner.Name, &o.Owner.File, &o.Owner.Line,
		&o.Hash, &o.Revision, &o.Commit, &o.Dirty, &started, &finished, &o.Error)
	o.Started, o.Finished = at(started), at(finished)
	return o, err
}

func scanRun(row pgx.CollectableRow) (r reconciler.Run, err error) {
	var started, deadline, finished int64
	err = row.Scan(&r.ID, &r.Commit, &r.Plan, &r.Holder, &r.State, &r.Message, &r.Changes, &r.Done, &r.Failed,
		&started, &deadline, &finished)
	r.Started, r.Deadline, r.Finished = at(started), at(deadline), at(finished)
	return r, err
}

func scanChange(row pgx.CollectableRow) (c reconciler.ChangeStatus, err error) {
	var ref string
	var started, finished int64
	if err := row.Scan(&c.ID, &ref, &c.Action, &c.State, &c.Error, &started, &finished); err != nil {
		return c, err
	}
	c.Started, c.Finished = at(started), at(finished)
	c.Ref, err = planner.ParseRef(ref)
	return c, err
}
