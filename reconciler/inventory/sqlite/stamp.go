package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

var _ reconciler.Stamper = (*Store)(nil)

// Stamp implements reconciler.Stamper. Of the objects it reads those that are kept for their data.
func (s *Store) Stamp(ctx context.Context) (st reconciler.Stamp, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		var applied string
		if err := tx.QueryRowContext(ctx, sqlMeta).Scan(&st.Instance, &st.Version, &applied); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		memory, err := readMemory(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := readKeptRows(ctx, tx)
		if err != nil {
			return fmt.Errorf("what is kept: %w", err)
		}
		st.Due, err = record.DueOf(memory, rows, time.Now())
		return err
	})
	if err != nil {
		return reconciler.Stamp{}, fmt.Errorf("read the inventory's version: %w", err)
	}
	return st, nil
}

func readKeptRows(ctx context.Context, tx *sql.Tx) ([]record.KeptRow, error) {
	rows, err := tx.QueryContext(ctx, sqlKeptRows)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []record.KeptRow
	for rows.Next() {
		var r record.KeptRow
		var t int64
		if err := rows.Scan(&r.Ref, &r.Content, &t); err != nil {
			return nil, err
		}
		r.Since = at(t)
		out = append(out, r)
	}
	return out, rows.Err()
}

const sqlKeptRows = `SELECT kept.ref, objects.content, kept.since FROM kept JOIN objects ON objects.ref = kept.ref`
