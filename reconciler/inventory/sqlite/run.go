package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// Begin implements reconciler.Inventory.
//
// A lock whose holder is dead is free at once where the system can tell (see holdRun), and else when its lease is over.
func (s *Store) Begin(ctx context.Context, p planner.Plan, by reconciler.Holder) (reconciler.Journal, error) {
	if by.Lease <= 0 {
		by.Lease = reconciler.DefaultLease
	}
	j := &journal{s: s, plan: p, lease: by.Lease, release: func() {}}
	var refused error // the dead run stays ended even where the new one is refused
	err := s.write(ctx, func(tx *sql.Tx) error {
		if err := s.freeLock(ctx, tx); err != nil {
			return err
		}
		if refused = checkBase(ctx, tx, p); refused == nil {
			return j.begin(ctx, tx, by.Name)
		}
		return nil
	})
	if err := errors.Join(err, refused); err != nil {
		j.release()
		return nil, fmt.Errorf("begin run: %w", err)
	}
	return j, nil
}

// freeLock ends a run that nobody holds any more; a *reconciler.LockedError tells of one that somebody does.
func (s *Store) freeLock(ctx context.Context, tx *sql.Tx) error {
	run, ok, err := runningRun(ctx, tx)
	if err != nil || !ok {
		return err
	}
	if !over(s.file, run) {
		return &reconciler.LockedError{Run: run.ID, Holder: run.Holder, Since: run.Started}
	}
	return interrupt(ctx, tx, run.ID)
}

// over reports whether a running run has lost its right to the lock.
func over(file string, run reconciler.Run) bool {
	return !time.Now().Before(run.Deadline) || holderDead(file, run.ID)
}

// runningRun returns the run that holds the lock, if there is one.
func runningRun(ctx context.Context, tx *sql.Tx) (run reconciler.Run, ok bool, err error) {
	var started, deadline int64
	err = tx.QueryRowContext(ctx, sqlRunningRun).Scan(&run.ID, &run.Holder, &started, &deadline)
	if errors.Is(err, sql.ErrNoRows) {
		return run, false, nil
	}
	if err != nil {
		return run, false, fmt.Errorf("read run lock: %w", err)
	}
	run.Started, run.Deadline = at(started), at(deadline)
	return run, true, nil
}

const sqlRunningRun = `SELECT id, holder, started, deadline FROM runs WHERE state = 'running'`

