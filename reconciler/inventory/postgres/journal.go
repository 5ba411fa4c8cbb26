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
// around a *record.ConflictError. What is in a container that is made, replaced or deleted counts as gone from here on,
// for nobody knows whether it still is there.
func (j *journal) Started(ctx context.Context, cs []planner.Change) error {
	err := j.s.write(ctx, func(tx pgx.Tx) error {
		if err := j.fence(ctx, tx, 0, 0); err != nil {
			return err
		}
		if err := compare(ctx, tx, cs); err != nil {
			return err
		}
		version, err := j.s.bump(ctx, tx)
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
func compare(ctx context.Context, tx pgx.Tx, cs []planner.Change) error {
	rows, err := tx.Query(ctx, sqlFound, refs(cs))
	if err != nil {
		return fmt.Errorf("read objects: %w", err)
	}
	found := make(map[string]record.Found, len(cs))
	var ref, hash string
	var gone int64
	_, err = pgx.ForEachRow(rows, []any{&ref, &hash, &gone}, func() error {
		found[ref] = record.Found{Hash: planner.Hash(hash), Gone: gone != 0}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read objects: %w", err)
	}
	return record.Compare(found, cs)
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
	UPDATE changes SET state = 'started', started = micros()
	WHERE run = $1 AND state = 'planned' AND id = ANY ($2::bigint[])`

// starting is the objects of changes as the arrays that unnest takes.
type starting struct {
	ref, kind, target, name            []string
	tenant, ownerKind, ownerName, file []string
	line                               []int64
	pending, pendingHash, dirty        []string
	deleted                            []bool
	nodes, why                         []string // the containers that the changes empty
}

func (j *journal) startObjects(ctx context.Context, tx pgx.Tx, cs []planner.Change, version int64) error {
	var n starting
	for _, c := range cs {
		n.add(c, j.id)
	}
	if len(n.nodes) > 0 {
		if _, err := tx.Exec(ctx, sqlMarkInside, n.nodes, n.why, kinds(), version); err != nil {
			return fmt.Errorf("mark what is in containers: %w", err)
		}
	}
	_, err := tx.Exec(ctx, sqlStartObjects, n.ref, n.kind, n.target, n.name, n.tenant, n.ownerKind, n.ownerName, n.file, n.line,
		n.pending, n.pendingHash, n.dirty, n.deleted, version, j.id)
	return err
}

func (n *starting) add(c planner.Change, run int64) {
	ref, owner, o := c.Ref(), c.Owner(), c.New
	if o == nil {
		o = c.Old
	}
	n.ref, n.kind = append(n.ref, ref.String()), append(n.kind, string(ref.Kind))
	n.target, n.name = append(n.target, ref.Target), append(n.name, ref.Name)
	n.tenant, n.ownerKind, n.ownerName = append(n.tenant, owner.Tenant), append(n.ownerKind, owner.Kind), append(n.ownerName, owner.Name)
	n.file, n.line = append(n.file, owner.File), append(n.line, int64(owner.Line))
	n.pending, n.pendingHash = append(n.pending, string(planner.Encode(o))), append(n.pendingHash, string(planner.HashOf(o)))
	n.dirty = append(n.dirty, fmt.Sprintf("%s of run %d has not finished", c.Action, run))
	n.deleted = append(n.deleted, c.New == nil)
	if record.EmptiesContainer(c) {
		n.nodes = append(n.nodes, ref.Name)
		n.why = append(n.why, fmt.Sprintf("run %d: %s of its container %s", run, c.Action, ref.Name))
	}
}

const (
	// A delete leaves nothing pending, but for an object that never had content: its row alone says what is to be
	// deleted.
	sqlStartObjects = `
	WITH new AS (
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::bigint[], $10::text[], $11::text[], $12::text[], $13::boolean[])
		AS new (ref, kind, target, name, tenant, owner_kind, owner_name, file, line, pending, pending_hash, dirty, deleted)
	), emptied AS (
		SELECT ref FROM objects JOIN new USING (ref) WHERE new.deleted AND objects.content <> ''
	)
	INSERT INTO objects AS o (ref, kind, target, name, tenant, owner_kind, owner_name, file, line,
		content, hash, pending, pending_hash, version, revision, commit_id, dirty, gone, started, finished, error)
	SELECT ref, kind, target, name, tenant, owner_kind, owner_name, file, line, '', '',
		CASE WHEN emptied.ref IS NULL THEN pending ELSE '' END, CASE WHEN emptied.ref IS NULL THEN pending_hash ELSE '' END,
		$14, $15, '', dirty, 0, micros(), 0, ''
	FROM new LEFT JOIN emptied USING (ref)
	ON CONFLICT (ref) DO UPDATE SET
		tenant = excluded.tenant, owner_kind = excluded.owner_kind, owner_name = excluded.owner_name,
		file = excluded.file, line = excluded.line, pending = excluded.pending, pending_hash = excluded.pending_hash,
		version = excluded.version, revision = excluded.revision, dirty = excluded.dirty,
		started = excluded.started, finished = 0, error = ''`
	sqlMarkInside = `
	UPDATE objects SET gone = 1, dirty = emptied.why, version = $4
	FROM unnest($1::text[], $2::text[]) AS emptied (node, why)
	WHERE target = emptied.node AND kind = ANY ($3::text[]) AND gone = 0 AND content <> ''`
)

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
	return nil
}

const (
	sqlFinishChanges = `
	UPDATE changes SET state = 'done', finished = micros()
	WHERE run = $1 AND state = 'started' AND id = ANY ($2::bigint[])`
	sqlFinishObjects = `
	UPDATE objects SET content = pending, hash = pending_hash, pending = '', pending_hash = '',
		version = $1, commit_id = $2, dirty = '', gone = 0, finished = micros(), error = ''
	WHERE ref = ANY ($3::text[])`
	// What is removed is noted for readers.
	sqlRemoveObjects = `
	WITH gone AS (DELETE FROM objects WHERE ref = ANY ($2::text[]) RETURNING ref)
	INSERT INTO removals (version, ref) SELECT $1, ref FROM gone`
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
		dirty[i], texts[i] = fmt.Sprintf("%s of run %d failed", c.Action, j.id), clean(failures[i].Error())
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
func kinds() []string {
	out := make([]string, len(record.InsideKinds))
	for i, k := range record.InsideKinds {
		out[i] = string(k)
	}
	return out
}
