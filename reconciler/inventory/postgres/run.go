package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// Begin implements reconciler.Inventory.
//
// A lock whose holder is dead is free as soon as the server notices that the holder's connection is gone (see hold), and
// at the latest when its lease is over.
func (s *Store) Begin(ctx context.Context, p planner.Plan, by reconciler.Holder) (reconciler.Journal, error) {
	if by.Lease <= 0 {
		by.Lease = reconciler.DefaultLease
	}
	j := &journal{s: s, plan: p, lease: by.Lease, held: &hold{s: s}}
	if err := j.held.connect(ctx); err != nil {
		return nil, fmt.Errorf("begin run: %w", err)
	}
	var refused error // the dead run stays ended even where the new one is refused
	err := s.write(ctx, func(tx pgx.Tx) error {
		if err := s.freeLock(ctx, tx); err != nil {
			return err
		}
		if refused = checkBase(ctx, tx, p); refused == nil {
			return j.begin(ctx, tx, by.Name)
		}
		return nil
	})
	if err := errors.Join(err, refused); err != nil {
		j.held.release()
		return nil, fmt.Errorf("begin run: %w", err)
	}
	return j, nil
}

// freeLock ends a run that nobody holds any more; a *reconciler.LockedError tells of one that somebody does.
func (s *Store) freeLock(ctx context.Context, tx pgx.Tx) error {
	run, over, err := s.runningRun(ctx, tx)
	if err != nil || run.ID == 0 {
		return err
	}
	if !over {
		return &reconciler.LockedError{Run: run.ID, Holder: run.Holder, Since: run.Started}
	}
	return s.interrupt(ctx, tx, run.ID)
}

// runningRun returns the run that holds the lock, of number 0 if there is none, and whether it has lost its right to it.
func (s *Store) runningRun(ctx context.Context, tx pgx.Tx) (run reconciler.Run, over bool, err error) {
	var started, deadline int64
	err = tx.QueryRow(ctx, sqlRunningRun).Scan(&run.ID, &run.Holder, &started, &deadline, &over)
	if errors.Is(err, pgx.ErrNoRows) {
		return run, false, nil
	}
	if err != nil {
		return run, false, fmt.Errorf("read run lock: %w", err)
	}
	run.Started, run.Deadline = at(started), at(deadline)
	if !over {
		over, err = s.holderDead(ctx, tx, run.ID)
	}
	return run, over, err
}

const sqlRunningRun = `SELECT id, holder, started, deadline, deadline <= micros() FROM runs WHERE state = 'running'`

func checkBase(ctx context.Context, tx pgx.Tx, p planner.Plan) error {
	var instance, version, applied string
	if err := tx.QueryRow(ctx, sqlMeta).Scan(&instance, &version, &applied); err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	if p.Instance != instance {
		return reconciler.ErrInstance
	}
	if p.Base != version {
		return reconciler.ErrStale
	}
	return checkAllocations(ctx, tx, p)
}

// checkAllocations checks that what a plan allocates is free, or is another allocation's that the plan replaces.
func checkAllocations(ctx context.Context, tx pgx.Tx, p planner.Plan) error {
	replaced := make(map[planner.Allocation]bool, len(p.Allocations))
	wanted := make(map[planner.Allocation]string, len(p.Allocations))
	for _, a := range p.Replaced() {
		replaced[a] = true
	}
	for _, a := range p.Allocations {
		wanted[planner.Allocation{Scope: a.Scope, Value: a.Value}] = a.Key
	}
	scopes, _, values := columns(p.Allocations)
	found, err := tx.Query(ctx, sqlTakenBy, scopes, values)
	if err != nil {
		return fmt.Errorf("look up allocations: %w", err)
	}
	var t planner.Allocation
	_, err = pgx.ForEachRow(found, []any{&t.Scope, &t.Key, &t.Value}, func() error {
		if replaced[planner.Allocation{Scope: t.Scope, Key: t.Key}] {
			return nil
		}
		return fmt.Errorf("%s %s for %s is %s's: %w", t.Scope, t.Value, wanted[planner.Allocation{Scope: t.Scope, Value: t.Value}], t.Key, reconciler.ErrStale)
	})
	return err
}

const sqlTakenBy = `
	SELECT scope, key, value FROM allocations
	WHERE (scope, value) IN (SELECT * FROM unnest($1::text[], $2::text[]))
	ORDER BY scope, key`

