// Package mysql is the executor of databases and their users on a database node: MySQL, as root on its unix socket, where
// the server knows who asks (auth_socket) and there is no password.
//
// What a name, a grant or a dump is made of passes an allow-list here (see statement.go), whoever sent it. Passwords go to the server
// as hashes, whether they came as such or are secrets of the node; the server has no log that would hold a statement.
//
// A schema of its own, hostctl, holds what was last applied under each object's name: whose a database is, MySQL doesn't
// say. What there is in fact (character sets, accounts, privileges) is always read from MySQL's own tables.
package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// Options say where the server is. The zero value of all but Target is what nodes use.
type Options struct {
	Target string // of what is observed: the shard
	Socket string // "" is /run/mysqld/mysqld.sock
	Trash  string // folder of dumps of what was dropped; "" is /var/lib/mysql/trash

	Secrets *secrets.Folder                        // of passwords; nil where there are none
	TLS     func(node string) (*tls.Config, error) // with which this node reads what moves here from another; nil where nothing does
}

// Manager is the executor.
type Manager struct {
	o  Options
	db *sql.DB

	mu     sync.Mutex
	proofs map[proof]bool
}

// New returns the executor. It connects when it is needed.
func New(o Options) (*Manager, error) {
	if o.Socket == "" {
		o.Socket = "/run/mysqld/mysqld.sock"
	}
	if o.Trash == "" {
		o.Trash = "/var/lib/mysql/trash"
	}
	c := driver.NewConfig()
	c.User, c.Net, c.Addr = "root", "unix", o.Socket
	c.Timeout = 5 * time.Second
	c.Logger = &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(4)
	db.SetConnMaxIdleTime(time.Minute)
	return &Manager{o: o, db: db, proofs: map[proof]bool{}}, nil
}

// Close closes the connections.
func (m *Manager) Close() error { return m.db.Close() }

// Apply implements executors.Executor.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	if len(cs) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return executors.All(len(cs), executors.NotTried(ctx))
	}
	errs := make([]error, len(cs))
	for i, c := range cs {
		errs[i] = check(c)
	}
	have, err := m.read(ctx)
	for i, c := range cs {
		switch {
		case errs[i] != nil:
		case err != nil:
			errs[i] = executors.Errorf(kindOf(err), "%s: %w", c.Ref(), err)
		case ctx.Err() != nil:
			errs[i] = executors.NotTried(ctx)
		default:
			if err := m.apply(ctx, have, c); err != nil {
				errs[i] = executors.Errorf(kindOf(err), "%s: %w", c.Ref(), err)
			}
		}
	}
	return errs
}

func (m *Manager) apply(ctx context.Context, have *server, c planner.Change) error {
	switch o := either(c).(type) {
	case planner.Database:
		if c.New == nil {
			return m.drop(ctx, have, o)
		}
		return m.makeDatabase(ctx, have, o)
	case planner.DatabaseUser:
		if c.New == nil {
			return m.dropUser(ctx, have, o)
		}
		return m.makeUser(ctx, have, o)
	}
	return nil // which check has refused
}

func either(c planner.Change) planner.Object {
	if c.New == nil {
		return c.Old
	}
	return c.New
}

// Numbers of errors of the server (MySQL error reference).
const (
	tooManyConnections = 1040
	shuttingDown       = 1053
	deadlock           = 1213
	lockTimeout        = 1205
)

// kindOf says what may be done about an error: a server that doesn't answer is starting, or being started again.
func kindOf(err error) executors.Kind {
	var answer *driver.MySQLError
	if errors.As(err, &answer) {
		switch answer.Number {
		case tooManyConnections, shuttingDown, deadlock, lockTimeout:
			return executors.Busy
		}
		return executors.Refused
	}
	var own *executors.Error
	if errors.As(err, &own) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return executors.KindOf(err)
	}
	return executors.Busy
}

// exec runs a statement that holds no secret.
func (m *Manager) exec(ctx context.Context, statement string, values ...any) error {
	if _, err := m.db.ExecContext(ctx, statement, values...); err != nil {
		return fmt.Errorf("MySQL: %w", err)
	}
	return nil
}

// execSecret runs a statement that holds the hash of a password, which the server's answer would quote.
func (m *Manager) execSecret(ctx context.Context, doing, statement string) error {
	_, err := m.db.ExecContext(ctx, statement)
	var answer *driver.MySQLError
	switch {
	case errors.As(err, &answer):
		return fmt.Errorf("%s: MySQL: %w", doing, &driver.MySQLError{Number: answer.Number, SQLState: answer.SQLState, Message: "(its text is left out)"})
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
