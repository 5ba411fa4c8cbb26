package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

var _ reconciler.Stamper = (*Store)(nil)

// Stamp implements reconciler.Stamper. Of the objects it reads those that are kept for their data.
func (s *Store) Stamp(ctx context.Context) (st reconciler.Stamp, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		var applied string
		if err := tx.QueryRow(ctx, sqlMeta).Scan(&st.Instance, &st.Version, &applied); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		memory, err := readMemory(ctx, tx)
		if err != nil {
			return err
		}
		rows, now, err := readKeptRows(ctx, tx)
		if err != nil {
			return fmt.Errorf("what is kept: %w", err)
		}
		st.Due, err = record.DueOf(memory, rows, now)
		return err
	})
	if err != nil {
		return reconciler.Stamp{}, fmt.Errorf("read the inventory's version: %w", err)
	}
	return st, nil
}

// readKeptRows returns what is noted as kept, and the server's time.
func readKeptRows(ctx context.Context, tx pgx.Tx) (out []record.KeptRow, now time.Time, err error) {
	found, err := tx.Query(ctx, sqlKeptRows)
	if err != nil {
		return nil, now, err
	}
	var r record.KeptRow
	var t, present int64
	_, err = pgx.ForEachRow(found, []any{&r.Ref, &r.Content, &t, &present}, func() error {
		r.Since, now = at(t), at(present)
		out = append(out, r)
		return nil
	})
	return out, now, err
}

const sqlKeptRows = `SELECT kept.ref, objects.content, kept.since, micros() FROM kept JOIN objects ON objects.ref = kept.ref`
