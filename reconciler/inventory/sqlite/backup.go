package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"

	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// Backup implements reconciler.Inventory.
func (s *Store) Backup(ctx context.Context, file string) error {
	return record.WriteBackup(file, func(w *record.BackupWriter) error {
		return s.read(ctx, func(tx *sql.Tx) error {
			for _, t := range record.Tables {
				if err := backUp(ctx, tx, w, t); err != nil {
					return fmt.Errorf("table %s: %w", t.Name, err)
				}
			}
			return nil
		})
	})
}

func backUp(ctx context.Context, tx *sql.Tx, w *record.BackupWriter, t record.Table) error {
	statement, args := "SELECT "+strings.Join(t.Columns, ", ")+" FROM "+t.Name, []any{}
	if t.ByRun != "" {
		statement, args = statement+" WHERE "+t.ByRun+" > (SELECT coalesce(max(id), 0) FROM runs) - ?", []any{record.RunsKept}
	}
	found, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	values, at := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range values {
		at[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(at...); err != nil {
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
	err := s.write(ctx, func(tx *sql.Tx) error {
		version, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		if err := clearEmpty(ctx, tx); err != nil {
			return err
		}
		if err := record.ReadBackup(backup, func(t record.Table, columns []string, values []any) error {
			return insert(ctx, tx, t, columns, values)
		}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlRestored, version); err != nil {
			return fmt.Errorf("write version: %w", err)
		}
		run, ok, err := runningRun(ctx, tx)
		if err != nil || !ok {
			return err
		}
		return interrupt(ctx, tx, run.ID)
	})
	if err != nil {
		return fmt.Errorf("restore inventory: %w", err)
	}
	return nil
}

func insert(ctx context.Context, tx *sql.Tx, t record.Table, columns []string, values []any) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO "+t.Name+" ("+strings.Join(columns, ", ")+
		") VALUES (?"+strings.Repeat(", ?", len(columns)-1)+")", values...)
	return err
}

// A reader that knows a version of the empty inventory must see a later one.
const sqlRestored = `UPDATE meta SET version = max(version, ?) + 1`

// clearEmpty removes what even an empty inventory holds, and refuses one that isn't.
func clearEmpty(ctx context.Context, tx *sql.Tx) error {
	var n int64
	if err := tx.QueryRowContext(ctx, sqlCountAll).Scan(&n); err != nil {
		return fmt.Errorf("look whether it is empty: %w", err)
	}
	if n > 0 {
		return record.ErrNotEmpty
	}
	for _, statement := range []string{sqlClearMeta, sqlClearImages, sqlClearDown} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

const (
	sqlCountAll    = `SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM objects) + (SELECT count(*) FROM allocations)`
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
	return s.write(ctx, func(tx *sql.Tx) error {
		version, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		if err := clearEmpty(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlAdopt, instance, version); err != nil || fence <= 0 {
			return err
		}
		t := now()
		_, err = tx.ExecContext(ctx, sqlLostRun, fence, string(reconciler.Interrupted), t, t, t)
		return err
	})
}

const (
	sqlAdopt = `INSERT INTO meta (one, instance, version, applied) VALUES (1, ?, ?, '')`
	// The last run that a far side remembers stands for all that were lost.
	sqlLostRun = `
	INSERT INTO runs (id, commit_id, plan, holder, state, message, changes, done, failed, started, deadline, finished)
	VALUES (?, '', 'lost', 'lost', ?, 'the record of the runs up to this one is lost', 0, 0, 0, ?, ?, ?)`
)
