package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// Backup implements reconciler.Inventory.
func (s *Store) Backup(ctx context.Context, file string) error {
	return record.WriteBackup(file, func(w *record.BackupWriter) error {
		return s.read(ctx, func(tx pgx.Tx) error {
			for _, t := range record.Tables {
				if err := backUp(ctx, tx, w, t); err != nil {
					return fmt.Errorf("table %s: %w", t.Name, err)
				}
			}
			return nil
		})
	})
}

func backUp(ctx context.Context, tx pgx.Tx, w *record.BackupWriter, t record.Table) error {
	statement, args := "SELECT "+strings.Join(t.Columns, ", ")+" FROM "+t.Name, []any{}
	if t.ByRun != "" {
		statement, args = statement+" WHERE "+t.ByRun+" > (SELECT coalesce(max(id), 0) FROM runs) - $1::bigint", []any{record.RunsKept}
	}
	found, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		values, err := found.Values()
		if err != nil {
			return err
		}
		if err := w.Row(t, values); err != nil {
			return err
		}
	}
	return found.Err()
}

// Restore implements record.Store.
func (s *Store) Restore(ctx context.Context, backup io.Reader) error {
	r := restorer{ctx: ctx}
	// Not tried again where others are in the way: the backup is read once.
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r.tx = tx
		if _, err := tx.Exec(ctx, sqlWriteAlone); err != nil {
			return err
		}
		version, err := clearEmpty(ctx, tx)
		if err != nil {
			return err
		}
		if err := errors.Join(record.ReadBackup(backup, r.row), r.flush()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlRestored, version); err != nil {
			return fmt.Errorf("write version: %w", err)
		}
		if _, err := s.bump(ctx, tx); err != nil {
			return err
		}
		run, _, err := s.runningRun(ctx, tx)
		if err != nil || run.ID == 0 {
			return err
		}
		return s.interrupt(ctx, tx, run.ID)
	})
	if err != nil {
		return fmt.Errorf("restore inventory: %w", err)
	}
	return nil
}

// A reader that knows a version of the empty inventory must see a later one.
const sqlRestored = `UPDATE meta SET version = greatest(version, $1)`

// restorer copies the rows of a backup, some at a time.
type restorer struct {
	ctx     context.Context //nolint:containedctx // of the one call that it lives in
	tx      pgx.Tx
	table   string
	columns []string
	rows    [][]any
}

// restoredAtOnce is how many rows are kept until they are copied.
const restoredAtOnce = 5_000

func (r *restorer) row(t record.Table, columns []string, values []any) error {
	if t.Name != r.table || !slices.Equal(columns, r.columns) || len(r.rows) == restoredAtOnce {
		if err := r.flush(); err != nil {
			return err
		}
		r.table, r.columns = t.Name, columns
	}
	r.rows = append(r.rows, values)
	return nil
}

func (r *restorer) flush() error {
	if len(r.rows) == 0 {
		return nil
	}
	_, err := r.tx.CopyFrom(r.ctx, pgx.Identifier{r.table}, r.columns, pgx.CopyFromRows(r.rows))
	r.rows = nil
	if err != nil {
		return fmt.Errorf("table %s: %w", r.table, err)
	}
	return nil
}

// clearEmpty removes what even an empty inventory holds and returns its version; it refuses one that isn't empty.
func clearEmpty(ctx context.Context, tx pgx.Tx) (version int64, err error) {
	var n int64
	if err := tx.QueryRow(ctx, sqlCountAll).Scan(&version, &n); err != nil {
		return 0, fmt.Errorf("look whether it is empty: %w", err)
	}
	if n > 0 {
		return 0, record.ErrNotEmpty
	}
	for _, statement := range []string{sqlClearMeta, sqlClearImages, sqlClearDown} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return 0, err
		}
	}
	return version, nil
}

const (
	sqlCountAll = `
	SELECT version, (SELECT count(*) FROM runs) + (SELECT count(*) FROM objects) + (SELECT count(*) FROM allocations) FROM meta`
	sqlClearMeta   = `DELETE FROM meta`
	sqlClearImages = `DELETE FROM images`
)

// Adopt implements record.Store.
func (s *Store) Adopt(ctx context.Context, instance string, fence int64) error {
	err := s.adopt(ctx, instance, fence)
	if err != nil {
		return fmt.Errorf("adopt instance %s: %w", instance, err)
	}
	return nil
}

func (s *Store) adopt(ctx context.Context, instance string, fence int64) error {
	if err := record.CheckInstance(instance); err != nil {
		return err
	}
	return s.write(ctx, func(tx pgx.Tx) error {
		version, err := clearEmpty(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlAdopt, instance, version); err != nil {
			return err
		}
		if _, err := s.bump(ctx, tx); err != nil || fence <= 0 {
			return err
		}
		_, err = tx.Exec(ctx, sqlLostRun, fence, string(reconciler.Interrupted))
		return err
	})
}

const (
	sqlAdopt = `INSERT INTO meta (one, instance, version, applied) VALUES (1, $1, $2, '')`
	// The last run that a far side remembers stands for all that were lost.
	sqlLostRun = `
	INSERT INTO runs (id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished)
	SELECT $1, '', 'lost', 'lost', $2, 'the record of the runs up to this one is lost', 0, 0, 0, present, present, present
	FROM micros() AS present`
)