// columns are allocations as the arrays that unnest takes.
func columns(as []planner.Allocation) (scopes, keys, values []string) {
	scopes, keys, values = make([]string, len(as)), make([]string, len(as)), make([]string, len(as))
	for i, a := range as {
		scopes[i], keys[i], values[i] = a.Scope, a.Key, a.Value
	}
	return scopes, keys, values
}

// journal is a run under way.
type journal struct {
	s     *Store
	id    int64
	plan  planner.Plan
	lease time.Duration
	held  *hold
}

var _ reconciler.Journal = (*journal)(nil)

// Run implements reconciler.Journal.
func (j *journal) Run() int64 { return j.id }

// begin writes the run, its plan, its changes and its allocations.
func (j *journal) begin(ctx context.Context, tx pgx.Tx, holder string) error {
	if err := tx.QueryRow(ctx, sqlNextRun).Scan(&j.id); err != nil {
		return fmt.Errorf("number run: %w", err)
	}
	if err := j.held.take(ctx, j.id); err != nil {
		return err
	}
	hash, err := savePlan(ctx, tx, j.plan)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sqlCreateRun, j.id, j.plan.Commit, hash, clean(holder), len(j.plan.Changes), j.lease.Microseconds()); err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"changes"}, []string{"run", "id", "ref", "action", "state", "error", "started", "finished", "tenant"},
		pgx.CopyFromSlice(len(j.plan.Changes), func(i int) ([]any, error) {
			c := j.plan.Changes[i]
			return []any{j.id, c.ID, c.Ref().String(), string(c.Action), "planned", "", 0, 0, c.Owner().Tenant}, nil
		}))
	if err != nil {
		return fmt.Errorf("write changes: %w", err)
	}
	if err := j.reserve(ctx, tx); err != nil {
		return err
	}
	if err := j.noteTargets(ctx, tx); err != nil {
		return err
	}
	if err := rememberBegun(ctx, tx, j.plan); err != nil {
		return err
	}
	_, err = j.s.bump(ctx, tx)
	return err
}

// noteTargets adds the plan's targets to those that are known.
func (j *journal) noteTargets(ctx context.Context, tx pgx.Tx) error {
	names, bodies := make([]string, len(j.plan.Targets)), make([]string, len(j.plan.Targets))
	for i, t := range j.plan.Targets {
		body, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("encode target %s: %w", t.Name, err)
		}
		names[i], bodies[i] = t.Name, string(body)
	}
	if _, err := tx.Exec(ctx, sqlNoteTargets, names, bodies); err != nil {
		return fmt.Errorf("write targets: %w", err)
	}
	return nil
}

const sqlNoteTargets = `
	INSERT INTO targets (name, body) SELECT * FROM unnest($1::text[], $2::text[])
	ON CONFLICT (name) DO UPDATE SET body = excluded.body`

const (
	sqlNextRun   = `SELECT coalesce(max(id), 0) + 1 FROM runs`
	sqlCreateRun = `
	INSERT INTO runs (id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished)
	SELECT $1, $2, $3, $4, 'running', '', $5, 0, 0, present, present + $6, 0 FROM micros() AS present`
)

// reserve writes the plan's allocations. What they replace goes first, for two may swap their values.
func (j *journal) reserve(ctx context.Context, tx pgx.Tx) error {
	scopes, keys, _ := columns(j.plan.Replaced())
	if _, err := tx.Exec(ctx, sqlReplaced, scopes, keys); err != nil {
		return fmt.Errorf("replace allocations: %w", err)
	}
	scopes, keys, values := columns(j.plan.Allocations)
	if _, err := tx.Exec(ctx, sqlReserve, scopes, keys, values, j.id); err != nil {
		return fmt.Errorf("reserve allocations: %w", err)
	}
	return nil
}

const (
	sqlReplaced = `DELETE FROM allocations WHERE (scope, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))`
	sqlReserve  = `
	INSERT INTO allocations (scope, key, value, run)
	SELECT scope, key, value, $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS new (scope, key, value)`
)

// Extend implements reconciler.Journal.
func (j *journal) Extend(ctx context.Context) error {
	j.held.keep(ctx)
	// No other writer is waited for: what they write is none of the lease's business.
	if err := pgx.BeginFunc(ctx, j.s.pool, func(tx pgx.Tx) error { return j.fence(ctx, tx, 0, 0) }); err != nil {
		return fmt.Errorf("extend run %d: %w", j.id, err)
	}
	return nil
}

