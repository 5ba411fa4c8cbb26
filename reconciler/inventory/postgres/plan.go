package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// Plan returns a plan that was begun, by its content hash, or record.ErrNoPlan.
func (s *Store) Plan(ctx context.Context, hash string) (planner.Plan, error) {
	var body string
	err := s.pool.QueryRow(ctx, sqlPlan, clean(hash)).Scan(&body)
	if errors.Is(err, pgx.ErrNoRows) {
		err = record.ErrNoPlan
	}
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read plan %.12s: %w", hash, err)
	}
	p, err := planner.DecodePlan([]byte(body))
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read plan %.12s: %w", hash, err)
	}
	return p, nil
}

const sqlPlan = `SELECT body FROM plans WHERE hash = $1`

// savePlan stores a plan under its content hash, which it returns.
func savePlan(ctx context.Context, tx pgx.Tx, p planner.Plan) (hash string, err error) {
	body, sum, err := planner.SealPlan(p)
	if err != nil {
		return "", err
	}
	hash = string(sum)
	if _, err := tx.Exec(ctx, sqlCreatePlan, hash, p.Commit, body); err != nil {
		return "", fmt.Errorf("write plan: %w", err)
	}
	return hash, nil
}

const sqlCreatePlan = `
	INSERT INTO plans (hash, commit_id, created, body) VALUES ($1, $2, micros(), $3) ON CONFLICT (hash) DO NOTHING`

// prune forgets what is too old to be kept, as a run ends.
func prune(ctx context.Context, tx pgx.Tx, run int64) error {
	if _, err := tx.Exec(ctx, sqlPrunePlans, run-record.PlansKept); err != nil {
		return fmt.Errorf("forget old plans: %w", err)
	}
	if _, err := tx.Exec(ctx, sqlPruneChanges, run-record.JournalsKept); err != nil {
		return fmt.Errorf("forget old journals: %w", err)
	}
	if _, err := tx.Exec(ctx, sqlPruneRemovals, record.RemovalsKept); err != nil {
		return fmt.Errorf("forget old removals: %w", err)
	}
	return nil
}

const (
	sqlPrunePlans = `
	DELETE FROM plans
	WHERE hash IN (SELECT plan FROM runs WHERE id <= $1) AND hash NOT IN (SELECT plan FROM runs WHERE id > $1)`
	sqlPruneChanges  = `DELETE FROM changes WHERE run <= $1`
	sqlPruneRemovals = `DELETE FROM removals WHERE version <= (SELECT version FROM meta) - $1::bigint`
)
