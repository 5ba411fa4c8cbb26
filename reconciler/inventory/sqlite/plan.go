package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Plan returns a plan that was begun, by its content hash, or record.ErrNoPlan.
func (s *Store) Plan(ctx context.Context, hash string) (planner.Plan, error) {
	var body []byte
	err := s.r.QueryRowContext(ctx, sqlPlan, hash).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		err = record.ErrNoPlan
	}
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read plan %.12s: %w", hash, err)
	}
	p, err := planner.DecodePlan(body)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read plan %.12s: %w", hash, err)
	}
	return p, nil
}

const sqlPlan = `SELECT body FROM plans WHERE hash = ?`

// savePlan stores a plan under its content hash, which it returns.
func savePlan(ctx context.Context, tx *sql.Tx, p planner.Plan) (hash string, err error) {
	body, sum, err := planner.SealPlan(p)
	if err != nil {
		return "", err
	}
	hash = string(sum)
	if _, err := tx.ExecContext(ctx, sqlCreatePlan, hash, p.Commit, now(), string(body)); err != nil {
		return "", fmt.Errorf("write plan: %w", err)
	}
	return hash, nil
}

const sqlCreatePlan = `INSERT INTO plans (hash, commit_id, created, body) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`

// prune forgets what is too old to be kept, as a run ends.
func prune(ctx context.Context, tx *sql.Tx, run int64) error {
	if _, err := tx.ExecContext(ctx, sqlPrunePlans, run-record.PlansKept, run-record.PlansKept); err != nil {
		return fmt.Errorf("forget old plans: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlPruneChanges, run-record.JournalsKept); err != nil {
		return fmt.Errorf("forget old journals: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlPruneRemovals, record.RemovalsKept); err != nil {
		return fmt.Errorf("forget old removals: %w", err)
	}
	return nil
}

const (
	sqlPrunePlans = `
	DELETE FROM plans
	WHERE hash IN (SELECT plan FROM runs WHERE id <= ?) AND hash NOT IN (SELECT plan FROM runs WHERE id > ?)`
	sqlPruneChanges  = `DELETE FROM changes WHERE run <= ?`
	sqlPruneRemovals = `DELETE FROM removals WHERE version <= (SELECT version FROM meta) - ?`
)
