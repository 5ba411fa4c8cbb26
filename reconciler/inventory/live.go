package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"

	"hostctl/planner"
)

// Live implements reconciler.Inventory.
//
// An object that was seen to be gone is in State with its last content and in Dirty with Gone: it is created again, from
// Expect "". An object whose create has not finished is in Dirty with what was to be made as Pending, and not in State;
// whatever there is of it has to be created again (Expect "") or, where nobody wants it any more, deleted (Old is
// Pending, Expect "").
func (s *Store) Live(ctx context.Context) (planner.Live, error) {
	l := planner.Live{
		State: planner.State{}, Dirty: map[planner.Ref]planner.Reason{},
		Down: map[string]string{}, Images: map[string]string{},
	}
	err := s.read(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, sqlMeta).Scan(&l.Instance, &l.Version, &l.Commit); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		if err := readObjects(ctx, tx, &l); err != nil {
			return fmt.Errorf("objects: %w", err)
		}
		if err := readPairs(ctx, tx, sqlDown, l.Down); err != nil {
			return fmt.Errorf("nodes that are down: %w", err)
		}
		if err := readPairs(ctx, tx, sqlImages, l.Images); err != nil {
			return fmt.Errorf("images: %w", err)
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

// row is one object as it is stored.
type row struct {
	ref, content, pending string
	dirty, error          string
	gone                  bool
	has, half             planner.Object // content and pending, decoded
}

const rowsAtOnce = 512

// readObjects reads rows on one goroutine, decodes them on others, and puts them together here: decoding costs as much
// as SQLite does.
func readObjects(ctx context.Context, tx *sql.Tx, l *planner.Live) error {
	g, ctx := errgroup.WithContext(ctx)
	raw, decoded := make(chan []row, 4), make(chan []row, 4)
	g.Go(func() error {
		defer close(raw)
		return scanObjects(ctx, tx, raw)
	})
	var decoders errgroup.Group
	for range 2 {
		decoders.Go(func() error { return decodeRows(ctx, raw, decoded) })
	}
	g.Go(func() error {
		defer close(decoded)
		return decoders.Wait()
	})
	for rows := range decoded {
		for i := range rows {
			addRow(l, &rows[i])
		}
	}
	return g.Wait()
}

func scanObjects(ctx context.Context, tx *sql.Tx, out chan<- []row) error {
	rows, err := tx.QueryContext(ctx, sqlLiveObjects)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	batch := make([]row, 0, rowsAtOnce)
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.ref, &r.content, &r.pending, &r.dirty, &r.error, &r.gone); err != nil {
			return err
		}
		if batch = append(batch, r); len(batch) < rowsAtOnce {
			continue
		}
		if err := send(ctx, out, batch); err != nil {
			return err
		}
		batch = make([]row, 0, rowsAtOnce)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return send(ctx, out, batch)
}

const sqlLiveObjects = `SELECT ref, content, pending, dirty, error, gone FROM objects`

func decodeRows(ctx context.Context, in <-chan []row, out chan<- []row) error {
	for rows := range in {
		for i := range rows {
			if err := rows[i].decode(); err != nil {
				return err
			}
		}
		if err := send(ctx, out, rows); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) decode() (err error) {
	if r.content != "" {
		if r.has, err = planner.Decode([]byte(r.content)); err != nil {
			return fmt.Errorf("%s: %w", r.ref, err)
		}
	}
	if r.pending != "" {
		if r.half, err = planner.Decode([]byte(r.pending)); err != nil {
			return fmt.Errorf("%s: pending: %w", r.ref, err)
		}
	}
	return nil
}

func addRow(l *planner.Live, r *row) {
	var ref planner.Ref
	switch {
	case r.has != nil:
		ref = r.has.Ref()
		l.State[ref] = r.has
	case r.half != nil:
		ref = r.half.Ref()
	default:
		return // Started leaves neither out
	}
	if r.dirty == "" {
		return
	}
	text := r.dirty
	if r.error != "" {
		text += ": " + r.error
	}
	l.Dirty[ref] = planner.Reason{Text: text, Pending: r.half, Gone: r.gone}
}

func send[T any](ctx context.Context, out chan<- T, v T) error {
	select {
	case out <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
