package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
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
	var kept, other []planner.Change
	for _, c := range cs {
		switch {
		case c.New != nil && planner.IsKept(c.New):
			kept = append(kept, c)
		case c.Old != nil && planner.IsKept(c.Old):
			other = append(other, c)
		}
	}
	for _, c := range kept {
		if _, err := tx.ExecContext(ctx, sqlKeep, c.Ref().String(), t); err != nil {
			return fmt.Errorf("note that %s is kept: %w", c.Ref(), err)
		}
	}
	if len(other) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, sqlKeepNot, refList(other)); err != nil {
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
	return eachKept(ctx, tx, *l, func(k reconciler.Kept) {
		if !k.Until.IsZero() && !time.Now().Before(k.Until) {
			l.Due = append(l.Due, k.Ref)
		}
	})
}

// eachKept calls fn for what is kept, ordered by reference.
func eachKept(ctx context.Context, tx *sql.Tx, l planner.Live, fn func(reconciler.Kept)) error {
	rows, err := tx.QueryContext(ctx, sqlKept)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var all []reconciler.Kept
	for rows.Next() {
		var text string
		var since int64
		if err := rows.Scan(&text, &since); err != nil {
			return err
		}
		ref, err := planner.ParseRef(text)
		if err != nil {
			return err
		}
		o := l.State[ref]
		if o == nil || !planner.IsKept(o) {
			continue
		}
		k := reconciler.Kept{Ref: ref, Owner: o.Owner(), Since: at(since)}
		if planner.Purgeable(o) {
			k.Until = k.Since.Add(l.Memory.KeepOf(ref.Kind))
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b reconciler.Kept) int { return a.Ref.Compare(b.Ref) })
	for _, k := range all {
		fn(k)
	}
	return rows.Err()
}

const sqlKept = `SELECT ref, since FROM kept`

// Kept implements reconciler.Keeper.
func (s *Store) Kept(ctx context.Context) ([]reconciler.Kept, error) {
	live, err := s.Live(ctx)
	if err != nil {
		return nil, err
	}
	var out []reconciler.Kept
	err = s.read(ctx, func(tx *sql.Tx) error {
		return eachKept(ctx, tx, live, func(k reconciler.Kept) { out = append(out, k) })
	})
	if err != nil {
		return nil, fmt.Errorf("read what is kept: %w", err)
	}
	return out, nil
}
