package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"hostctl/executors"
	"hostctl/planner"
)

// end is one end of a copy: a connection of its own, on which text is neither read nor written in any character set, times
// are UTC, and values are taken as they are.
type end struct {
	db   *sql.DB
	conn *sql.Conn
	who  string // for messages
}

// source connects to the server that a database is copied from, as the reader of that database. The server must have the
// certificate of its node.
func (m *Manager) source(database string, s planner.CopySource) (*end, error) {
	if m.o.TLS == nil {
		return nil, executors.Errorf(executors.Refused, "this node has no certificate to copy a database with")
	}
	c, err := m.o.TLS(s.Node)
	if err != nil {
		return nil, err
	}
	d := driver.NewConfig()
	d.User, d.Net, d.Addr, d.TLS = readerOf(database), "tcp", s.Address, c
	return dial(d, "node "+s.Node)
}

func (m *Manager) local() (*end, error) {
	d := driver.NewConfig()
	d.User, d.Net, d.Addr = "root", "unix", m.o.Socket
	return dial(d, "this node")
}

func dial(d *driver.Config, who string) (*end, error) {
	d.Timeout, d.Logger, d.MaxAllowedPacket = 10*time.Second, &driver.NopLogger{}, 0 // as much as the server takes
	connector, err := driver.NewConnector(d)
	if err != nil {
		return nil, err
	}
	return &end{db: sql.OpenDB(connector), who: who}, nil
}

func (e *end) close() {
	if e.conn != nil {
		_ = e.conn.Close()
	}
	_ = e.db.Close()
}

// session is how both ends see values.
var session = []string{
	"SET NAMES binary", "SET time_zone = '+00:00'", "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", "SET foreign_key_checks = 0", "SET unique_checks = 0",
}

func (e *end) connected(ctx context.Context) (*sql.Conn, error) {
	if e.conn != nil {
		return e.conn, nil
	}
	c, err := e.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.who, err)
	}
	e.conn = c
	return c, e.exec(ctx, session...)
}

func (e *end) exec(ctx context.Context, statements ...string) error {
	c, err := e.connected(ctx)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", e.who, err)
		}
	}
	return nil
}

// texts returns the rows of a query, each value as text, "" for NULL.
func (e *end) texts(ctx context.Context, query string, values ...any) ([][]string, error) {
	c, err := e.connected(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.QueryContext(ctx, query, values...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.who, err)
	}
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		row := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		text := make([]string, len(row))
		for i := range row {
			text[i] = row[i].String
		}
		all = append(all, text)
	}
	if err := closed(rows); err != nil {
		return nil, fmt.Errorf("%s: %w", e.who, err)
	}
	return all, nil
}

// frozen makes sure that a database can be read there, and that nobody can write to it.
func (e *end) frozen(ctx context.Context, name string) error {
	rows, err := e.texts(ctx, "SELECT OPTIONS FROM information_schema.SCHEMATA_EXTENSIONS WHERE SCHEMA_NAME = ?", name)
	switch {
	case err != nil:
		return err
	case len(rows) != 1 || !strings.Contains(rows[0][0], "READ ONLY=1"):
		return executors.Errorf(executors.Drifted, "the database on %s isn't read-only, so it can't be copied: somebody has opened it; the next run closes it", e.who)
	}
	return nil
}

// quoted quotes any identifier.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func qualified(schema, name string) string { return quoted(schema) + "." + quoted(name) }
