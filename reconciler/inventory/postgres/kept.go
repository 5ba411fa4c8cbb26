package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// readMemory returns what plans are held against; nothing before the first run.
func readMemory(ctx context.Context, tx pgx.Tx) (m planner.Memory, err error) {
	var body string
	switch err := tx.QueryRow(ctx, sqlRemembered).Scan(&body); {
	case errors.Is(err, pgx.ErrNoRows):
		return m, nil
	case err != nil:
		return m, fmt.Errorf("read what is remembered: %w", err)
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return m, fmt.Errorf("read what is remembered: %w", err)
	}
	return m, nil
}

func remember(ctx context.Context, tx pgx.Tx, m planner.Memory) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode what is remembered: %w", err)
	}
	if _, err := tx.Exec(ctx, sqlRemember, string(body)); err != nil {
		return fmt.Errorf("write what is remembered: %w", err)
	}
	return nil
}

const (
	sqlRemembered = `SELECT body FROM remembered`
	sqlRemember   = `INSERT INTO remembered (one, body) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET body = excluded.body`
)

// rememberBegun notes what is remembered of a plan whether it is carried out well or not.
func rememberBegun(ctx context.Context, tx pgx.Tx, p planner.Plan) error {
	m, err := readMemory(ctx, tx)
	if err != nil {
		return err
	}
	return remember(ctx, tx, m.Begun(p.Remember))
}

// noteKept notes of changes that went well since when their objects are kept, and which are no longer.
func noteKept(ctx context.Context, tx pgx.Tx, cs []planner.Change) error {
	kept, freed := record.SplitKept(cs)
	if len(kept) > 0 {
		if _, err := tx.Exec(ctx, sqlKeep, refs(kept)); err != nil {
			return fmt.Errorf("note what is kept: %w", err)
		}
	}
	if len(freed) > 0 {
		if _, err := tx.Exec(ctx, sqlKeepNot, refs(freed)); err != nil {
			return fmt.Errorf("note what is no longer kept: %w", err)
		}
	}
	return nil
}

const (
	sqlKeep    = `INSERT INTO kept (ref, since) SELECT ref, micros() FROM unnest($1::text[]) AS ref ON CONFLICT (ref) DO NOTHING`
	sqlKeepNot = `DELETE FROM kept WHERE ref = ANY ($1::text[])`
)

// readPolicy fills in what is remembered and what is due.
func readPolicy(ctx context.Context, tx pgx.Tx, l *planner.Live) (err error) {
	if l.Memory, err = readMemory(ctx, tx); err != nil {
		return err
	}
	since, now, err := readKept(ctx, tx)
	if err != nil {
		return err
	}
	l.Due = record.Due(record.KeptOf(*l, since), now)
	return nil
}

// readKept returns since when what is kept, and the server's time.
func readKept(ctx context.Context, tx pgx.Tx) (since map[planner.Ref]time.Time, now time.Time, err error) {
	found, err := tx.Query(ctx, sqlKept)
	if err != nil {
		return nil, now, err
	}
	since = map[planner.Ref]time.Time{}
	var text string
	var t, present int64
	_, err = pgx.ForEachRow(found, []any{&text, &t, &present}, func() error {
		ref, err := planner.ParseRef(text)
		since[ref], now = at(t), at(present)
		return err
	})
	return since, now, err
}

const sqlKept = `SELECT ref, since, micros() FROM kept`

// Kept implements reconciler.Keeper.
func (s *Store) Kept(ctx context.Context) ([]reconciler.Kept, error) {
	live, err := s.Live(ctx)
	if err != nil {
		return nil, err
	}
	var since map[planner.Ref]time.Time
	err = s.read(ctx, func(tx pgx.Tx) (err error) {
		since, _, err = readKept(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is kept: %w", err)
	}
	return record.KeptOf(live, since), nil
}
