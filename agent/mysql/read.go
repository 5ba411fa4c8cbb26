package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"hostctl/planner"
	"hostctl/schema"
)

// server is what is there, read in a handful of queries however many databases there are.
type server struct {
	ready    bool                                       // the table of records is there
	records  map[planner.Kind]map[string]planner.Object // what was last applied, by kind and name
	copying  map[string]bool                            // databases, by name, that are copies and not whole
	schemas  map[string]encoding
	readOnly map[string]bool              // schemas
	accounts map[string]map[string]access // by user and host, as MySQL writes it
}

// encoding is the default character set of a schema with its collation.
type encoding struct{ charset, collation string }

// access is one account.
type access struct {
	plugin, hash string // hash in hex
	tls, locked  bool
	second       bool // the password of before is valid as well
	limits       schema.UserLimits
	schema       string   // that it has privileges on
	privileges   []string // on it
	extra        bool     // it has others, that nobody here has given it
}

func (a access) preset() schema.Privileges { return presetOf(a.privileges) }

// noSuchTable and noSuchSchema are errors of a server on which nothing was ever applied.
const (
	noSuchTable  = 1146
	noSuchSchema = 1049
)

func isNumber(err error, number uint16) bool {
	var answer *driver.MySQLError
	return errors.As(err, &answer) && answer.Number == number
}

// closed closes rows and returns what went wrong with them.
func closed(rows *sql.Rows) error { return errors.Join(rows.Err(), rows.Close()) }

// each calls fn for every row of a query.
func (m *Manager) each(ctx context.Context, query string, fn func(scan func(...any) error) error, values ...any) error {
	rows, err := m.db.QueryContext(ctx, query, values...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return closed(rows)
}

func (m *Manager) read(ctx context.Context) (*server, error) {
	s := &server{
		records: map[planner.Kind]map[string]planner.Object{planner.KindDatabase: {}, planner.KindDatabaseUser: {}},
		copying: map[string]bool{}, schemas: map[string]encoding{}, readOnly: map[string]bool{}, accounts: map[string]map[string]access{},
	}
	for _, part := range []struct {
		what string
		read func(context.Context, *server) error
	}{
		{"records", m.readRecords}, {"databases", m.readSchemas}, {"users", m.readAccounts}, {"privileges", m.readPrivileges}, {"other privileges", m.readExtras},
	} {
		if err := part.read(ctx, s); err != nil {
			return nil, fmt.Errorf("read %s: %w", part.what, err)
		}
	}
	return s, nil
}

func (m *Manager) readSchemas(ctx context.Context, s *server) error {
	return m.each(ctx, `SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, COALESCE(OPTIONS LIKE '%READ ONLY=1%', FALSE)
		FROM information_schema.SCHEMATA JOIN information_schema.SCHEMATA_EXTENSIONS USING (SCHEMA_NAME)`,
		func(scan func(...any) error) error {
			var name string
			var e encoding
			var readOnly bool
			err := scan(&name, &e.charset, &e.collation, &readOnly)
			s.schemas[name] = e
			s.readOnly[name] = readOnly
			return err
		})
}

// globalPrivileges are the columns of mysql.user for static privileges, of which no tenant has any.
const globalPrivileges = `Select_priv, Insert_priv, Update_priv, Delete_priv, Create_priv, Drop_priv, Reload_priv, Shutdown_priv, Process_priv,
	File_priv, Grant_priv, References_priv, Index_priv, Alter_priv, Show_db_priv, Super_priv, Create_tmp_table_priv, Lock_tables_priv,
	Execute_priv, Repl_slave_priv, Repl_client_priv, Create_view_priv, Show_view_priv, Create_routine_priv, Alter_routine_priv,
	Create_user_priv, Event_priv, Trigger_priv, Create_tablespace_priv, Create_role_priv, Drop_role_priv`

func (m *Manager) readAccounts(ctx context.Context, s *server) error {
	return m.each(ctx, `SELECT User, Host, plugin, authentication_string, ssl_type, account_locked, max_user_connections, max_questions,
		max_updates, max_connections, 'Y' IN (`+globalPrivileges+`), COALESCE(JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password'), 0) FROM mysql.user WHERE Host <> 'localhost'`,
		func(scan func(...any) error) error {
			var name, host, tls, locked string
			var hash []byte
			var a access
			err := scan(&name, &host, &a.plugin, &hash, &tls, &locked, &a.limits.Connections, &a.limits.QueriesPerHour,
				&a.limits.UpdatesPerHour, &a.limits.ConnectionsPerHour, &a.extra, &a.second)
			a.hash, a.tls, a.locked = hex.EncodeToString(hash), tls == "ANY", locked == "Y"
			if s.accounts[name] == nil {
				s.accounts[name] = map[string]access{}
			}
			s.accounts[name][host] = a
			return err
		})
}

func (m *Manager) readPrivileges(ctx context.Context, s *server) error {
	columns := make([]string, len(privilegeColumns))
	for i, c := range privilegeColumns {
		columns[i] = c[0]
	}
	return m.each(ctx, "SELECT User, Host, Db, CONCAT("+strings.Join(columns, ", ")+") FROM mysql.db", func(scan func(...any) error) error {
		var name, host, pattern, flags string
		if err := scan(&name, &host, &pattern, &flags); err != nil {
			return err
		}
		a, ok := s.accounts[name][host]
		if !ok {
			return nil
		}
		a.extra = a.extra || a.schema != "" // on a second database
		a.schema = strings.ReplaceAll(pattern, `\_`, "_")
		a.extra = a.extra || escaped(a.schema) != pattern // on all that its wildcards match
		for i, flag := range flags {
			if flag == 'Y' && i < len(privilegeColumns) {
				a.privileges = append(a.privileges, privilegeColumns[i][1])
			}
		}
		s.accounts[name][host] = a
		return nil
	})
}

// readExtras finds accounts with privileges that aren't on a whole database, and with roles.
func (m *Manager) readExtras(ctx context.Context, s *server) error {
	return m.each(ctx, `SELECT User, Host FROM mysql.tables_priv UNION SELECT User, Host FROM mysql.columns_priv
		UNION SELECT User, Host FROM mysql.procs_priv UNION SELECT User, Host FROM mysql.proxies_priv
		UNION SELECT USER, HOST FROM mysql.global_grants UNION SELECT TO_USER, TO_HOST FROM mysql.role_edges`,
		func(scan func(...any) error) error {
			var name, host string
			err := scan(&name, &host)
			if a, ok := s.accounts[name][host]; ok {
				a.extra = true
				s.accounts[name][host] = a
			}
			return err
		})
}

// sortedKeys are the keys of a map in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