// fence checks, within a transaction that writes, that the run still holds the lock. That is a sign of life, so it
// renews the lease. It counts what is done and what failed.
func (j *journal) fence(ctx context.Context, tx pgx.Tx, done, failed int) error {
	tag, err := tx.Exec(ctx, sqlFence, j.lease.Microseconds(), done, failed, j.id)
	if err != nil {
		return fmt.Errorf("check run lock: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return record.ErrLost
	}
	return nil
}

const sqlFence = `
	UPDATE runs SET deadline = micros() + $1, done = done + $2, failed = failed + $3 WHERE id = $4 AND state = 'running'`

// End implements reconciler.Journal. It is carried through even where ctx is done.
func (j *journal) End(ctx context.Context, outcome reconciler.RunState, message string) error {
	ctx = context.WithoutCancel(ctx)
	defer j.held.release()
	err := j.s.write(ctx, func(tx pgx.Tx) error {
		if err := j.fence(ctx, tx, 0, 0); err != nil {
			return err
		}
		switch outcome {
		case reconciler.Succeeded:
			if err := j.settle(ctx, tx); err != nil {
				return err
			}
		case reconciler.Failed, reconciler.Interrupted:
		default:
			return fmt.Errorf("%q is no outcome of a run", outcome)
		}
		return endRun(ctx, tx, j.id, outcome, message)
	})
	if err != nil {
		return fmt.Errorf("end run %d: %w", j.id, err)
	}
	return nil
}

// settle makes the plan's commit and targets the last applied ones, and gives back what it no longer needs.
func (j *journal) settle(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, sqlSetApplied, j.plan.Commit); err != nil {
		return fmt.Errorf("write applied commit: %w", err)
	}
	if _, err := tx.Exec(ctx, sqlClearTargets); err != nil {
		return fmt.Errorf("clear targets: %w", err)
	}
	if err := j.noteTargets(ctx, tx); err != nil {
		return err
	}
	scopes, keys, values := columns(j.plan.Released)
	if _, err := tx.Exec(ctx, sqlRelease, scopes, keys, values); err != nil {
		return fmt.Errorf("release allocations: %w", err)
	}
	if err := remember(ctx, tx, j.plan.Remember); err != nil {
		return err
	}
	_, err := j.s.bump(ctx, tx)
	return err
}

const (
	sqlSetApplied   = `UPDATE meta SET applied = $1`
	sqlClearTargets = `DELETE FROM targets`
	sqlRelease      = `
	DELETE FROM allocations WHERE (scope, key, value) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`
)

// interrupt ends a run that its holder will not end.
func (s *Store) interrupt(ctx context.Context, tx pgx.Tx, run int64) error {
	return endRun(ctx, tx, run, reconciler.Interrupted, "its holder gave no sign of life")
}

// endRun ends a run. Changes that it started and did not finish have failed, as far as anybody knows. Their objects are
// dirty since they were started, so nothing changes for a plan.
func endRun(ctx context.Context, tx pgx.Tx, run int64, outcome reconciler.RunState, message string) error {
	if _, err := tx.Exec(ctx, sqlEndObjects, run); err != nil {
		return fmt.Errorf("end objects of run %d: %w", run, err)
	}
	tag, err := tx.Exec(ctx, sqlEndChanges, fmt.Sprintf("run %d ended before this change did", run), run)
	if err != nil {
		return fmt.Errorf("end changes of run %d: %w", run, err)
	}
	if _, err := tx.Exec(ctx, sqlEndRun, string(outcome), clean(message), tag.RowsAffected(), run); err != nil {
		return fmt.Errorf("end run %d: %w", run, err)
	}
	return prune(ctx, tx, run)
}

const (
	sqlEndObjects = `
	UPDATE objects SET finished = micros()
	WHERE ref IN (SELECT ref FROM changes WHERE run = $1 AND state = 'started')`
	sqlEndChanges = `
	UPDATE changes SET state = 'failed', error = $1, finished = micros() WHERE run = $2 AND state = 'started'`
	sqlEndRun = `
	UPDATE runs SET state = $1, message = $2, failed = failed + $3, finished = micros() WHERE id = $4`
)
