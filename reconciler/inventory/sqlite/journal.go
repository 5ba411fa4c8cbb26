package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Started implements executors.Recorder: it writes what is to become of each object before anything is touched. Where
// an object is not what its change expects, nothing is written and the error is an *executors.Error of kind Conflict
// around an *executors.ConflictError. What is in a container that is made, replaced or deleted counts as gone from here on, for
// nobody knows whether it still is there.
func (j *journal) Started(ctx context.Context, cs []planner.Change) error {
	err := j.s.write(ctx, func(tx *sql.Tx) error {
		if err := j.fence(ctx, tx, 0, 0); err != nil {
			return err
		}
		if err := compare(ctx, tx, cs); err != nil {
			return err
		}
		version, err := bump(ctx, tx)
		if err != nil {
			return err
		}
		if err := j.startChanges(ctx, tx, cs); err != nil {
			return fmt.Errorf("write changes: %w", err)
		}
		if err := j.startObjects(ctx, tx, cs, version); err != nil {
			return fmt.Errorf("write objects: %w", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record start in run %d: %w", j.id, err)
	}
	return nil
}

// compare checks that each object is what its change starts from.
func compare(ctx context.Context, tx *sql.Tx, cs []planner.Change) error {
	rows, err := readFound(ctx, tx, cs)
	if err != nil {
		return fmt.Errorf("read objects: %w", err)
	}
	return record.Compare(rows, cs)
}

func readFound(ctx context.Context, tx *sql.Tx, cs []planner.Change) (map[string]record.Found, error) {
	rows, err := tx.QueryContext(ctx, sqlFound, refList(cs))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := make(map[string]record.Found, len(cs))
	for rows.Next() {
		var ref string
		var f record.Found
		if err := rows.Scan(&ref, &f.Hash, &f.Gone); err != nil {
			return nil, err
		}
		out[ref] = f
	}
	return out, rows.Err()
}

const sqlFound = `SELECT ref, hash, gone FROM objects WHERE ref IN (SELECT value FROM json_each(?))`

// startChanges marks the changes of the journal, each of which must still be only planned.
func (j *journal) startChanges(ctx context.Context, tx *sql.Tx, cs []planner.Change) error {
	res, err := tx.ExecContext(ctx, sqlStartChanges, now(), j.id, idList(cs))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(len(cs)) {
		return fmt.Errorf("%d of %d changes can be started: the others aren't in the plan or were started before", n, len(cs))
	}
	return nil
}

const sqlStartChanges = `
	UPDATE changes SET state = 'started', started = ?
	WHERE run = ? AND state = 'planned' AND id IN (SELECT value FROM json_each(?))`

func (j *journal) startObjects(ctx context.Context, tx *sql.Tx, cs []planner.Change, version int64) error {
	stmt, err := tx.PrepareContext(ctx, sqlStartObject)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	t := now()
	for _, c := range cs {
		ref, owner, o := c.Ref(), c.Owner(), c.New
		if o == nil {
			o = c.Old
		}
		pending, hash := planner.Seal(o)
		dirty := fmt.Sprintf("%s of run %d has not finished", c.Action, j.id)
		_, err := stmt.ExecContext(ctx, ref.String(), string(ref.Kind), ref.Target, ref.Name,
			owner.Tenant, owner.Kind, owner.Name, owner.File, owner.Line,
			string(pending), string(hash), version, j.id, dirty, t, c.New == nil)
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		if record.EmptiesContainer(c) {
			if _, err := markInside(ctx, tx, ref.Name, version, fmt.Sprintf("run %d: %s of its container %s", j.id, c.Action, ref.Name)); err != nil {
				return err
			}
		}
	}
	for _, v := range record.EmptiesVolumes(cs) {
		if _, err := markOn(ctx, tx, v.Target, v.Kinds, version, fmt.Sprintf("run %d: delete of %s", j.id, v.Volume)); err != nil {
			return err
		}
	}
	return nil
}

// A delete leaves nothing pending, but for an object that never had content: its row alone says what is to be deleted.
const sqlStartObject = `
	INSERT INTO objects (ref, kind, target, name, tenant, owner_kind, owner_name, file, line,
		content, hash, pending, pending_hash, version, revision, commit_id, dirty, gone, started, finished, error)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, '', '', ?10, ?11, ?12, ?13, '', ?14, 0, ?15, 0, '')
	ON CONFLICT (ref) DO UPDATE SET
		tenant = excluded.tenant, owner_kind = excluded.owner_kind, owner_name = excluded.owner_name,
		file = excluded.file, line = excluded.line,
		pending = CASE WHEN ?16 AND objects.content <> '' THEN '' ELSE excluded.pending END,
		pending_hash = CASE WHEN ?16 AND objects.content <> '' THEN '' ELSE excluded.pending_hash END,
		version = excluded.version, revision = excluded.revision, dirty = excluded.dirty,
		started = excluded.started, finished = 0, error = ''`

// Finished implements executors.Recorder. A nil error makes what was pending the content of the object, or removes its
// row; another one leaves it dirty. With a container that was made, replaced or deleted go the rows of what was in the
// old one, in the same transaction: that can't be there any more. A change that was never started (what it needs failed) is only noted in the journal.
// What has happened is recorded even where ctx is done.
func (j *journal) Finished(ctx context.Context, cs []planner.Change, errs []error) error {
	ctx = context.WithoutCancel(ctx)
	if len(errs) != len(cs) {
		return fmt.Errorf("record end in run %d: %d errors for %d changes", j.id, len(errs), len(cs))
	}
	good, bad, failures := record.Split(cs, errs)
	err := j.s.write(ctx, func(tx *sql.Tx) error {
		if err := j.fence(ctx, tx, len(good), len(bad)); err != nil {
			return err
		}
		version, err := bump(ctx, tx)
		if err != nil {
			return err
		}
		if err := j.finishGood(ctx, tx, good, version); err != nil {
			return err
		}
		return j.finishBad(ctx, tx, bad, failures, version)
	})
	if err != nil {
		return fmt.Errorf("record end in run %d: %w", j.id, err)
	}
	return nil
}

func (j *journal) finishGood(ctx context.Context, tx *sql.Tx, cs []planner.Change, version int64) error {
	if len(cs) == 0 {
		return nil
	}
	t := now()
	res, err := tx.ExecContext(ctx, sqlFinishChanges, t, j.id, idList(cs))
	if err != nil {
		return fmt.Errorf("write changes: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(len(cs)) {
		return fmt.Errorf("write changes: %d of %d are under way: the others were not started or have finished before", n, len(cs))
	}
	var made, removed []planner.Change
	for _, c := range cs {
		if c.New != nil {
			made = append(made, c)
			continue
		}
		removed = append(removed, c)
	}
	if _, err := tx.ExecContext(ctx, sqlFinishObjects, version, j.plan.Commit, t, refList(made)); err != nil {
		return fmt.Errorf("write objects: %w", err)
	}
	if err := remove(ctx, tx, refList(removed), version); err != nil {
		return fmt.Errorf("remove objects: %w", err)
	}
	if err := noteKept(ctx, tx, cs, t); err != nil {
		return err
	}
	for _, c := range cs {
		if !record.EmptiesContainer(c) {
			continue
		}
		if err := removeInside(ctx, tx, c.Ref().Name, version); err != nil {
			return fmt.Errorf("remove what was in container %s: %w", c.Ref().Name, err)
		}
	}
	for _, v := range record.EmptiesVolumes(cs) {
		if err := removeOn(ctx, tx, v.Target, v.Kinds, version); err != nil {
			return fmt.Errorf("remove what was on %s: %w", v.Volume, err)
		}
	}
	return nil
}

const (
	sqlFinishChanges = `
	UPDATE changes SET state = 'done', finished = ?
	WHERE run = ? AND state = 'started' AND id IN (SELECT value FROM json_each(?))`
	sqlFinishObjects = `
	UPDATE objects SET content = pending, hash = pending_hash, pending = '', pending_hash = '',
		version = ?, commit_id = ?, dirty = '', gone = 0, finished = ?, error = ''
	WHERE ref IN (SELECT value FROM json_each(?))`
)

// remove deletes rows of objects and notes that for readers.
func remove(ctx context.Context, tx *sql.Tx, refs string, version int64) error {
	if _, err := tx.ExecContext(ctx, sqlNoteRemoved, version, refs); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, sqlRemoveObjects, refs)
	return err
}

const (
	sqlNoteRemoved   = `INSERT INTO removals (version, ref) SELECT ?, ref FROM objects WHERE ref IN (SELECT value FROM json_each(?))`
	sqlRemoveObjects = `DELETE FROM objects WHERE ref IN (SELECT value FROM json_each(?))`
)

func (j *journal) finishBad(ctx context.Context, tx *sql.Tx, cs []planner.Change, failures []error, version int64) error {
	t := now()
	for i, c := range cs {
		text := failures[i].Error()
		dirty := record.Dirty(c, j.id, failures[i])
		// The object first: whether it was touched is what the change's state says.
		if _, err := tx.ExecContext(ctx, sqlFailObject, version, dirty, t, text, c.Ref().String(), j.id, c.ID); err != nil {
			return fmt.Errorf("write %s: %w", c.Ref(), err)
		}
		res, err := tx.ExecContext(ctx, sqlFailChange, text, t, t, j.id, c.ID)
		if err != nil {
			return fmt.Errorf("write change %d: %w", c.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("write change %d: it is not in the plan or has finished before", c.ID)
		}
	}
	return nil
}

const (
	sqlFailObject = `
	UPDATE objects SET version = ?, dirty = ?, finished = ?, error = ?
	WHERE ref = ? AND EXISTS (SELECT 1 FROM changes WHERE run = ? AND id = ? AND state = 'started')`
	sqlFailChange = `
	UPDATE changes SET state = 'failed', error = ?, started = CASE WHEN started = 0 THEN ? ELSE started END, finished = ?
	WHERE run = ? AND id = ? AND state IN ('planned', 'started')`
)

// refList is the references of changes as a JSON array: one argument for any number of rows.
func refList(cs []planner.Change) string {
	refs := make([]string, len(cs))
	for i, c := range cs {
		refs[i] = c.Ref().String()
	}
	return jsonList(refs)
}

func idList(cs []planner.Change) string {
	ids := make([]int, len(cs))
	for i, c := range cs {
		ids[i] = c.ID
	}
	return jsonList(ids)
}

func jsonList[T any](vs []T) string {
	b, err := json.Marshal(vs)
	if err != nil {
		panic("inventory: a list that can't be encoded: " + err.Error()) // strings and numbers always can
	}
	return string(b)
}
