package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
)

// SetUnmanaged implements reconciler.Inventory.
func (s *Store) SetUnmanaged(ctx context.Context, targets []string, found []planner.RRset) (changed bool, err error) {
	refs := make([]string, len(found))
	for i, o := range found {
		refs[i] = o.Ref().String()
	}
	if targets == nil {
		targets = []string{}
	}
	err = s.write(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlRemoveManaged, targets, refs)
		if err != nil {
			return err
		}
		n := tag.RowsAffected()
		for _, o := range found {
			ref := o.Ref()
			content, hash := planner.Seal(o)
			tag, err := tx.Exec(ctx, sqlPutUnmanaged, ref.String(), string(ref.Kind), ref.Target, ref.Name,
				o.From.Tenant, o.From.Kind, o.From.Name, o.From.File, int64(o.From.Line), string(content), string(hash))
			if err != nil {
				return fmt.Errorf("%s: %w", ref, err)
			}
			n += tag.RowsAffected()
		}
		changed = n > 0
		return s.bumpIf(ctx, tx, changed)
	})
	if err != nil {
		return false, fmt.Errorf("write what nobody declares: %w", err)
	}
	return changed, nil
}

// An RRset that a Zone owns is one that was found; its revision and commit are those of the run that was the latest then. What a run is changing right now, the run will tell of.
const (
	sqlRemoveManaged = `
	WITH gone AS (
		DELETE FROM objects WHERE kind = 'rrset' AND owner_kind = 'Zone' AND finished > 0
			AND target = ANY ($1::text[]) AND NOT ref = ANY ($2::text[])
		RETURNING ref)
	INSERT INTO removals (version, ref) SELECT (SELECT version + 1 FROM meta), ref FROM gone`
	sqlPutUnmanaged = `
	INSERT INTO objects (ref, kind, target, name, tenant, owner_kind, owner_name, file, line,
		content, hash, pending, pending_hash, version, revision, commit_id, dirty, gone, started, finished, error)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '', (SELECT version + 1 FROM meta), (SELECT coalesce(max(id), 1) FROM runs),
		(SELECT coalesce(max(commit_id), '') FROM runs WHERE id = (SELECT max(id) FROM runs)), '', 0, present, present, ''
	FROM micros() AS present
	ON CONFLICT (ref) DO UPDATE SET
		content = excluded.content, hash = excluded.hash, pending = '', pending_hash = '',
		version = excluded.version, dirty = '', gone = 0, error = ''
	WHERE objects.owner_kind = 'Zone' AND objects.finished > 0 AND (objects.hash <> excluded.hash OR objects.gone = 1)`
)
