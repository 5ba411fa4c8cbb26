package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Started implements executors.Recorder: it writes what is to become of each object before anything is touched. Where
// an object is not what its change expects, nothing is written and the error is an *executors.Error of kind Conflict
// around an *executors.ConflictError. What is in a container that is made, replaced or deleted counts as gone from here on,
// for nobody knows whether it still is there.
func (j *journal) Started(ctx context.Context, cs []planner.Change) error {
	err := j.s.write(ctx, func(tx pgx.Tx) error {
		if err := j.fence(ctx, tx, 0, 0); err != nil {
			return err
		}
		found, err := compare(ctx, tx, cs)
		if err != nil {
			return err
		}
		version, err := j.s.bump(ctx, tx)
		if err != nil {
			return err
		}
		if err := j.startChanges(ctx, tx, cs); err != nil {
			return fmt.Errorf("write changes: %w", err)
		}
		if err := j.startObjects(ctx, tx, cs, found, version); err != nil {
			return fmt.Errorf("write objects: %w", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record start in run %d: %w", j.id, err)
	}
	return nil
}

// compare checks that each object is what its change starts from, and returns those that have a row.
func compare(ctx context.Context, tx pgx.Tx, cs []planner.Change) (found map[string]record.Found, err error) {
	rows, err := tx.Query(ctx, sqlFound, refs(cs))
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	found = make(map[string]record.Found, len(cs))
	var ref, hash string
	var gone int64
	_, err = pgx.ForEachRow(rows, []any{&ref, &hash, &gone}, func() error {
		found[ref] = record.Found{Hash: planner.Hash(hash), Gone: gone != 0}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return found, record.Compare(found, cs)
}

const sqlFound = `SELECT ref, hash, gone FROM objects WHERE ref = ANY ($1::text[])`

// startChanges marks the changes of the journal, each of which must still be only planned.
func (j *journal) startChanges(ctx context.Context, tx pgx.Tx, cs []planner.Change) error {
	tag, err := tx.Exec(ctx, sqlStartChanges, j.id, ids(cs))
	if err != nil {
		return err
	}
	if n := tag.RowsAffected(); n != int64(len(cs)) {
		return fmt.Errorf("%d of %d changes can be started: the others aren't in the plan or were started before", n, len(cs))
	}
	return nil
}

const sqlStartChanges = `
	UPDATE changes SET state = 'started', started = present FROM micros() AS present
	WHERE run = $1 AND state = 'planned' AND id = ANY ($2::bigint[])`

// startObjects writes what is to become of each object. What has no row yet is copied, which costs half of what an upsert
// does; nobody else writes meanwhile.
func (j *journal) startObjects(ctx context.Context, tx pgx.Tx, cs []planner.Change, found map[string]record.Found, version int64) error {
	var created, known, emptying []planner.Change
	for _, c := range cs {
		if record.EmptiesContainer(c) {
			emptying = append(emptying, c)
		}
		if _, ok := found[c.Ref().String()]; ok {
			known = append(known, c)
		} else {
			created = append(created, c)
		}
	}
	if err := j.markInside(ctx, tx, emptying, version); err != nil {
		return fmt.Errorf("mark what is in containers: %w", err)
	}
	for _, v := range record.EmptiesVolumes(cs) {
		why := []string{fmt.Sprintf("run %d: delete of %s", j.id, v.Volume)}
		if _, err := tx.Exec(ctx, sqlMarkInside, []string{v.Target}, why, words(v.Kinds), version); err != nil {
			return fmt.Errorf("mark what is on %s: %w", v.Volume, err)
		}
	}
	if err := j.startCreated(ctx, tx, created, version); err != nil {
		return err
	}
	return j.startKnown(ctx, tx, known, version)
}

// markInside marks what is in the containers that changes empty.
func (j *journal) markInside(ctx context.Context, tx pgx.Tx, cs []planner.Change, version int64) error {
	if len(cs) == 0 {
		return nil
	}
	nodes, why := make([]string, len(cs)), make([]string, len(cs))
	for i, c := range cs {
		nodes[i] = c.Ref().Name
		why[i] = fmt.Sprintf("run %d: %s of its container %s", j.id, c.Action, nodes[i])
	}
	_, err := tx.Exec(ctx, sqlMarkInside, nodes, why, kinds(), version)
	return err
}

const sqlMarkInside = `
	UPDATE objects SET gone = 1, dirty = emptied.why, version = $4
	FROM unnest($1::text[], $2::text[]) AS emptied (node, why)
	WHERE target = emptied.node AND kind = ANY ($3::text[]) AND gone = 0 AND content <> ''`

// startCreated writes the rows of objects that have none, by COPY. An object that is to be deleted and never had content
// is pending too: its row alone says what is to be deleted.
func (j *journal) startCreated(ctx context.Context, tx pgx.Tx, cs []planner.Change, version int64) error {
	if len(cs) == 0 {
		return nil
	}
	var present int64
	if err := tx.QueryRow(ctx, sqlPresent).Scan(&present); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"objects"}, objectColumns, pgx.CopyFromSlice(len(cs), func(i int) ([]any, error) {
		s := startOf(cs[i])
		return []any{
			s.ref.String(), string(s.ref.Kind), s.ref.Target, s.ref.Name, s.owner.Tenant, s.owner.Kind, s.owner.Name, s.owner.File, int64(s.owner.Line),
			"", "", s.pending, string(s.hash), version, j.id, "", j.unfinished(cs[i]), int64(0), present, int64(0), "",
		}, nil
	}))
	return err
}

const sqlPresent = `SELECT micros()`

var objectColumns = []string{
	"ref", "kind", "target", "name", "tenant", "owner_kind", "owner_name", "file", "line",
	"content", "hash", "pending", "pending_hash", "version", "revision", "commit_id", "dirty", "gone", "started", "finished", "error",
}

// start is what is written of an object before it is touched.
type start struct {
	ref     planner.Ref
	owner   planner.Owner
	pending []byte
	hash    planner.Hash
}

func startOf(c planner.Change) start {
	o := c.New
	if o == nil {
		o = c.Old
	}
	s := start{ref: c.Ref(), owner: c.Owner()}
	s.pending, s.hash = planner.Seal(o)
	return s
}

func (j *journal) unfinished(c planner.Change) string {
	return fmt.Sprintf("%s of run %d has not finished", c.Action, j.id)
}

// startKnown changes the rows of objects that have one. A delete leaves nothing pending of what has content.
func (j *journal) startKnown(ctx context.Context, tx pgx.Tx, cs []planner.Change, version int64) error {
	if len(cs) == 0 {
		return nil
	}
	n := len(cs)
	tenant, kind, name, file, line := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	pending, hash, dirty, deleted := make([]string, n), make([]string, n), make([]string, n), make([]bool, n)
	for i, c := range cs {
		s := startOf(c)
		tenant[i], kind[i], name[i], file[i], line[i] = s.owner.Tenant, s.owner.Kind, s.owner.Name, s.owner.File, int64(s.owner.Line)
		pending[i], hash[i], dirty[i], deleted[i] = string(s.pending), string(s.hash), j.unfinished(c), c.New == nil
	}
	_, err := tx.Exec(ctx, sqlStartKnown, refs(cs), tenant, kind, name, file, line, pending, hash, dirty, deleted, version, j.id)
	return err
}

const sqlStartKnown = `
	UPDATE objects SET
		tenant = new.tenant, owner_kind = new.owner_kind, owner_name = new.owner_name, file = new.file, line = new.line,
		pending = CASE WHEN new.deleted AND content <> '' THEN '' ELSE new.pending END,
		pending_hash = CASE WHEN new.deleted AND content <> '' THEN '' ELSE new.pending_hash END,
		version = $11, revision = $12, dirty = new.dirty, started = present, finished = 0, error = ''
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::boolean[])
		AS new (ref, tenant, owner_kind, owner_name, file, line, pending, pending_hash, dirty, deleted), micros() AS present
	WHERE objects.ref = new.ref`

// Finished implements executors.Recorder. A nil error makes what was pending the content of the object, or removes its
// row; another one leaves it dirty. With a container that was made, replaced or deleted go the rows of what was in the
// old one, in the same transaction: that can't be there any more. A change that was never started (what it needs failed)
// is only noted in the journal. What has happened is recorded even where ctx is done.
func (j *journal) Finished(ctx context.Context, cs []planner.Change, errs []error) error {
	ctx = context.WithoutCancel(ctx)
	if len(errs) != len(cs) {
		return fmt.Errorf("record end in run %d: %d errors for %d changes", j.id, len(errs), len(cs))
	}
	good, bad, failures := record.Split(cs, errs)
	err := j.s.write(ctx, func(tx pgx.Tx) error {
		if err := j.fence(ctx, tx, len(good), len(bad)); err != nil {
			return err
		}
		version, err := j.s.bump(ctx, tx)
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

func (j *journal) finishGood(ctx context.Context, tx pgx.Tx, cs []planner.Change, version int64) error {
	if len(cs) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, sqlFinishChanges, j.id, ids(cs))
	if err != nil {
		return fmt.Errorf("write changes: %w", err)
	}
	if n := tag.RowsAffected(); n != int64(len(cs)) {
		return fmt.Errorf("write changes: %d of %d are under way: the others were not started or have finished before", n, len(cs))
	}
	var made, removed []planner.Change
	var emptied []string
	for _, c := range cs {
		if record.EmptiesContainer(c) {
			emptied = append(emptied, c.Ref().Name)
		}
		if c.New != nil {
			made = append(made, c)
			continue
		}
		removed = append(removed, c)
	}
	if _, err := tx.Exec(ctx, sqlFinishObjects, version, j.plan.Commit, refs(made)); err != nil {
		return fmt.Errorf("write objects: %w", err)
	}
	if len(removed) > 0 {
		if _, err := tx.Exec(ctx, sqlRemoveObjects, version, refs(removed)); err != nil {
			return fmt.Errorf("remove objects: %w", err)
		}
	}
	if err := noteKept(ctx, tx, cs); err != nil {
		return err
	}
	if len(emptied) > 0 {
		if _, err := tx.Exec(ctx, sqlRemoveInside, version, emptied, kinds()); err != nil {
			return fmt.Errorf("remove what was in containers: %w", err)
		}
	}
	for _, v := range record.EmptiesVolumes(cs) {
		if _, err := tx.Exec(ctx, sqlForgetStored, []string{v.Target}, words(v.Kinds)); err != nil {
			return fmt.Errorf("forget what was kept on %s: %w", v.Volume, err)
		}
		if _, err := tx.Exec(ctx, sqlRemoveInside, version, []string{v.Target}, words(v.Kinds)); err != nil {
			return fmt.Errorf("remove what was on %s: %w", v.Volume, err)
		}
	}
	return nil
}

const (
	sqlFinishChanges = `
	UPDATE changes SET state = 'done', finished = present FROM micros() AS present
	WHERE run = $1 AND state = 'started' AND id = ANY ($2::bigint[])`
	sqlFinishObjects = `
	UPDATE objects SET content = pending, hash = pending_hash, pending = '', pending_hash = '',
		version = $1, commit_id = $2, dirty = '', gone = 0, finished = present, error = ''
	FROM micros() AS present
	WHERE ref = ANY ($3::text[])`
	// What is removed is noted for readers.
	sqlRemoveObjects = `
	WITH gone AS (DELETE FROM objects WHERE ref = ANY ($2::text[]) RETURNING ref)
	INSERT INTO removals (version, ref) SELECT $1, ref FROM gone`
	sqlForgetStored = `
	DELETE FROM kept WHERE ref IN (SELECT ref FROM objects WHERE target = ANY ($1::text[]) AND kind = ANY ($2::text[]))`
	sqlRemoveInside = `
	WITH gone AS (DELETE FROM objects WHERE target = ANY ($2::text[]) AND kind = ANY ($3::text[]) RETURNING ref)
	INSERT INTO removals (version, ref) SELECT $1, ref FROM gone`
)

func (j *journal) finishBad(ctx context.Context, tx pgx.Tx, cs []planner.Change, failures []error, version int64) error {
	if len(cs) == 0 {
		return nil
	}
	dirty, texts := make([]string, len(cs)), make([]string, len(cs))
	for i, c := range cs {
		dirty[i], texts[i] = record.Dirty(c, j.id, failures[i]), clean(failures[i].Error())
	}
	// The objects first: whether one was touched is what its change's state says.
	if _, err := tx.Exec(ctx, sqlFailObjects, j.id, version, ids(cs), refs(cs), dirty, texts); err != nil {
		return fmt.Errorf("write objects: %w", err)
	}
	tag, err := tx.Exec(ctx, sqlFailChanges, j.id, ids(cs), texts)
	if err != nil {
		return fmt.Errorf("write changes: %w", err)
	}
	if n := tag.RowsAffected(); n != int64(len(cs)) {
		return fmt.Errorf("write changes: %d of %d are in the plan and have not finished before", n, len(cs))
	}
	return nil
}

const (
	sqlFailObjects = `
	UPDATE objects SET version = $2, dirty = failed.dirty, finished = micros(), error = failed.error
	FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) AS failed (id, ref, dirty, error)
	JOIN changes ON changes.run = $1 AND changes.id = failed.id AND changes.state = 'started'
	WHERE objects.ref = failed.ref`
	sqlFailChanges = `
	UPDATE changes SET state = 'failed', error = failed.error, finished = present,
		started = CASE WHEN started = 0 THEN present ELSE started END
	FROM unnest($2::bigint[], $3::text[]) AS failed (id, error), micros() AS present
	WHERE changes.run = $1 AND changes.id = failed.id AND state IN ('planned', 'started')`
)

func refs(cs []planner.Change) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Ref().String()
	}
	return out
}

func ids(cs []planner.Change) []int64 {
	out := make([]int64, len(cs))
	for i, c := range cs {
		out[i] = int64(c.ID)
	}
	return out
}

// kinds are the kinds of what is in a container.
func kinds() []string { return words(record.InsideKinds) }

func words(kinds []planner.Kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}
