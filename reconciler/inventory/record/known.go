package record

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"hostctl/planner"
)

// Known is what has been read of the objects, as of a version of the inventory. The zero value knows nothing.
type Known struct {
	mu      sync.Mutex
	version int64
	state   planner.State // nil: nothing was read yet
	dirty   map[planner.Ref]planner.Reason
	lately  []planner.Lately // never changed in place: readers share it
	touched []planner.Ref    // by the reading that is under way
}

// latelyKept is how many readings that found changes are told of. Who has seen none of them looks at everything.
const latelyKept = 64

// Rows are the objects of a store as one transaction sees them.
type Rows interface {
	// Removed passes the references of the objects that were removed after a version.
	Removed(ctx context.Context, version int64, forget func(ref string) error) error
	// Changed passes the rows that have changed after a version, some at a time; all of them where it is negative.
	Changed(ctx context.Context, version int64, pass func([]Row) error) error
}

// Read brings what is known to the version that a transaction sees, which l has already, and copies it to l.
func (k *Known) Read(ctx context.Context, rows Rows, l *planner.Live) error {
	version, err := strconv.ParseInt(l.Version, 10, 64)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Another reader may have seen more than this transaction does.
	if k.state == nil || k.version > version || k.version < version-RemovalsKept {
		k.version, k.state, k.dirty, k.lately = -1, planner.State{}, map[planner.Ref]planner.Reason{}, nil
	}
	if k.version != version {
		k.touched = nil
		if err := k.catchUp(ctx, rows); err != nil {
			k.state = nil // half of it
			return err
		}
		k.tell(version)
		k.version = version
	}
	l.State, l.Dirty, l.Lately = maps.Clone(k.state), maps.Clone(k.dirty), k.lately
	return nil
}

// tell notes what the reading that led to a version has touched, unless it was the first one.
func (k *Known) tell(version int64) {
	if k.version < 0 {
		return
	}
	one := planner.Lately{From: strconv.FormatInt(k.version, 10), To: strconv.FormatInt(version, 10), Refs: k.touched}
	k.lately = append(slices.Clone(k.lately[max(0, len(k.lately)+1-latelyKept):]), one)
}

func (k *Known) catchUp(ctx context.Context, rows Rows) error {
	if k.version >= 0 {
		// What has come back since is among the rows that are read next.
		if err := rows.Removed(ctx, k.version, k.forget); err != nil {
			return fmt.Errorf("removals: %w", err)
		}
	}
	return readRows(ctx, rows, k.version, k.add)
}

func (k *Known) forget(text string) error {
	ref, err := planner.ParseRef(text)
	if err != nil {
		return err
	}
	delete(k.state, ref)
	delete(k.dirty, ref)
	k.touched = append(k.touched, ref)
	return nil
}

func (k *Known) add(r *Row) {
	var ref planner.Ref
	switch {
	case r.has != nil:
		ref = r.has.Ref()
		k.state[ref] = r.has
	case r.half != nil:
		ref = r.half.Ref()
		delete(k.state, ref)
	default:
		return // there is no row without either: a delete leaves what it is to delete
	}
	if k.version >= 0 {
		k.touched = append(k.touched, ref)
	}
	if r.Dirty == "" {
		delete(k.dirty, ref)
		return
	}
	text := r.Dirty
	if r.Error != "" {
		text += ": " + r.Error
	}
	k.dirty[ref] = planner.Reason{
		Text: text, Pending: r.half, Gone: r.Gone, Drifted: !r.Gone && strings.HasSuffix(r.Dirty, LeftAlone),
		Anew: strings.HasPrefix(r.Dirty, string(planner.Replace)+" of run "),
	}
}

// Row is one object as it is stored.
type Row struct {
	Ref, Content, Pending string // the last two are planner.Encode's
	Dirty, Error          string
	Gone                  bool

	has, half planner.Object // content and pending, decoded
}

// RowsAtOnce is a good number of rows to pass at a time.
const RowsAtOnce = 512

// readRows passes the rows that have changed after a version to add. It reads on one goroutine and decodes on others,
// for decoding costs more than reading does.
func readRows(ctx context.Context, rows Rows, after int64, add func(*Row)) error {
	g, ctx := errgroup.WithContext(ctx)
	raw, decoded := make(chan []Row, 4), make(chan []Row, 4)
	g.Go(func() error {
		defer close(raw)
		return rows.Changed(ctx, after, func(some []Row) error { return send(ctx, raw, some) })
	})
	var decoders errgroup.Group
	for range 2 {
		decoders.Go(func() error { return decodeRows(ctx, raw, decoded) })
	}
	g.Go(func() error {
		defer close(decoded)
		return decoders.Wait()
	})
	for some := range decoded {
		for i := range some {
			add(&some[i])
		}
	}
	return g.Wait()
}

func decodeRows(ctx context.Context, in <-chan []Row, out chan<- []Row) error {
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

func (r *Row) decode() (err error) {
	if r.Content != "" {
		if r.has, err = planner.Decode([]byte(r.Content)); err != nil {
			return fmt.Errorf("%s: %w", r.Ref, err)
		}
	}
	if r.Pending != "" {
		if r.half, err = planner.Decode([]byte(r.Pending)); err != nil {
			return fmt.Errorf("%s: pending: %w", r.Ref, err)
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
