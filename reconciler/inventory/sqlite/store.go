// Package sqlite keeps the inventory in one SQLite file beside the daemon: the default where no database is named.
//
// It is written before and after each batch of changes, in one transaction each, and read without waiting for a writer.
// A transaction that was committed survives SIGKILL and a power cut: the file is in WAL mode with synchronous=FULL. WAL
// with synchronous=NORMAL would survive SIGKILL too, but a power cut could then forget that an object was about to be
// made, on a target that did not lose power: nobody would own it.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"hostctl/migrations"
	"hostctl/reconciler/inventory/record"
)

// Store is an inventory in one SQLite file. It may be used by several goroutines, and the file by several processes.
type Store struct {
	file string
	w    *sql.DB // one connection: writers queue here and not inside SQLite
	r    *sql.DB

	known record.Known
}

var _ record.Store = (*Store)(nil)

const busyTimeout = 10 * time.Second

// Open opens the inventory in a file, makes it if there is none, and brings its tables up to date. Its folder must
// exist. A run whose holder has died is ended as interrupted.
func Open(ctx context.Context, file string) (*Store, error) {
	s, err := open(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("open inventory %s: %w", file, err)
	}
	return s, nil
}

func open(ctx context.Context, file string) (*Store, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	// The file is made here and not by SQLite, for its mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	s := &Store{file: path}
	if s.w, err = sql.Open("sqlite", dsn(path, "immediate", "synchronous(FULL)")); err != nil {
		return nil, err
	}
	s.w.SetMaxOpenConns(1)
	if s.r, err = sql.Open("sqlite", dsn(path, "deferred", "query_only(1)")); err != nil {
		return nil, errors.Join(err, s.w.Close())
	}
	s.r.SetMaxOpenConns(max(4, 2*runtime.NumCPU()))
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dsn names the file to the driver: a URI, so that no character of the path means anything.
func dsn(path, lock, pragma string) string {
	q := url.Values{"_txlock": {lock}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "journal_mode(WAL)", "cache_size(-32000)", pragma,
	}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// prepare brings an opened file to where the other methods can count on it. Of several processes that open a new file
// at once one makes the tables.
func (s *Store) prepare(ctx context.Context) error {
	unlock, err := lockSetup(ctx, s.file)
	if err != nil {
		return err
	}
	defer unlock()
	if err := record.Migrate(ctx, goose.DialectSQLite3, s.w, migrations.SQLite()); err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		id := make([]byte, 16)
		if _, err := rand.Read(id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlCreateMeta, hex.EncodeToString(id)); err != nil {
			return fmt.Errorf("write instance id: %w", err)
		}
		run, ok, err := runningRun(ctx, tx)
		if err != nil || !ok || !over(s.file, run) {
			return err
		}
		return interrupt(ctx, tx, run.ID)
	})
}

const sqlCreateMeta = `
	INSERT INTO meta (one, instance, version, applied) VALUES (1, ?, 0, '')
	ON CONFLICT (one) DO NOTHING`

// Close closes the inventory. A run that is under way here loses its lock.
func (s *Store) Close() error { return errors.Join(s.r.Close(), s.w.Close()) }

// Instance implements reconciler.Inventory.
func (s *Store) Instance(ctx context.Context) (string, error) {
	var instance, version, applied string
	if err := s.r.QueryRowContext(ctx, sqlMeta).Scan(&instance, &version, &applied); err != nil {
		return "", fmt.Errorf("read instance id: %w", err)
	}
	return instance, nil
}

const sqlMeta = `SELECT instance, version, applied FROM meta`

// write runs fn in a transaction that is alone in writing, and commits it unless fn fails.
func (s *Store) write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after Commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// read runs fn in a transaction that sees the inventory as of one moment.
func (s *Store) read(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.r.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return fn(tx)
}

// bump counts a change that matters to a plan and returns the new version.
func bump(ctx context.Context, tx *sql.Tx) (int64, error) {
	var v int64
	if err := tx.QueryRowContext(ctx, sqlBump).Scan(&v); err != nil {
		return 0, fmt.Errorf("count version: %w", err)
	}
	return v, nil
}

const sqlBump = `UPDATE meta SET version = version + 1 RETURNING version`

// now is the present in the unit of the tables.
func now() int64 { return time.Now().UnixMicro() }

// at turns a time of the tables into one of Go; 0 is no time.
func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
