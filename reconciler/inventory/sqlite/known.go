package sqlite

import (
	"context"
	"database/sql"

	"hostctl/reconciler/inventory/record"
)

// rows implements record.Rows.
type rows struct{ tx *sql.Tx }

// Removed implements record.Rows.
func (r rows) Removed(ctx context.Context, version int64, forget func(string) error) error {
	found, err := r.tx.QueryContext(ctx, sqlRemovals, version)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var ref string
		if err := found.Scan(&ref); err != nil {
			return err
		}
		if err := forget(ref); err != nil {
			return err
		}
	}
	return found.Err()
}

const sqlRemovals = `SELECT ref FROM removals WHERE version > ?`

// Changed implements record.Rows.
func (r rows) Changed(ctx context.Context, version int64, pass func([]record.Row) error) error {
	statement, args := sqlChangedObjects, []any{version}
	if version < 0 {
		statement, args = sqlAllObjects, nil // by the table, where an index would lead back and forth
	}
	return r.passRows(ctx, pass, statement, args...)
}

// passRows passes the rows that a statement finds, some at a time.
func (r rows) passRows(ctx context.Context, pass func([]record.Row) error, statement string, args ...any) error {
	found, err := r.tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	batch := make([]record.Row, 0, record.RowsAtOnce)
	for found.Next() {
		var o record.Row
		if err := found.Scan(&o.Ref, &o.Content, &o.Pending, &o.Dirty, &o.Error, &o.Gone); err != nil {
			return err
		}
		if batch = append(batch, o); len(batch) < record.RowsAtOnce {
			continue
		}
		if err := pass(batch); err != nil {
			return err
		}
		batch = make([]record.Row, 0, record.RowsAtOnce)
	}
	if err := found.Err(); err != nil {
		return err
	}
	return pass(batch)
}

const (
	sqlAllObjects     = `SELECT ref, content, pending, dirty, error, gone FROM objects`
	sqlChangedObjects = `SELECT ref, content, pending, dirty, error, gone FROM objects WHERE version > ?`
)
