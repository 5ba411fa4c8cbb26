package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"hostctl/planner"
)

// Live implements reconciler.Inventory.
//
// An object that was seen to be gone is in State with its last content and in Dirty with Gone: it is created again, from
// Expect "". An object whose create has not finished is in Dirty with what was to be made as Pending, and not in State;
// whatever there is of it has to be created again (Expect "") or, where nobody wants it any more, deleted (Old is
// Pending, Expect "").
//
// The store keeps the objects it has read: reading again costs what has changed since, and a copy of the maps.
func (s *Store) Live(ctx context.Context) (planner.Live, error) {
	l := planner.Live{Down: map[string]string{}, Images: map[string]string{}}
	err := s.read(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, sqlMeta).Scan(&l.Instance, &l.Version, &l.Commit); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		if err := s.known.Read(ctx, rows{tx}, &l); err != nil {
			return fmt.Errorf("objects: %w", err)
		}
		if err := readPolicy(ctx, tx, &l); err != nil {
			return fmt.Errorf("policy: %w", err)
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
		return nil
	})
	if err != nil {
		return planner.Live{}, fmt.Errorf("read live state: %w", err)
	}
	return l, nil
}

// readPairs fills a map from a query of two columns.
func readPairs(ctx context.Context, tx *sql.Tx, query string, into map[string]string) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return err
		}
		into[k] = v
	}
	return rows.Err()
}

const (
	sqlDown   = `SELECT node, reason FROM down_nodes`
	sqlImages = `SELECT tag, id FROM images`
)

func readAllocations(ctx context.Context, tx *sql.Tx) ([]planner.Allocation, error) {
	rows, err := tx.QueryContext(ctx, sqlAllocations)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []planner.Allocation
	for rows.Next() {
		var a planner.Allocation
		if err := rows.Scan(&a.Scope, &a.Key, &a.Value); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

const sqlAllocations = `SELECT scope, key, value FROM allocations ORDER BY scope, key`

func readTargets(ctx context.Context, tx *sql.Tx) ([]planner.Target, error) {
	rows, err := tx.QueryContext(ctx, sqlTargets)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []planner.Target
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var t planner.Target
		if err := json.Unmarshal(body, &t); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

const sqlTargets = `SELECT body FROM targets ORDER BY name`
