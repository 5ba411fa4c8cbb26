package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

var _ reconciler.SecretKeeper = (*Store)(nil)

// KeepSecret implements reconciler.SecretKeeper.
func (s *Store) KeepSecret(ctx context.Context, g reconciler.GeneratedSecret) (kept reconciler.GeneratedSecret, err error) {
	err = s.write(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, sqlKeepSecret, g.Tenant, g.Name, int64(g.Generation), g.Sealed)
		if err != nil {
			return err
		}
		if done.RowsAffected() > 0 && g.Generation > 1 {
			if _, err := tx.Exec(ctx, sqlForgetSecrets, g.Tenant, g.Name, int64(g.Generation-1)); err != nil {
				return err
			}
			if _, err := s.bump(ctx, tx); err != nil {
				return err
			}
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
	INSERT INTO secrets (tenant, name, generation, sealed, made, shown) VALUES ($1, $2, $3, $4, micros(), 0)
	ON CONFLICT (tenant, name, generation) DO NOTHING`
	sqlForgetSecrets = `DELETE FROM secrets WHERE tenant = $1 AND name = $2 AND generation < $3`
)

// Secret implements reconciler.SecretKeeper.
func (s *Store) Secret(ctx context.Context, tenant, name string, generation int) (g reconciler.GeneratedSecret, err error) {
	err = s.read(ctx, func(tx pgx.Tx) (err error) {
		g, err = secretOf(ctx, tx, tenant, name, generation)
		return err
	})
	return g, err
}

// ShowSecret implements reconciler.SecretKeeper.
func (s *Store) ShowSecret(ctx context.Context, tenant, name string) (g reconciler.GeneratedSecret, err error) {
	err = s.write(ctx, func(tx pgx.Tx) (err error) {
		if g, err = secretOf(ctx, tx, tenant, name, 0); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlShowSecret, tenant, name, int64(g.Generation))
		return err
	})
	return g, err
}

const sqlShowSecret = `UPDATE secrets SET shown = micros() WHERE tenant = $1 AND name = $2 AND generation = $3 AND shown = 0`

func secretOf(ctx context.Context, tx pgx.Tx, tenant, name string, generation int) (reconciler.GeneratedSecret, error) {
	g := reconciler.GeneratedSecret{Tenant: tenant, Name: name}
	var made, shown int64
	err := tx.QueryRow(ctx, sqlSecret, tenant, name, int64(generation)).Scan(&g.Generation, &g.Sealed, &made, &shown)
	if errors.Is(err, pgx.ErrNoRows) {
		return g, reconciler.ErrNoSecret
	}
	if err != nil {
		return g, fmt.Errorf("read generated secret: %w", err)
	}
	g.Made, g.Shown = at(made), at(shown)
	return g, nil
}

const sqlSecret = `
	SELECT generation, sealed, made, shown FROM secrets WHERE tenant = $1 AND name = $2 AND (generation = $3 OR $3 = 0)
	ORDER BY generation DESC LIMIT 1`

// GeneratedSecrets implements reconciler.SecretKeeper.
func (s *Store) GeneratedSecrets(ctx context.Context) (out []reconciler.GeneratedSecret, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, sqlSecrets)
		if err != nil {
			return err
		}
		var g reconciler.GeneratedSecret
		var made, shown int64
		_, err = pgx.ForEachRow(found, []any{&g.Tenant, &g.Name, &g.Generation, &g.Sealed, &made, &shown}, func() error {
			g.Made, g.Shown = at(made), at(shown)
			out = append(out, g)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read generated secrets: %w", err)
	}
	return out, nil
}

const sqlSecrets = `
	SELECT DISTINCT ON (tenant, name) tenant, name, generation, sealed, made, shown FROM secrets
	ORDER BY tenant, name, generation DESC`

// readGenerations fills in the generations that aren't the first, and what is lost.
func readGenerations(ctx context.Context, tx pgx.Tx, l *planner.Live) error {
	found, err := tx.Query(ctx, sqlGenerations)
	if err != nil {
		return err
	}
	var g planner.Generated
	var n int
	var lost bool
	_, err = pgx.ForEachRow(found, []any{&g.Tenant, &g.Name, &n, &lost}, func() error {
		record.AddGeneration(l, g, n, lost)
		return nil
	})
	return err
}

const sqlGenerations = `
	SELECT s.tenant, s.name, s.generation, s.sealed = '' FROM secrets AS s
	WHERE s.generation = (SELECT max(generation) FROM secrets AS t WHERE t.tenant = s.tenant AND t.name = s.name)
	  AND (s.generation > 1 OR s.sealed = '')`
