package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"hostctl/planner"
)

// SetUnmanaged implements reconciler.Inventory.
func (s *Store) SetUnmanaged(ctx context.Context, targets []string, found []planner.RRset) (changed bool, err error) {
	refs := make([]planner.Ref, len(found))
	for i, o := range found {
		refs[i] = o.Ref()
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		version, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlNoteManaged, version, jsonList(targets), jsonList(refs)); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, sqlRemoveManaged, jsonList(targets), jsonList(refs))
		if err != nil {
			return err
		}
		removed, err := res.RowsAffected()
		if err != nil {
			return err
		}
		put, err := putUnmanaged(ctx, tx, found, version)
		if err != nil {
			return err
		}
		changed = removed+put > 0
		return bumpIf(ctx, tx, changed)
	})
	if err != nil {
		return false, fmt.Errorf("write what nobody declares: %w", err)
	}
	return changed, nil
}

func putUnmanaged(ctx context.Context, tx *sql.Tx, found []planner.RRset, version int64) (put int64, err error) {
	t := now()
	for _, o := range found {
		ref := o.Ref()
		content, hash := planner.Seal(o)
		res, err := tx.ExecContext(ctx, sqlPutUnmanaged, ref.String(), string(ref.Kind), ref.Target, ref.Name,
			o.From.Tenant, o.From.Kind, o.From.Name, o.From.File, o.From.Line, string(content), string(hash), version, t)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", ref, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		put += n
	}
	return put, nil
}

// An RRset that a Zone owns is one that was found; its revision and commit are those of the run that was the latest then. What a run is changing right now, the run will tell of.
const (
	sqlNoteManaged = `
	INSERT INTO removals (version, ref)
	SELECT ?, ref FROM objects WHERE kind = 'rrset' AND owner_kind = 'Zone' AND finished > 0
		AND target IN (SELECT value FROM json_each(?)) AND ref NOT IN (SELECT value FROM json_each(?))`
	sqlRemoveManaged = `
	DELETE FROM objects WHERE kind = 'rrset' AND owner_kind = 'Zone' AND finished > 0
		AND target IN (SELECT value FROM json_each(?)) AND ref NOT IN (SELECT value FROM json_each(?))`
	sqlPutUnmanaged = `
	INSERT INTO objects (ref, kind, target, name, tenant, owner_kind, owner_name, file, line,
		content, hash, pending, pending_hash, version, revision, commit_id, dirty, gone, started, finished, error)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', '', ?12, (SELECT coalesce(max(id), 1) FROM runs),
		(SELECT coalesce(max(commit_id), '') FROM runs WHERE id = (SELECT max(id) FROM runs)), '', 0, ?13, ?13, '')
	ON CONFLICT (ref) DO UPDATE SET
		content = excluded.content, hash = excluded.hash, pending = '', pending_hash = '',
		version = excluded.version, dirty = '', gone = 0, error = ''
	WHERE objects.owner_kind = 'Zone' AND objects.finished > 0 AND (objects.hash <> excluded.hash OR objects.gone = 1)`
)
