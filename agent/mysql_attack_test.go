package agent_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// databaseAttack is something that a tenant may try in SQL, as the admin of its own database.
type databaseAttack struct {
	name      string
	statement string
	refused   uint16 // with this error
	answer    string // where refused is 0: all that it may be told
}

// databaseAttacks: another tenant's database, acmexshop among them, which acme_shop matches where _ isn't escaped; the server's
// own tables; files of the node; and what would change the server for everybody.
var databaseAttacks = []databaseAttack{
	{"read what a wildcard would match", "SELECT * FROM acmexshop.t", 1142, ""},
	{"write what a wildcard would match", "CREATE TABLE acmexshop.u (i INT)", 1142, ""},
	{"another tenant's database", "CREATE TABLE acmex_shop.u (i INT)", 1142, ""},
	{"use another tenant's database", "USE acmex_shop", 1044, ""},
	{"drop another tenant's database", "DROP DATABASE acmex_shop", 1044, ""},
	{"make a database", "CREATE DATABASE acme_more", 1044, ""},
	{"rename into another database", "RENAME TABLE t TO acmex_shop.t", 1142, ""},
	{"a view of another database", "CREATE VIEW v AS SELECT * FROM acmexshop.t", 1142, ""},
	{"a foreign key into another database", "CREATE TABLE f (i INT, FOREIGN KEY (i) REFERENCES acmexshop.t (i))", 1142, ""},
	{"a trigger in another database", "CREATE TRIGGER acmexshop.x BEFORE INSERT ON acmexshop.t FOR EACH ROW SET @a = 1", 1142, ""},
	{"which databases there are", "SELECT GROUP_CONCAT(SCHEMA_NAME ORDER BY 1) FROM information_schema.SCHEMATA", 0, "acme_shop,information_schema,performance_schema"},
	{"which tables others have", "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('acme_shop', 'information_schema', 'performance_schema')", 0, "0"},
	{"what others do", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER <> 'acme_boss'", 0, "0"},
	{"whom there is", "SELECT COUNT(*) FROM information_schema.USER_ATTRIBUTES WHERE USER <> 'acme_boss'", 0, "0"},

	{"accounts and hashes", "SELECT * FROM mysql.user", 1142, ""},
	{"write an account", "INSERT INTO mysql.user (User) VALUES ('x')", 1142, ""},
	{"what is recorded", "SELECT * FROM hostctl.object", 1142, ""},
	{"make an account", "CREATE USER x", 1227, ""},
	{"root's password", "ALTER USER root@localhost IDENTIFIED BY 'x'", 1227, ""},
	{"hand rights on", "GRANT SELECT ON acme_shop.* TO acme_ro@'172.0.0.0/8'", 1044, ""},
	{"rights on everything", "GRANT ALL ON *.* TO acme_boss@'172.0.0.0/8'", 1045, ""},
	{"no TLS any more", "ALTER USER acme_boss@'172.0.0.0/8' REQUIRE NONE", 1227, ""},
	{"no limits any more", "ALTER USER acme_boss@'172.0.0.0/8' WITH MAX_USER_CONNECTIONS 0", 1227, ""},
	{"a role", "SET ROLE ALL", 0, ""},
	{"a procedure as root", "CREATE DEFINER = root@localhost PROCEDURE rooted() SELECT * FROM mysql.user", 1227, ""},
	{"a view as root", "CREATE DEFINER = root@localhost VIEW rooted AS SELECT 1", 1227, ""},
	{"an event as root", "CREATE DEFINER = root@localhost EVENT rooted ON SCHEDULE EVERY 1 DAY DO DROP DATABASE acmex_shop", 1227, ""},

	{"read a file", "SELECT COALESCE(LOAD_FILE('/etc/passwd'), 'nothing')", 0, "nothing"},
	{"load a file", "LOAD DATA INFILE '/etc/passwd' INTO TABLE t", 1045, ""},
	{"load a file of the client", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t", 3948, ""},
	{"write a file", "SELECT 1 INTO OUTFILE '/tmp/x'", 1227, ""},
	{"dump to a file", "SELECT 1 INTO DUMPFILE '/var/lib/mysql/x'", 1227, ""},
	{"a table elsewhere on the disk", "CREATE TABLE d (i INT) DATA DIRECTORY = '/var/lib/mysql/trash'", 1045, ""},
	{"a tablespace", "CREATE TABLESPACE x ADD DATAFILE '/tmp/x.ibd'", 1227, ""},
	{"a library", "CREATE FUNCTION sys_exec RETURNS INT SONAME 'x.so'", 1044, ""},
	{"a plugin", "INSTALL PLUGIN x SONAME 'x.so'", 1142, ""},
	{"a component", "INSTALL COMPONENT 'file://component_log_sink_json'", 1142, ""},
	{"another server", "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1')", 1227, ""},

	{"write all statements down", "SET GLOBAL general_log = 1", 1227, ""},
	{"files from clients", "SET GLOBAL local_infile = 1", 1227, ""},
	{"for good", "SET PERSIST max_connections = 1", 1227, ""},
	{"stop writes of everybody", "SET GLOBAL read_only = 1", 1227, ""},
	{"stop the server", "SHUTDOWN", 1227, ""},
	{"lock everybody out", "FLUSH TABLES WITH READ LOCK", 1227, ""},
	{"lock for a backup", "LOCK INSTANCE FOR BACKUP", 1227, ""},
	{"clone the server", "CLONE LOCAL DATA DIRECTORY = '/tmp/clone'", 1227, ""},
	{"the state of the engine", "SHOW ENGINE INNODB STATUS", 1227, ""},
	{"follow the server", "SHOW BINARY LOG STATUS", 1227, ""},
}

// attacked tries them all on one connection.
func attacked(t *testing.T, admin *sql.DB) {
	t.Helper()
	refused := 0
	for _, a := range databaseAttacks {
		got, err := answers(t.Context(), admin, a.statement)
		switch {
		case a.refused != 0 && (err == nil || number(err) == 1064): // a statement that doesn't parse tries nothing
			t.Errorf("%s: %s: not refused: %q, %v", a.name, a.statement, got, err)
		case a.refused != 0 && number(err) != a.refused:
			t.Errorf("%s: %s: %v, want error %d", a.name, a.statement, err, a.refused)
		case a.refused == 0 && (err != nil || got != a.answer):
			t.Errorf("%s: %s: %q, %v, want %q", a.name, a.statement, got, err, a.answer)
		}
		if a.refused != 0 {
			refused++
		}
	}
	t.Logf("%d attempts, %d refused, the others told nothing", len(databaseAttacks), refused)
}

// answers returns the first value of an answer.
func answers(ctx context.Context, db *sql.DB, statement string) (string, error) {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil || len(columns) == 0 || !rows.Next() {
		return "", rows.Err()
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	err = rows.Scan(into...)
	return values[0].String, err
}

// readers: while a database may be copied, the account for that is open to the node that it moves to, and to nobody else in the
// network.
func (m *mover) readers(t *testing.T) {
	t.Helper()
	sum := sha256.Sum256([]byte("acme_shop"))
	name := "hostctl." + hex.EncodeToString(sum[:8])
	if out := m.from.on("", "SELECT COUNT(*) FROM mysql.user WHERE User = '"+name+"'"); out != "1" {
		t.Fatalf("%s accounts are called %s", out, name)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(m.from.ca.PEM())
	for _, who := range []struct{ node, role string }{{"", ""}, {"web-1-0", "web"}, {"db-3-0", "database"}, {m.to.name, "database"}} {
		c := driver.NewConfig()
		c.User, c.Net, c.Addr, c.Timeout, c.Logger = name, "tcp", m.from.address+":3306", 20*time.Second, &driver.NopLogger{}
		c.TLS = &tls.Config{RootCAs: pool, ServerName: m.from.name}
		if who.node != "" {
			cert, key, err := m.from.ca.Node(who.node, who.role, instance, []net.IP{net.IPv4(127, 0, 0, 1)})
			m.must(err)
			pair, err := tls.X509KeyPair(cert, key)
			m.must(err)
			c.TLS.Certificates = []tls.Certificate{pair}
		}
		connector, err := driver.NewConnector(c)
		m.must(err)
		db := sql.OpenDB(connector)
		_, err = answers(t.Context(), db, "SELECT COUNT(*) FROM acme_shop.many")
		if who.node == m.to.name {
			if err != nil {
				t.Errorf("the node that it moves to: %v", err)
			}
			if _, err := answers(t.Context(), db, "SELECT * FROM mysql.user"); number(err) != 1142 {
				t.Errorf("the node that it moves to reads accounts: %v", err)
			}
			if _, err := answers(t.Context(), db, "DELETE FROM acme_shop.many"); number(err) != 1142 && number(err) != 3989 {
				t.Errorf("the node that it moves to writes: %v", err)
			}
		} else if number(err) != 1045 {
			t.Errorf("with the certificate of %q: %v", strings.TrimSpace(who.node), err)
		}
		_ = db.Close()
	}
}
