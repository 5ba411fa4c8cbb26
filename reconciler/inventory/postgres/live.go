package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Live implements reconciler.Inventory.
//
// An object that was seen to be gone is in State with its last content and in Dirty with Gone; one whose create has not
// finished is in Dirty with what was to be made as Pending, and not in State: see the same method of inventory/sqlite.
func (s *Store) Live(ctx context.Context) (planner.Live, error) {
	l := planner.Live{Down: map[string]string{}, Images: map[string]string{}}
	err := s.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, sqlMeta).Scan(&l.Instance, &l.Version, &l.Commit); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		if err := s.known.Read(ctx, rows{tx}, &l); err != nil {
			return fmt.Errorf("objects: %w", err)
		}
		if err := readPairs(ctx, tx, sqlDown, l.Down); err != nil {
			return fmt.Errorf("nodes that are down: %w", err)
		}
		if err := readPairs(ctx, tx, sqlImages, l.Images); err != nil {
			return fmt.Errorf("images: %w", err)
		}
		if err := readGenerations(ctx, tx, &l); err != nil {
			return fmt.Errorf("generated secrets: %w", err)
		}
		var err error
		if l.Allocations, err = readAllocations(ctx, tx); err != nil {
			return fmt.Errorf("allocations: %w", err)
		}
		if l.Targets, err = readTargets(ctx, tx); err != nil {
			return fmt.Errorf("targets: %w", err)
		}
		if err := readPolicy(ctx, tx, &l); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
		return nil
	})
	if err != nil {
		return planner.Live{}, fmt.Errorf("read live state: %w", err)
	}
	return l, nil
}

// readPairs fills a map from a query of two columns.
func readPairs(ctx context.Context, tx pgx.Tx, query string, into map[string]string) error {
	found, err := tx.Query(ctx, query)
	if err != nil {
		return err
	}
	var k, v string
	_, err = pgx.ForEachRow(found, []any{&k, &v}, func() error { into[k] = v; return nil })
	return err
}

const (
	sqlDown   = `SELECT node, reason FROM down_nodes`
	sqlImages = `SELECT tag, id FROM images`
)

func readAllocations(ctx context.Context, tx pgx.Tx) (out []planner.Allocation, err error) {
	found, err := tx.Query(ctx, sqlAllocations)
	if err != nil {
		return nil, err
	}
	var a planner.Allocation
	_, err = pgx.ForEachRow(found, []any{&a.Scope, &a.Key, &a.Value}, func() error { out = append(out, a); return nil })
	return out, err
}

const sqlAllocations = `SELECT scope, key, value FROM allocations ORDER BY scope, key`

func readTargets(ctx context.Context, tx pgx.Tx) (out []planner.Target, err error) {
	found, err := tx.Query(ctx, sqlTargets)
	if err != nil {
		return nil, err
	}
	var body string
	_, err = pgx.ForEachRow(found, []any{&body}, func() error {
		var t planner.Target
		err := json.Unmarshal([]byte(body), &t)
		out = append(out, t)
		return err
	})
	return out, err
}

const sqlTargets = `SELECT body FROM targets ORDER BY name`

// rows implements record.Rows.
type rows struct{ tx pgx.Tx }

// Removed implements record.Rows.
func (r rows) Removed(ctx context.Context, version int64, forget func(string) error) error {
	found, err := r.tx.Query(ctx, sqlRemovals, version)
	if err != nil {
		return err
	}
	var ref string
	_, err = pgx.ForEachRow(found, []any{&ref}, func() error { return forget(ref) })
	return err
}

const sqlRemovals = `SELECT ref FROM removals WHERE version > $1`

// Changed implements record.Rows.
func (r rows) Changed(ctx context.Context, version int64, pass func([]record.Row) error) error {
	return r.passRows(ctx, pass, sqlChangedObjects, version)
}

const sqlChangedObjects = `SELECT ref, content, pending, dirty, error, gone FROM objects WHERE version > $1`

// passRows passes the rows that a statement finds, some at a time.
func (r rows) passRows(ctx context.Context, pass func([]record.Row) error, statement string, args ...any) error {
	found, err := r.tx.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	batch := make([]record.Row, 0, record.RowsAtOnce)
	var o record.Row
	var gone int64
	_, err = pgx.ForEachRow(found, []any{&o.Ref, &o.Content, &o.Pending, &o.Dirty, &o.Error, &gone}, func() error {
		o.Gone = gone != 0
		if batch = append(batch, o); len(batch) < record.RowsAtOnce {
			return nil
		}
		full := batch
		batch = make([]record.Row, 0, record.RowsAtOnce)
		return pass(full)
	})
	if err != nil {
		return err
	}
	return pass(batch)
}
