package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

var _ reconciler.SecretKeeper = (*Store)(nil)

// KeepSecret implements reconciler.SecretKeeper.
func (s *Store) KeepSecret(ctx context.Context, g reconciler.GeneratedSecret) (kept reconciler.GeneratedSecret, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, sqlKeepSecret, g.Tenant, g.Name, g.Generation, g.Sealed, now())
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 || g.Generation == 1 {
			kept, err = secretOf(ctx, tx, g.Tenant, g.Name, g.Generation)
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlForgetSecrets, g.Tenant, g.Name, g.Generation-1); err != nil {
			return err
		}
		if _, err := bump(ctx, tx); err != nil {
			return err
		}
		kept, err = secretOf(ctx, tx, g.Tenant, g.Name, g.Generation)
		return err
	})
	if err != nil {
		return kept, fmt.Errorf("keep generated secret: %w", err)
	}
	return kept, nil
}

const (
	sqlKeepSecret = `
	INSERT INTO secrets (tenant, name, generation, sealed, made, shown) VALUES (?, ?, ?, ?, ?, 0)
	ON CONFLICT (tenant, name, generation) DO NOTHING`
	sqlForgetSecrets = `DELETE FROM secrets WHERE tenant = ? AND name = ? AND generation < ?`
)

// Secret implements reconciler.SecretKeeper.
func (s *Store) Secret(ctx context.Context, tenant, name string, generation int) (g reconciler.GeneratedSecret, err error) {
	err = s.read(ctx, func(tx *sql.Tx) (err error) {
		g, err = secretOf(ctx, tx, tenant, name, generation)
		return err
	})
	return g, err
}

// ShowSecret implements reconciler.SecretKeeper.
func (s *Store) ShowSecret(ctx context.Context, tenant, name string) (g reconciler.GeneratedSecret, err error) {
	err = s.write(ctx, func(tx *sql.Tx) (err error) {
		if g, err = secretOf(ctx, tx, tenant, name, 0); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, sqlShowSecret, now(), tenant, name, g.Generation)
		return err
	})
	return g, err
}

const sqlShowSecret = `UPDATE secrets SET shown = ? WHERE tenant = ? AND name = ? AND generation = ? AND shown = 0`

func secretOf(ctx context.Context, tx *sql.Tx, tenant, name string, generation int) (reconciler.GeneratedSecret, error) {
	g := reconciler.GeneratedSecret{Tenant: tenant, Name: name}
	var made, shown int64
	err := tx.QueryRowContext(ctx, sqlSecret, tenant, name, generation, generation).Scan(&g.Generation, &g.Sealed, &made, &shown)
	if errors.Is(err, sql.ErrNoRows) {
		return g, reconciler.ErrNoSecret
	}
	if err != nil {
		return g, fmt.Errorf("read generated secret: %w", err)
	}
	g.Made, g.Shown = at(made), at(shown)
	return g, nil
}

const sqlSecret = `
	SELECT generation, sealed, made, shown FROM secrets WHERE tenant = ? AND name = ? AND (generation = ? OR ? = 0)
	ORDER BY generation DESC LIMIT 1`

// GeneratedSecrets implements reconciler.SecretKeeper.
func (s *Store) GeneratedSecrets(ctx context.Context) ([]reconciler.GeneratedSecret, error) {
	var out []reconciler.GeneratedSecret
	err := s.read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, sqlSecrets)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var g reconciler.GeneratedSecret
			var made, shown int64
			if err := rows.Scan(&g.Tenant, &g.Name, &g.Generation, &g.Sealed, &made, &shown); err != nil {
				return err
			}
			g.Made, g.Shown = at(made), at(shown)
			out = append(out, g)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read generated secrets: %w", err)
	}
	return out, nil
}

const sqlSecrets = `
	SELECT s.tenant, s.name, s.generation, s.sealed, s.made, s.shown FROM secrets AS s
	WHERE s.generation = (SELECT max(generation) FROM secrets AS t WHERE t.tenant = s.tenant AND t.name = s.name)
	ORDER BY s.tenant, s.name`

// readGenerations fills in the generations that aren't the first, and what is lost.
func readGenerations(ctx context.Context, tx *sql.Tx, l *planner.Live) error {
	rows, err := tx.QueryContext(ctx, sqlGenerations)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var g planner.Generated
		var n int
		var lost bool
		if err := rows.Scan(&g.Tenant, &g.Name, &n, &lost); err != nil {
			return err
		}
		record.AddGeneration(l, g, n, lost)
	}
	return rows.Err()
}

const sqlGenerations = `
	SELECT s.tenant, s.name, s.generation, s.sealed = '' FROM secrets AS s
	WHERE s.generation = (SELECT max(generation) FROM secrets AS t WHERE t.tenant = s.tenant AND t.name = s.name)
	  AND (s.generation > 1 OR s.sealed = '')`
