package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// ObjectPage implements reconciler.Pager.
func (s *Store) ObjectPage(ctx context.Context, q reconciler.ObjectQuery) ([]reconciler.ObjectStatus, error) {
	statement, args := sqlObjectPage, []any{q.After, string(q.Kind), string(q.Kind), q.Dirty, q.Limit}
	if !q.All {
		statement, args = sqlObjectPageOf, append([]any{q.Tenant}, args...)
	}
	objects, err := query(ctx, s.r, scanObject, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return objects, nil
}

const (
	sqlObjectPage   = sqlObjects + ` WHERE ref > ? AND (? = '' OR kind = ?) AND (NOT ? OR dirty <> '') ORDER BY ref LIMIT ?`
	sqlObjectPageOf = sqlObjects + ` WHERE tenant = ? AND tenant <> '' AND ref > ? AND (? = '' OR kind = ?) AND (NOT ? OR dirty <> '') ORDER BY ref LIMIT ?`
)

// ObjectsNamed implements reconciler.Pager.
func (s *Store) ObjectsNamed(ctx context.Context, refs []planner.Ref) ([]reconciler.ObjectStatus, error) {
	names, err := json.Marshal(refs)
	if err != nil {
		return nil, err
	}
	objects, err := query(ctx, s.r, scanObject, sqlObjectsNamed, string(names))
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return objects, nil
}

const sqlObjectsNamed = sqlObjects + ` WHERE ref IN (SELECT value FROM json_each(?))`

// RunPage implements reconciler.Pager.
func (s *Store) RunPage(ctx context.Context, w reconciler.Whose, before int64, limit int) ([]reconciler.Run, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	statement, args := sqlRunPage, []any{before, limit}
	if !w.All {
		statement, args = sqlRunPageOf, []any{w.Tenant, before, limit}
	}
	runs, err := query(ctx, s.r, scanRun, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}

const (
	sqlRunPage = `
	SELECT id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished
	FROM runs WHERE id < ? ORDER BY id DESC LIMIT ?`
	sqlRunPageOf = `
	SELECT runs.id, commit_id, plan, holder, runs.state, message, count(*), sum(changes.state = 'done'), sum(changes.state = 'failed'),
		runs.started, deadline, runs.finished
	FROM changes JOIN runs ON runs.id = changes.run
	WHERE changes.tenant = ? AND changes.tenant <> '' AND changes.run < ?
	GROUP BY runs.id ORDER BY runs.id DESC LIMIT ?`
)

// ChangePage implements reconciler.Pager.
func (s *Store) ChangePage(ctx context.Context, w reconciler.Whose, run int64, skip, limit int) ([]reconciler.ChangeStatus, error) {
	changes, err := query(ctx, s.r, scanChange, sqlChangePage, run, w.All, w.Tenant, limit, skip)
	if err != nil {
		return nil, fmt.Errorf("read changes of run %d: %w", run, err)
	}
	return changes, nil
}

const sqlChangePage = `
	SELECT id, ref, action, state, error, started, finished FROM changes
	WHERE run = ? AND (? OR tenant <> '' AND tenant = ?) ORDER BY id LIMIT ? OFFSET ?`

// LiveOf implements reconciler.Pager.
func (s *Store) LiveOf(ctx context.Context, kinds ...planner.Kind) (planner.Live, error) {
	l := planner.Live{Down: map[string]string{}}
	err := s.read(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, sqlMeta).Scan(&l.Instance, &l.Version, &l.Commit); err != nil {
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
	names, err := json.Marshal(r.kinds)
	if err != nil {
		return err
	}
	return r.passRows(ctx, pass, sqlObjectsOf, string(names))
}

const sqlObjectsOf = `
	SELECT ref, content, pending, dirty, error, gone FROM objects WHERE kind IN (SELECT value FROM json_each(?))`

// Count implements reconciler.Pager.
func (s *Store) Count(ctx context.Context, w reconciler.Whose) (objects, dirty int, err error) {
	statement, args := sqlCount, []any(nil)
	if !w.All {
		statement, args = sqlCountOf, []any{w.Tenant}
	}
	if err := s.r.QueryRowContext(ctx, statement, args...).Scan(&objects, &dirty); err != nil {
		return 0, 0, fmt.Errorf("count objects: %w", err)
	}
	return objects, dirty, nil
}

const (
	sqlCount   = `SELECT count(*), coalesce(sum(dirty <> ''), 0) FROM objects`
	sqlCountOf = `SELECT count(*), coalesce(sum(dirty <> ''), 0) FROM objects WHERE tenant = ? AND tenant <> ''`
)

func scanObject(rows *sql.Rows) (o reconciler.ObjectStatus, err error) {
	var started, finished int64
	err = rows.Scan(&o.Ref.Kind, &o.Ref.Target, &o.Ref.Name,
		&o.Owner.Tenant, &o.Owner.Kind, &o.Owner.Name, &o.Owner.File, &o.Owner.Line,
		&o.Hash, &o.Revision, &o.Commit, &o.Dirty, &started, &finished, &o.Error)
	o.Started, o.Finished = at(started), at(finished)
	return o, err
}

func scanRun(rows *sql.Rows) (r reconciler.Run, err error) {
	var started, deadline, finished int64
	err = rows.Scan(&r.ID, &r.Commit, &r.Plan, &r.Holder, &r.State, &r.Message, &r.Changes, &r.Done, &r.Failed,
		&started, &deadline, &finished)
	r.Started, r.Deadline, r.Finished = at(started), at(deadline), at(finished)
	return r, err
}

func scanChange(rows *sql.Rows) (c reconciler.ChangeStatus, err error) {
	var ref string
	var started, finished int64
	if err := rows.Scan(&c.ID, &ref, &c.Action, &c.State, &c.Error, &started, &finished); err != nil {
		return c, err
	}
	c.Started, c.Finished = at(started), at(finished)
	c.Ref, err = planner.ParseRef(ref)
	return c, err
}
