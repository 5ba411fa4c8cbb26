package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Gone implements reconciler.Inventory.
func (s *Store) Gone(ctx context.Context, refs []planner.Ref, why string) (int, error) {
	marked := 0
	err := s.write(ctx, func(tx *sql.Tx) error {
		version, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		n, err := markAll(ctx, tx, sqlMarkGone, refs, why, version)
		if err != nil {
			return err
		}
		marked = n
		for _, r := range refs {
			if r.Kind != planner.KindContainer {
				continue
			}
			n, err := markInGone(ctx, tx, r, version, why)
			if err != nil {
				return err
			}
			marked += n
		}
		return bumpIf(ctx, tx, marked > 0)
	})
	if err != nil {
		return 0, fmt.Errorf("mark objects as gone: %w", err)
	}
	return marked, nil
}

// An object that has no content yet is not there anyhow. Of one that a run is changing right now, the run will tell.
const sqlMarkGone = `
	UPDATE objects SET gone = 1, dirty = ?, version = ?
	WHERE ref IN (SELECT value FROM json_each(?)) AND gone = 0 AND content <> '' AND finished > 0`

// Drifted implements reconciler.Inventory. What is dirty for another reason keeps that, unless it was left alone.
func (s *Store) Drifted(ctx context.Context, refs []planner.Ref, why string) (int, error) {
	marked := 0
	err := s.write(ctx, func(tx *sql.Tx) error {
		version, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		if marked, err = markAll(ctx, tx, sqlMarkDrifted, refs, why, version); err != nil {
			return err
		}
		return bumpIf(ctx, tx, marked > 0)
	})
	if err != nil {
		return 0, fmt.Errorf("mark objects as drifted: %w", err)
	}
	return marked, nil
}

const sqlMarkDrifted = `
	UPDATE objects SET dirty = ?, version = ?
	WHERE ref IN (SELECT value FROM json_each(?)) AND (dirty = '' OR gone = 0 AND dirty LIKE '%` + record.LeftAlone + `')`

func markAll(ctx context.Context, tx *sql.Tx, query string, refs []planner.Ref, why string, version int64) (int, error) {
	if why == "" {
		why = "seen to differ" // '' would mean clean
	}
	res, err := tx.ExecContext(ctx, query, why, version, jsonList(refs))
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// markInGone marks what is in a container, if that is known to be gone.
func markInGone(ctx context.Context, tx *sql.Tx, container planner.Ref, version int64, why string) (int, error) {
	var gone int
	if err := tx.QueryRowContext(ctx, sqlIsGone, container.String()).Scan(&gone); err != nil || gone == 0 {
		return 0, err
	}
	return markInside(ctx, tx, container.Name, version, why)
}

const sqlIsGone = `SELECT coalesce(max(gone), 0) FROM objects WHERE ref = ?`

// markInside marks what is in the container of a node as gone and returns how many objects that are.
func markInside(ctx context.Context, tx *sql.Tx, node string, version int64, why string) (int, error) {
	return markOn(ctx, tx, node, record.InsideKinds, version, why)
}

// markOn marks objects of some kinds on a target.
func markOn(ctx context.Context, tx *sql.Tx, target string, kinds []planner.Kind, version int64, why string) (int, error) {
	res, err := tx.ExecContext(ctx, sqlMarkInside, why, version, target, jsonList(kinds))
	if err != nil {
		return 0, fmt.Errorf("mark what was on %s: %w", target, err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

const sqlMarkInside = `
	UPDATE objects SET gone = 1, dirty = ?, version = ?
	WHERE target = ? AND kind IN (SELECT value FROM json_each(?)) AND gone = 0 AND content <> ''`

// removeInside deletes the rows of what was in the container of a node, and notes that for readers.
func removeInside(ctx context.Context, tx *sql.Tx, node string, version int64) error {
	return removeOn(ctx, tx, node, record.InsideKinds, version)
}

// removeOn deletes the rows of objects of some kinds on a target, and what is noted of those that were kept.
func removeOn(ctx context.Context, tx *sql.Tx, target string, of []planner.Kind, version int64) error {
	kinds := jsonList(of)
	if _, err := tx.ExecContext(ctx, sqlForgetInside, target, kinds); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlNoteInside, version, target, kinds); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, sqlRemoveInside, target, kinds)
	return err
}

const (
	sqlForgetInside = `
	DELETE FROM kept WHERE ref IN (SELECT ref FROM objects WHERE target = ? AND kind IN (SELECT value FROM json_each(?)))`
	sqlNoteInside = `
	INSERT INTO removals (version, ref)
	SELECT ?, ref FROM objects WHERE target = ? AND kind IN (SELECT value FROM json_each(?))`
	sqlRemoveInside = `DELETE FROM objects WHERE target = ? AND kind IN (SELECT value FROM json_each(?))`
)

// SetDown implements reconciler.Inventory.
func (s *Store) SetDown(ctx context.Context, down map[string]string) (changed bool, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		have := map[string]string{}
		if err := readPairs(ctx, tx, sqlDown, have); err != nil {
			return err
		}
		if changed = !maps.Equal(have, down); !changed {
			return nil
		}
		if _, err := tx.ExecContext(ctx, sqlClearDown); err != nil {
			return err
		}
		for node, reason := range down {
			if _, err := tx.ExecContext(ctx, sqlCreateDown, node, reason); err != nil {
				return err
			}
		}
		return bumpIf(ctx, tx, true)
	})
	if err != nil {
		return false, fmt.Errorf("write nodes that are down: %w", err)
	}
	return changed, nil
}

const (
	sqlClearDown  = `DELETE FROM down_nodes`
	sqlCreateDown = `INSERT INTO down_nodes (node, reason) VALUES (?, ?)`
)

// SetImages implements reconciler.Inventory.
func (s *Store) SetImages(ctx context.Context, ids map[string]string) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		changed := false
		for tag, id := range ids {
			res, err := tx.ExecContext(ctx, sqlSetImage, tag, id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			changed = changed || n > 0
		}
		return bumpIf(ctx, tx, changed)
	})
	if err != nil {
		return fmt.Errorf("write image ids: %w", err)
	}
	return nil
}

const sqlSetImage = `
	INSERT INTO images (tag, id) VALUES (?, ?)
	ON CONFLICT (tag) DO UPDATE SET id = excluded.id WHERE images.id <> excluded.id`

// nextVersion is what bump will return in this transaction, which is alone in writing.
func nextVersion(ctx context.Context, tx *sql.Tx) (int64, error) {
	var v int64
	if err := tx.QueryRowContext(ctx, sqlNextVersion).Scan(&v); err != nil {
		return 0, fmt.Errorf("read version: %w", err)
	}
	return v, nil
}

const sqlNextVersion = `SELECT version + 1 FROM meta`

// bumpIf counts a change of the inventory, if there was one.
func bumpIf(ctx context.Context, tx *sql.Tx, changed bool) error {
	if !changed {
		return nil
	}
	_, err := bump(ctx, tx)
	return err
}
