package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Gone implements reconciler.Inventory.
func (s *Store) Gone(ctx context.Context, refs []planner.Ref, why string) (int, error) {
	marked := 0
	err := s.write(ctx, func(tx pgx.Tx) (err error) {
		if marked, err = s.mark(ctx, tx, sqlMarkGone, why, refs); err != nil {
			return err
		}
		var nodes []string
		for _, r := range refs {
			if r.Kind == planner.KindContainer {
				nodes = append(nodes, r.String())
			}
		}
		inside, err := s.mark(ctx, tx, sqlMarkInGone, why, nodes, kinds())
		marked += inside
		if err != nil {
			return err
		}
		return s.bumpIf(ctx, tx, marked > 0)
	})
	if err != nil {
		return 0, fmt.Errorf("mark objects as gone: %w", err)
	}
	return marked, nil
}

const (
	// An object that has no content yet is not there anyhow. Of one that a run is changing right now, the run will tell.
	sqlMarkGone = `
	UPDATE objects SET gone = 1, dirty = $1, version = (SELECT version + 1 FROM meta)
	WHERE ref = ANY ($2::text[]) AND gone = 0 AND content <> '' AND finished > 0`
	// With a container that is known to be gone goes what was in it.
	sqlMarkInGone = `
	UPDATE objects SET gone = 1, dirty = $1, version = (SELECT version + 1 FROM meta)
	WHERE target IN (SELECT name FROM objects WHERE ref = ANY ($2::text[]) AND gone = 1)
		AND kind = ANY ($3::text[]) AND gone = 0 AND content <> ''`
)

// Drifted implements reconciler.Inventory. What is dirty for another reason keeps that, unless it was left alone.
func (s *Store) Drifted(ctx context.Context, refs []planner.Ref, why string) (int, error) {
	marked := 0
	err := s.write(ctx, func(tx pgx.Tx) (err error) {
		if marked, err = s.mark(ctx, tx, sqlMarkDrifted, why, refs); err != nil {
			return err
		}
		return s.bumpIf(ctx, tx, marked > 0)
	})
	if err != nil {
		return 0, fmt.Errorf("mark objects as drifted: %w", err)
	}
	return marked, nil
}

const sqlMarkDrifted = `
	UPDATE objects SET dirty = $1, version = (SELECT version + 1 FROM meta)
	WHERE ref = ANY ($2::text[]) AND (dirty = '' OR gone = 0 AND dirty LIKE '%` + record.LeftAlone + `')`

// mark runs a statement that marks objects, with a reason as its first argument, and says how many it has marked.
func (s *Store) mark(ctx context.Context, tx pgx.Tx, statement, why string, args ...any) (int, error) {
	if why == "" {
		why = "seen to differ" // '' would mean clean
	}
	for i, a := range args {
		if refs, ok := a.([]planner.Ref); ok {
			texts := make([]string, len(refs))
			for i, r := range refs {
				texts[i] = r.String()
			}
			args[i] = texts
		}
	}
	tag, err := tx.Exec(ctx, statement, append([]any{clean(why)}, args...)...)
	return int(tag.RowsAffected()), err
}

// SetDown implements reconciler.Inventory.
func (s *Store) SetDown(ctx context.Context, down map[string]string) (changed bool, err error) {
	want := make(map[string]string, len(down))
	for node, reason := range down {
		want[node] = clean(reason)
	}
	err = s.write(ctx, func(tx pgx.Tx) error {
		have := map[string]string{}
		if err := readPairs(ctx, tx, sqlDown, have); err != nil {
			return err
		}
		if changed = !maps.Equal(have, want); !changed {
			return nil
		}
		if _, err := tx.Exec(ctx, sqlClearDown); err != nil {
			return err
		}
		nodes, reasons := pairs(want)
		if _, err := tx.Exec(ctx, sqlCreateDown, nodes, reasons); err != nil {
			return err
		}
		return s.bumpIf(ctx, tx, true)
	})
	if err != nil {
		return false, fmt.Errorf("write nodes that are down: %w", err)
	}
	return changed, nil
}

const (
	sqlClearDown  = `DELETE FROM down_nodes`
	sqlCreateDown = `INSERT INTO down_nodes (node, reason) SELECT * FROM unnest($1::text[], $2::text[])`
)

// SetImages implements reconciler.Inventory.
func (s *Store) SetImages(ctx context.Context, ids map[string]string) error {
	tags, values := pairs(ids)
	err := s.write(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlSetImages, tags, values)
		if err != nil {
			return err
		}
		return s.bumpIf(ctx, tx, tag.RowsAffected() > 0)
	})
	if err != nil {
		return fmt.Errorf("write image ids: %w", err)
	}
	return nil
}

const sqlSetImages = `
	INSERT INTO images (tag, id) SELECT * FROM unnest($1::text[], $2::text[])
	ON CONFLICT (tag) DO UPDATE SET id = excluded.id WHERE images.id <> excluded.id`

// pairs is a map as two arrays, sorted by key.
func pairs(m map[string]string) (keys, values []string) {
	keys = slices.Sorted(maps.Keys(m))
	values = make([]string, len(keys))
	for i, k := range keys {
		values[i] = m[k]
	}
	return keys, values
}

// bumpIf counts a change of the inventory, if there was one.
func (s *Store) bumpIf(ctx context.Context, tx pgx.Tx, changed bool) error {
	if !changed {
		return nil
	}
	_, err := s.bump(ctx, tx)
	return err
}