func checkBase(ctx context.Context, tx *sql.Tx, p planner.Plan) error {
	var instance, version, applied string
	if err := tx.QueryRowContext(ctx, sqlMeta).Scan(&instance, &version, &applied); err != nil {
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
func checkAllocations(ctx context.Context, tx *sql.Tx, p planner.Plan) error {
	replaced := make(map[planner.Allocation]bool, len(p.Allocations))
	for _, a := range p.Replaced() {
		replaced[a] = true
	}
	for _, a := range p.Allocations {
		var key string
		switch err := tx.QueryRowContext(ctx, sqlTakenBy, a.Scope, a.Value).Scan(&key); {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return fmt.Errorf("look up allocation: %w", err)
		}
		if !replaced[planner.Allocation{Scope: a.Scope, Key: key}] {
			return fmt.Errorf("%s %s for %s is %s's: %w", a.Scope, a.Value, a.Key, key, reconciler.ErrStale)
		}
	}
	return nil
}

const sqlTakenBy = `SELECT key FROM allocations WHERE scope = ? AND value = ?`

// journal is a run under way.
type journal struct {
	s       *Store
	id      int64
	plan    planner.Plan
	lease   time.Duration
	release func() // of the lock that tells that we live
}

var _ reconciler.Journal = (*journal)(nil)

// Run implements reconciler.Journal.
func (j *journal) Run() int64 { return j.id }

// begin writes the run, its plan, its changes and its allocations.
func (j *journal) begin(ctx context.Context, tx *sql.Tx, holder string) error {
	if err := tx.QueryRowContext(ctx, sqlNextRun).Scan(&j.id); err != nil {
		return fmt.Errorf("number run: %w", err)
	}
	release, err := holdRun(j.s.file, j.id)
	if err != nil {
		return err
	}
	j.release = release
	hash, err := savePlan(ctx, tx, j.plan)
	if err != nil {
		return err
	}
	t := now()
	if _, err := tx.ExecContext(ctx, sqlCreateRun, j.id, j.plan.Commit, hash, holder, len(j.plan.Changes), t, t+j.lease.Microseconds()); err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	if err := j.createChanges(ctx, tx); err != nil {
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
	_, err = bump(ctx, tx)
	return err
}

// noteTargets adds the plan's targets to those that are known.
func (j *journal) noteTargets(ctx context.Context, tx *sql.Tx) error {
	for _, t := range j.plan.Targets {
		body, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("encode target %s: %w", t.Name, err)
		}
		if _, err := tx.ExecContext(ctx, sqlNoteTarget, t.Name, string(body)); err != nil {
			return fmt.Errorf("write target %s: %w", t.Name, err)
		}
	}
	return nil
}

const sqlNoteTarget = `INSERT INTO targets (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body`

// reserve writes the plan's allocations. What they replace goes first, for two may swap their values.
func (j *journal) reserve(ctx context.Context, tx *sql.Tx) error {
	for _, a := range j.plan.Replaced() {
		if _, err := tx.ExecContext(ctx, sqlReplaced, a.Scope, a.Key); err != nil {
			return fmt.Errorf("replace %s of %s: %w", a.Scope, a.Key, err)
		}
	}
	for _, a := range j.plan.Allocations {
		if _, err := tx.ExecContext(ctx, sqlReserve, a.Scope, a.Key, a.Value, j.id); err != nil {
			return fmt.Errorf("reserve %s %s for %s: %w", a.Scope, a.Value, a.Key, err)
		}
	}
	return nil
}

const (
	sqlReplaced = `DELETE FROM allocations WHERE scope = ? AND key = ?`
	sqlReserve  = `INSERT INTO allocations (scope, key, value, run) VALUES (?, ?, ?, ?)`
)

func (j *journal) createChanges(ctx context.Context, tx *sql.Tx) error {
	stmt, err := tx.PrepareContext(ctx, sqlCreateChange)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	for _, c := range j.plan.Changes {
		if _, err := stmt.ExecContext(ctx, j.id, c.ID, c.Ref().String(), string(c.Action), c.Owner().Tenant); err != nil {
			return err
		}
	}
	return nil
}

const (
	sqlNextRun   = `SELECT coalesce(max(id), 0) + 1 FROM runs`
	sqlCreateRun = `
	INSERT INTO runs (id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished)
	VALUES (?, ?, ?, ?, 'running', '', ?, 0, 0, ?, ?, 0)`
	sqlCreateChange = `
	INSERT INTO changes (run, id, ref, action, state, error, started, finished, tenant) VALUES (?, ?, ?, ?, 'planned', '', 0, 0, ?)`
)

// Extend implements reconciler.Journal.
func (j *journal) Extend(ctx context.Context) error {
	err := j.s.write(ctx, func(tx *sql.Tx) error { return j.fence(ctx, tx, 0, 0) })
	if err != nil {
		return fmt.Errorf("extend run %d: %w", j.id, err)
	}
	return nil
}

// fence checks, within a transaction that writes, that the run still holds the lock. That is a sign of life, so it
// renews the lease. It counts what is done and what failed.
func (j *journal) fence(ctx context.Context, tx *sql.Tx, done, failed int) error {
	res, err := tx.ExecContext(ctx, sqlFence, now()+j.lease.Microseconds(), done, failed, j.id)
	if err != nil {
		return fmt.Errorf("check run lock: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(record.ErrLost, err)
	}
	return nil
}

const sqlFence = `
	UPDATE runs SET deadline = ?, done = done + ?, failed = failed + ? WHERE id = ? AND state = 'running'`

// End implements reconciler.Journal. It is carried through even where ctx is done.
func (j *journal) End(ctx context.Context, outcome reconciler.RunState, message string) error {
	ctx = context.WithoutCancel(ctx)
	defer j.release()
	err := j.s.write(ctx, func(tx *sql.Tx) error {
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
func (j *journal) settle(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, sqlSetApplied, j.plan.Commit); err != nil {
		return fmt.Errorf("write applied commit: %w", err)
	}
	if err := remember(ctx, tx, j.plan.Remember); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlClearTargets); err != nil {
		return fmt.Errorf("clear targets: %w", err)
	}
	if err := j.noteTargets(ctx, tx); err != nil {
		return err
	}
	for _, a := range j.plan.Released {
		if _, err := tx.ExecContext(ctx, sqlRelease, a.Scope, a.Key, a.Value); err != nil {
			return fmt.Errorf("release %s %s of %s: %w", a.Scope, a.Value, a.Key, err)
		}
	}
	_, err := bump(ctx, tx)
	return err
}

const (
	sqlSetApplied   = `UPDATE meta SET applied = ?`
	sqlClearTargets = `DELETE FROM targets`
	sqlRelease      = `DELETE FROM allocations WHERE scope = ? AND key = ? AND value = ?`
)

// interrupt ends a run that its holder will not end.
func interrupt(ctx context.Context, tx *sql.Tx, run int64) error {
	return endRun(ctx, tx, run, reconciler.Interrupted, "its holder gave no sign of life")
}

// endRun ends a run. Changes that it started and did not finish have failed, as far as anybody knows. Their objects are
// dirty since they were started, so nothing changes for a plan.
func endRun(ctx context.Context, tx *sql.Tx, run int64, outcome reconciler.RunState, message string) error {
	t, why := now(), "run "+strconv.FormatInt(run, 10)+" ended before this change did"
	if _, err := tx.ExecContext(ctx, sqlEndObjects, t, run); err != nil {
		return fmt.Errorf("end objects of run %d: %w", run, err)
	}
	res, err := tx.ExecContext(ctx, sqlEndChanges, why, t, run)
	if err != nil {
		return fmt.Errorf("end changes of run %d: %w", run, err)
	}
	failed, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("end changes of run %d: %w", run, err)
	}
	if _, err := tx.ExecContext(ctx, sqlEndRun, string(outcome), message, failed, t, run); err != nil {
		return fmt.Errorf("end run %d: %w", run, err)
	}
	return prune(ctx, tx, run)
}

const (
	sqlEndObjects = `
	UPDATE objects SET finished = ?
	WHERE ref IN (SELECT ref FROM changes WHERE run = ? AND state = 'started')`
	sqlEndChanges = `UPDATE changes SET state = 'failed', error = ?, finished = ? WHERE run = ? AND state = 'started'`
	sqlEndRun     = `UPDATE runs SET state = ?, message = ?, failed = failed + ?, finished = ? WHERE id = ?`
)
