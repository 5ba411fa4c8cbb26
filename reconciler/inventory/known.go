package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"hostctl/planner"
)

// known is what has been read of the objects, as of a version of the inventory.
type known struct {
	mu      sync.Mutex
	version int64
	state   planner.State // nil: nothing was read yet
	dirty   map[planner.Ref]planner.Reason
}

// read brings what is known to the version that a transaction sees, which l has already, and copies it to l.
func (k *known) read(ctx context.Context, tx *sql.Tx, l *planner.Live) error {
	version, err := strconv.ParseInt(l.Version, 10, 64)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Another reader may have seen more than this transaction does.
	if k.state == nil || k.version > version || k.version < version-removalsKept {
		k.version, k.state, k.dirty = -1, planner.State{}, map[planner.Ref]planner.Reason{}
	}
	if k.version != version {
		if err := k.catchUp(ctx, tx); err != nil {
			k.state = nil // half of it
			return err
		}
		k.version = version
	}
	l.State, l.Dirty = maps.Clone(k.state), maps.Clone(k.dirty)
	return nil
}

func (k *known) catchUp(ctx context.Context, tx *sql.Tx) error {
	if k.version >= 0 {
		if err := k.forget(ctx, tx); err != nil {
			return fmt.Errorf("removals: %w", err)
		}
	}
	return readRows(ctx, tx, k.version, k.add)
}

// forget drops what was removed. What has come back since is among the rows that are read next.
func (k *known) forget(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, sqlRemovals, k.version)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		ref, err := planner.ParseRef(text)
		if err != nil {
			return err
		}
		delete(k.state, ref)
		delete(k.dirty, ref)
	}
	return rows.Err()
}

const sqlRemovals = `SELECT ref FROM removals WHERE version > ?`

func (k *known) add(r *row) {
	var ref planner.Ref
	switch {
	case r.has != nil:
		ref = r.has.Ref()
		k.state[ref] = r.has
	case r.half != nil:
		ref = r.half.Ref()
		delete(k.state, ref)
	default:
		return // there is no row without either: see sqlStartObject
	}
	if r.dirty == "" {
		delete(k.dirty, ref)
		return
	}
	text := r.dirty
	if r.error != "" {
		text += ": " + r.error
	}
	k.dirty[ref] = planner.Reason{Text: text, Pending: r.half, Gone: r.gone}
}

// row is one object as it is stored.
type row struct {
	ref, content, pending string
	dirty, error          string
	gone                  bool
	has, half             planner.Object // content and pending, decoded
}

const rowsAtOnce = 512

// readRows passes the rows that have changed after a version to add. It reads on one goroutine and decodes on others,
// for decoding costs more than SQLite does.
func readRows(ctx context.Context, tx *sql.Tx, after int64, add func(*row)) error {
	g, ctx := errgroup.WithContext(ctx)
	raw, decoded := make(chan []row, 4), make(chan []row, 4)
	g.Go(func() error {
		defer close(raw)
		return scanObjects(ctx, tx, after, raw)
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
			add(&rows[i])
		}
	}
	return g.Wait()
}

func scanObjects(ctx context.Context, tx *sql.Tx, after int64, out chan<- []row) error {
	statement, args := sqlChangedObjects, []any{after}
	if after < 0 {
		statement, args = sqlAllObjects, nil // by the table, where an index would lead back and forth
	}
	rows, err := tx.QueryContext(ctx, statement, args...)
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

const (
	sqlAllObjects     = `SELECT ref, content, pending, dirty, error, gone FROM objects`
	sqlChangedObjects = `SELECT ref, content, pending, dirty, error, gone FROM objects WHERE version > ?`
)

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

func send[T any](ctx context.Context, out chan<- T, v T) error {
	select {
	case out <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
