// Package postgres keeps the inventory in PostgreSQL, for a platform whose hostd may run on one machine or another.
//
// Whoever writes holds a lock on the one row of meta, or rather on its table, to the end of the transaction: the
// versions that readers go by come in the order of the commits. Writes are of sets, not of rows, so that a batch costs
// a few round trips whatever its size. Times are the server's.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"hostctl/migrations"
	"hostctl/reconciler/inventory/record"
)

// Store is an inventory in a PostgreSQL database: in the first schema of its search_path. It may be used by several
// goroutines, and the database by several processes.
type Store struct {
	name string // of the database, without its password
	pool *pgxpool.Pool

	locks   int32  // the class of the inventory's advisory locks
	channel string // on which its changes are told
	self    string // by what we know the changes that are our own

	known record.Known
}

var _ record.Store = (*Store)(nil)

// IsURL reports whether the name of a database is one that Open takes.
func IsURL(name string) bool {
	return strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://")
}

// Redact returns the URL of a database without its password, for people.
func Redact(database string) string {
	c, err := pgx.ParseConfig(database)
	if err != nil {
		return "postgres://…"
	}
	u := url.URL{Scheme: "postgres", User: url.User(c.User), Host: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), Path: "/" + c.Database}
	if strings.HasPrefix(c.Host, "/") { // the folder of a socket
		u.Host, u.RawQuery = "", url.Values{"host": {c.Host}}.Encode()
	}
	return u.String()
}

// Open opens the inventory in a database by its URL (postgres://USER@HOST:PORT/DATABASE, with the parameters of libpq
// and pool_max_conns), and brings its tables up to date; the database must exist. A run whose holder has died is ended
// as interrupted.
//
// Between us and the server there may be no pool that shares a session between clients: locks are the session's.
func Open(ctx context.Context, database string) (*Store, error) {
	c, err := config(database)
	if err != nil {
		return nil, err
	}
	s := &Store{name: Redact(database)}
	if err := s.open(ctx, c); err != nil {
		return nil, fmt.Errorf("open inventory %s: %w", s.name, err)
	}
	return s, nil
}

// errURL has no cause: that might hold the password, or a part of it.
var errURL = errors.New("open inventory: the database's address can't be read; want postgres://USER:PASSWORD@HOST:PORT/DATABASE, " +
	"special characters of the password percent-encoded, or the password in a file that PGPASSFILE names")

// idleInTransaction ends the transaction of a client that was stopped in the middle of it, milliseconds.
const idleInTransaction = "30000"

func config(database string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(database)
	if err != nil {
		return nil, errURL
	}
	if !strings.Contains(database, "pool_max_conns") {
		c.MaxConns = int32(max(8, 2*runtime.NumCPU())) //nolint:gosec // no machine has so many
	}
	params := c.ConnConfig.RuntimeParams
	for k, v := range map[string]string{"application_name": "hostctl", "idle_in_transaction_session_timeout": idleInTransaction} {
		if params[k] == "" {
			params[k] = v
		}
	}
	return c, nil
}

func (s *Store) open(ctx context.Context, c *pgxpool.Config) (err error) {
	if s.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return err
	}
	if err = s.prepare(ctx); err != nil {
		s.pool.Close()
	}
	return err
}

// prepare brings a database to where the other methods can count on it. Of several processes that open a new one at
// once, one makes the tables.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	s.self = hex.EncodeToString(id[:8])
	var oid uint32
	if err := s.pool.QueryRow(ctx, sqlTableID).Scan(&oid); err != nil {
		return fmt.Errorf("look up tables: %w", err)
	}
	s.locks, s.channel = int32(oid), fmt.Sprintf("hostctl_%d", oid) //nolint:gosec // any 32 bits do
	if _, err := rand.Read(id); err != nil {
		return err
	}
	return s.write(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlCreateMeta, hex.EncodeToString(id)); err != nil {
			return fmt.Errorf("write instance id: %w", err)
		}
		run, over, err := s.runningRun(ctx, tx)
		if err != nil || !over {
			return err
		}
		return s.interrupt(ctx, tx, run.ID)
	})
}

const (
	sqlTableID    = `SELECT 'meta'::regclass::oid`
	sqlCreateMeta = `
	INSERT INTO meta (one, instance, version, applied) VALUES (1, $1, 0, '')
	ON CONFLICT (one) DO NOTHING`
)

// migrate waits until no other process sets up the tables, and sets them up.
func (s *Store) migrate(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, sqlLockSetup); err != nil {
		return fmt.Errorf("lock tables: %w", err)
	}
	db := stdlib.OpenDBFromPool(s.pool)
	err = errors.Join(record.Migrate(ctx, goose.DialectPostgres, db, migrations.Postgres()), db.Close())
	if _, unlock := conn.Exec(context.WithoutCancel(ctx), sqlUnlockSetup); unlock != nil {
		err = errors.Join(err, fmt.Errorf("unlock tables: %w", unlock))
	}
	return err
}

// By the name of the schema, for there are no tables yet.
const (
	sqlLockSetup   = `SELECT pg_advisory_lock(hashtext('hostctl tables ' || current_schema()))`
	sqlUnlockSetup = `SELECT pg_advisory_unlock(hashtext('hostctl tables ' || current_schema()))`
)

// Close closes the inventory. A run that is under way here loses its lock.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Instance implements reconciler.Inventory.
func (s *Store) Instance(ctx context.Context) (string, error) {
	var instance, version, applied string
	if err := s.pool.QueryRow(ctx, sqlMeta).Scan(&instance, &version, &applied); err != nil {
		return "", fmt.Errorf("read instance id: %w", err)
	}
	return instance, nil
}

const sqlMeta = `SELECT instance, version::text, applied FROM meta`

// writeTries is how often a transaction is tried that others were in the way of.
const writeTries = 5

// write runs fn in a transaction that is alone in writing, and commits it unless fn fails. fn may be run again, where
// the server says that the transaction can't be had as things stand and may be tried again.
func (s *Store) write(ctx context.Context, fn func(tx pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, sqlWriteAlone); err != nil {
				return fmt.Errorf("wait for other writers: %w", err)
			}
			return fn(tx)
		})
		if try == writeTries || !inTheWay(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

const sqlWriteAlone = `LOCK TABLE meta IN EXCLUSIVE MODE`

// inTheWay reports whether an error is a serialization failure or a deadlock: nothing was written, another try may do
// better (PostgreSQL manual, 13.5).
func inTheWay(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// read runs fn in a transaction that sees the inventory as of one moment. It waits for no writer.
func (s *Store) read(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

// bump counts a change that matters to a plan, tells those who watch, and returns the new version.
func (s *Store) bump(ctx context.Context, tx pgx.Tx) (int64, error) {
	var v int64
	var told string
	if err := tx.QueryRow(ctx, sqlBump, s.channel, s.self).Scan(&v, &told); err != nil {
		return 0, fmt.Errorf("count version: %w", err)
	}
	return v, nil
}

const sqlBump = `
	WITH new AS (UPDATE meta SET version = version + 1 RETURNING version)
	SELECT version, pg_notify($1, $2)::text FROM new`

// at turns a time of the tables into one of Go; 0 is no time.
func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// clean makes text that comes from elsewhere such that the server takes it.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
