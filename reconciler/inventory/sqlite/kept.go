package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

var _ reconciler.Keeper = (*Store)(nil)

// readMemory returns what plans are held against; nothing before the first run.
func readMemory(ctx context.Context, tx *sql.Tx) (m planner.Memory, err error) {
	var body []byte
	switch err := tx.QueryRowContext(ctx, sqlRemembered).Scan(&body); {
	case errors.Is(err, sql.ErrNoRows):
		return m, nil
	case err != nil:
		return m, fmt.Errorf("read what is remembered: %w", err)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("read what is remembered: %w", err)
	}
	return m, nil
}

func remember(ctx context.Context, tx *sql.Tx, m planner.Memory) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode what is remembered: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlRemember, string(body)); err != nil {
		return fmt.Errorf("write what is remembered: %w", err)
	}
	return nil
}

const (
	sqlRemembered = `SELECT body FROM remembered`
	sqlRemember   = `INSERT INTO remembered (one, body) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET body = excluded.body`
)

// rememberBegun notes what is remembered of a plan whether it is carried out well or not.
func rememberBegun(ctx context.Context, tx *sql.Tx, p planner.Plan) error {
	m, err := readMemory(ctx, tx)
	if err != nil {
		return err
	}
	return remember(ctx, tx, m.Begun(p.Remember))
}

// noteKept notes of changes that went well since when their objects are kept, and which are no longer.
func noteKept(ctx context.Context, tx *sql.Tx, cs []planner.Change, t int64) error {
	kept, freed := record.SplitKept(cs)
	for _, c := range kept {
		if _, err := tx.ExecContext(ctx, sqlKeep, c.Ref().String(), t); err != nil {
			return fmt.Errorf("note that %s is kept: %w", c.Ref(), err)
		}
	}
	if len(freed) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, sqlKeepNot, refList(freed)); err != nil {
		return fmt.Errorf("note what is no longer kept: %w", err)
	}
	return nil
}

const (
	sqlKeep    = `INSERT INTO kept (ref, since) VALUES (?, ?) ON CONFLICT (ref) DO NOTHING`
	sqlKeepNot = `DELETE FROM kept WHERE ref IN (SELECT value FROM json_each(?))`
)

// readPolicy fills in what is remembered and what is due.
func readPolicy(ctx context.Context, tx *sql.Tx, l *planner.Live) (err error) {
	if l.Memory, err = readMemory(ctx, tx); err != nil {
		return err
	}
	since, err := readKept(ctx, tx)
	if err != nil {
		return err
	}
	l.Due = record.Due(record.KeptOf(*l, since), time.Now())
	return nil
}

func readKept(ctx context.Context, tx *sql.Tx) (map[planner.Ref]time.Time, error) {
	rows, err := tx.QueryContext(ctx, sqlKept)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	since := map[planner.Ref]time.Time{}
	for rows.Next() {
		var text string
		var t int64
		if err := rows.Scan(&text, &t); err != nil {
			return nil, err
		}
		ref, err := planner.ParseRef(text)
		if err != nil {
			return nil, err
		}
		since[ref] = at(t)
	}
	return since, rows.Err()
}

const sqlKept = `SELECT ref, since FROM kept`

// Kept implements reconciler.Keeper.
func (s *Store) Kept(ctx context.Context) ([]reconciler.Kept, error) {
	live, err := s.Live(ctx)
	if err != nil {
		return nil, err
	}
	var since map[planner.Ref]time.Time
	err = s.read(ctx, func(tx *sql.Tx) (err error) {
		since, err = readKept(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is kept: %w", err)
	}
	return record.KeptOf(live, since), nil
}
