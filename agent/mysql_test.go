package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"hostctl/agent/mysql"
	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	databaseNode  = "db-1-0"
	databaseShard = "db-1"
)

// startDatabase starts a database node and waits for its server.
func startDatabase(t *testing.T) *node {
	n := startNodeOf(t, string(schema.RoleDatabase), databaseNode)
	n.serving()
	return n
}

func (n *node) serving() {
	n.t.Helper()
	within(n.t, 2*time.Minute, "MySQL answers", func() error {
		return exec.Command("docker", "exec", n.container, "/opt/hostctl/healthy").Run()
	})
}

// The executor of databases passes the suite through the agent, and then within the node.
func TestDatabaseConformance(t *testing.T) {
	n := startDatabase(t)
	t.Run("far", func(t *testing.T) {
		h := databaseHarness(func(_ *testing.T, script string) { n.script(script) })
		h.New = func(*testing.T) executors.Executor {
			n.script("s6-svc -wD -d /run/service/node-agent;" + wipeDatabases + "rm -f /var/lib/hostctl/state.db; s6-svc -u /run/service/node-agent")
			n.ready()
			return n.dial(1)
		}
		h.Damage = nil // what is there is read in the same way, and near it is asked without waiting for an agent to start
		executorstest.Test(t, h)
	})
	t.Run("near", func(t *testing.T) {
		n.script("s6-svc -wD -d /run/service/node-agent")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		docker(t, "cp", self, n.container+":/tests")
		out, err := exec.Command("docker", "exec", "--env", inside+"="+n.role, n.container, "/tests", "-test.v").CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(out, []byte("--- PASS: Inside/")) {
			t.Error("nothing was run within the node")
		}
	})
}

func testInsideDatabase(t *testing.T) {
	h := databaseHarness(script)
	h.New = func(t *testing.T) executors.Executor {
		script(t, wipeDatabases)
		return nearDatabase(t)
	}
	executorstest.Test(t, h)
}

func nearDatabase(t *testing.T) *mysql.Manager {
	m, err := mysql.New(mysql.Options{Target: databaseShard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// wipeDatabases makes a server what it was at its start.
const wipeDatabases = `
for d in $(mysql -N -e "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql','sys','information_schema','performance_schema')"); do mysql -e "SET sql_mode = 'ANSI_QUOTES'; ALTER DATABASE \"$d\" READ ONLY = 0; DROP DATABASE \"$d\""; done
mysql -N -e "SELECT CONCAT('DROP USER ''',User,'''@''',Host,''';') FROM mysql.user WHERE Host <> 'localhost'" | mysql
rm -rf /var/lib/mysql/trash
`

// hash is the password "secret" as MySQL keeps it.
const hash = "24412430303524303132333435363738396162636465666768696a6161616161616161616161616161616161616161616161616161616161616161616161616161616161612e"

func databaseMeta(name, kind string) planner.Meta {
	tenant, resource, _ := strings.Cut(name, ".")
	return planner.Meta{Target: databaseShard, Name: name, From: planner.Owner{Tenant: tenant, Kind: kind, Name: resource}}
}

func newDatabase(tenant, name string) planner.Database {
	return planner.Database{
		Meta: databaseMeta(tenant+"."+name, "Database"), Tenant: tenant, Schema: tenant + "_" + name, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci",
	}
}

func newDatabaseUser(tenant, name, database string, p schema.Privileges, hosts ...string) planner.DatabaseUser {
	return planner.DatabaseUser{
		Meta: databaseMeta(tenant+"."+name, "DatabaseUser"), Tenant: tenant, Account: tenant + "_" + name, Schema: tenant + "_" + database,
		Privileges: p, Hosts: hosts, PasswordHash: hash,
	}
}

func databaseHarness(run func(t *testing.T, script string)) executorstest.Harness {
	shop, other := newDatabase("acme", "shop"), newDatabase("ac-me", "wiki")
	shop2 := shop
	shop2.Charset, shop2.Collation, shop2.Purge = "latin1", "latin1_bin", true
	moving := newDatabase("acme", "moving")
	moving2 := moving
	moving2.MovedTo = "db-2-0"
	app := newDatabaseUser("acme", "app", "shop", schema.ReadWrite, "10.0.0.0/8", "192.0.2.7/32")
	app.Limits = schema.UserLimits{Connections: 5}
	app2 := app
	app2.Privileges, app2.Locked, app2.Hosts = schema.Admin, true, []string{"10.77.0.0/24", "192.0.2.7/32"}
	app2.Limits = schema.UserLimits{QueriesPerHour: 10, UpdatesPerHour: 20, ConnectionsPerHour: 30}
	app2.PasswordHash = hash[:len(hash)-2] + "2f" // another digest
	reader := newDatabaseUser("ac-me", "app", "wiki", schema.ReadOnly, "10.0.0.0/8")
	bad, foreign := newDatabaseUser("bad", "app", "shop", schema.ReadOnly, "10.0.0.0/8"), newDatabaseUser("foreign", "app", "shop", schema.ReadOnly, "10.0.0.0/8")
	bad.PasswordHash, foreign.Schema = "2a", "acme_shop"

	return executorstest.Harness{
		Kinds: []planner.Kind{planner.KindDatabase, planner.KindDatabaseUser},
		Samples: []executorstest.Sample{
			{Create: shop, Update: shop2, Keeps: true}, {Create: other, Keeps: true}, {Create: moving, Update: moving2, Keeps: true},
			{Create: app, Update: app2}, {Create: reader},
		},
		Bad: []planner.Object{bad, foreign},
		Damage: map[string]func(*testing.T, executors.Executor){
			"database dropped":    spoil(run, "mysql -e 'DROP DATABASE acme_shop'"),
			"collation changed":   spoil(run, "mysql -e 'ALTER DATABASE acme_shop COLLATE utf8mb4_bin'"),
			"user dropped":        spoil(run, `mysql -e "DROP USER acme_app@'10.0.0.0/8', acme_app@'192.0.2.7'"`),
			"account dropped":     spoil(run, `mysql -e "DROP USER acme_app@'192.0.2.7'"`),
			"account added":       spoil(run, `mysql -e "CREATE USER acme_app@'%' IDENTIFIED BY 'x'"`),
			"second password":     spoil(run, `mysql -e "ALTER USER acme_app@'192.0.2.7' IDENTIFIED BY 'x' RETAIN CURRENT PASSWORD"`),
			"password changed":    spoil(run, `mysql -e "ALTER USER acme_app@'192.0.2.7' IDENTIFIED BY 'x'"`),
			"TLS no more asked":   spoil(run, `mysql -e "ALTER USER acme_app@'192.0.2.7' REQUIRE NONE"`),
			"locked":              spoil(run, `mysql -e "ALTER USER acme_app@'10.0.0.0/8' ACCOUNT LOCK"`),
			"limit lifted":        spoil(run, `mysql -e "ALTER USER acme_app@'10.0.0.0/8' WITH MAX_USER_CONNECTIONS 0"`),
			"privilege revoked":   spoil(run, "mysql -e 'REVOKE SELECT ON `acme\\_shop`.* FROM acme_app@\"10.0.0.0/8\"'"),
			"privilege granted":   spoil(run, `mysql -e "GRANT FILE ON *.* TO acme_app@'10.0.0.0/8'"`),
			"another database":    spoil(run, `mysql -e "GRANT SELECT ON mysql.* TO acme_app@'10.0.0.0/8'"`),
			"unescaped wildcard":  spoil(run, `mysql -e "REVOKE ALL, GRANT OPTION FROM acme_app@'192.0.2.7'; GRANT SELECT, INSERT ON acme_shop.* TO acme_app@'192.0.2.7'"`),
			"role granted":        spoil(run, `mysql -e "CREATE ROLE IF NOT EXISTS r@'10.1.1.1'; GRANT r@'10.1.1.1' TO acme_app@'10.0.0.0/8'"`),
			"table granted":       spoil(run, "mysql -e 'CREATE TABLE IF NOT EXISTS `ac-me_wiki`.t (i INT); GRANT SELECT ON `ac-me_wiki`.t TO acme_app@\"10.0.0.0/8\"'"),
			"dynamic one granted": spoil(run, `mysql -e "GRANT CONNECTION_ADMIN ON *.* TO acme_app@'10.0.0.0/8'"`),
		},
	}
}

// connect logs in as a user, over TLS that is checked against the cluster's CA.
func (n *node) connect(t *testing.T, user, password, database string) (*sql.DB, error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.ca.PEM())
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.Timeout = user, password, "tcp", n.address+":3306", database, 20*time.Second
	c.TLS = &tls.Config{RootCAs: pool, ServerName: n.name}
	c.Logger = &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db, db.PingContext(t.Context())
}

// hashed returns a password as MySQL keeps it.
func (n *node) hashed(password string) string {
	n.t.Helper()
	n.script("mysql <<'EOF'\nCREATE USER hashed@'192.0.2.1' IDENTIFIED BY '" + password + "';\nEOF\n")
	defer n.script(`mysql -e "DROP USER hashed@'192.0.2.1'"`)
	return strings.ToLower(strings.TrimSpace(n.script(`mysql -N -e "SELECT HEX(authentication_string) FROM mysql.user WHERE User = 'hashed'"`)))
}

func number(err error) uint16 {
	var answer *driver.MySQLError
	if errors.As(err, &answer) {
		return answer.Number
	}
	return 0
}

// A user reaches its own database and no other, what its preset allows and nothing else; without TLS nobody gets in; who
// goes, or is locked, is disconnected. What is dropped is in the trash.
func TestDatabaseUser(t *testing.T) {
	n := startDatabase(t)
	n.script("mysql -e 'CREATE DATABASE acmexshop; CREATE TABLE acmexshop.t (i INT)'") // what acme_shop matches where _ isn't escaped
	pass := n.hashed("correct horse")
	user := func(name string, p schema.Privileges) planner.DatabaseUser {
		u := newDatabaseUser("acme", name, "shop", p, "0.0.0.0/0")
		u.Hosts, u.PasswordHash = []string{"172.0.0.0/8"}, pass
		return u
	}
	shop, other := newDatabase("acme", "shop"), newDatabase("acmex", "shop")
	admin, writer, reader := user("boss", schema.Admin), user("app", schema.ReadWrite), user("ro", schema.ReadOnly)
	n.create(shop, other, admin, writer, reader)

	login := func(account string) *sql.DB {
		db, err := n.connect(t, account, "correct horse", "acme_shop")
		if err != nil {
			t.Fatalf("%s can't log in: %v", account, err)
		}
		return db
	}
	a, w, r := login("acme_boss"), login("acme_app"), login("acme_ro")
	for _, c := range []struct {
		who       *sql.DB
		name      string
		statement string
		number    uint16 // of the refusal; 0: it is allowed
	}{
		{a, "admin", "CREATE TABLE t (i INT)", 0},
		{a, "admin", "CREATE PROCEDURE p() SELECT 1", 0},
		{a, "admin", "CALL p()", 0},
		{w, "writer", "INSERT INTO t VALUES (1)", 0},
		{w, "writer", "DROP TABLE t", 1142},
		{r, "reader", "SELECT * FROM t", 0},
		{r, "reader", "INSERT INTO t VALUES (2)", 1142},
		{r, "reader", "SELECT * FROM acmexshop.t", 1142},
		{w, "writer", "CREATE PROCEDURE q() SELECT 1", 1044},
		{w, "writer", "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET @a = 1", 1142},
	} {
		if _, err := c.who.ExecContext(t.Context(), c.statement); number(err) != c.number || c.number == 0 && err != nil {
			t.Errorf("%s: %s: %v, want error %d", c.name, c.statement, err, c.number)
		}
	}
	attacked(t, a)
	if _, err := n.connect(t, "acme_app", "correct horse", "acmex_shop"); number(err) != 1044 {
		t.Errorf("another tenant's database: %v", err)
	}
	if _, err := n.connect(t, "acme_app", "wrong", "acme_shop"); number(err) != 1045 {
		t.Errorf("a wrong password: %v", err)
	}
	for _, who := range []string{"acme_app", "root"} {
		plain, err := sql.Open("mysql", who+":correct%20horse@tcp("+n.address+":3306)/?allowCleartextPasswords=false")
		if err != nil {
			t.Fatal(err)
		}
		if err := plain.PingContext(t.Context()); number(err) != 3159 && number(err) != 1045 {
			t.Errorf("%s without TLS: %v", who, err)
		}
		_ = plain.Close()
	}

	// A new password is valid beside the one of before until that is taken away, with the connections of whoever had it.
	both := writer
	both.PasswordHash, both.Retains = n.hashed("battery staple"), true
	n.change(writer, both)
	n.sees(both)
	renewed := both
	renewed.Retains = false
	for _, password := range []string{"correct horse", "battery staple"} {
		if _, err := n.connect(t, "acme_app", password, "acme_shop"); err != nil {
			t.Errorf("with either password, %q: %v", password, err)
		}
	}
	if err := w.PingContext(t.Context()); err != nil {
		t.Errorf("a connection of before, while both are valid: %v", err)
	}
	n.change(both, renewed)
	n.sees(renewed)
	if _, err := n.connect(t, "acme_app", "correct horse", "acme_shop"); number(err) != 1045 {
		t.Errorf("with the password of before: %v", err)
	}
	if _, err := n.connect(t, "acme_app", "battery staple", "acme_shop"); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	n.change(renewed, writer)
	w = login("acme_app")

	locked := writer
	locked.Locked = true
	n.change(writer, locked)
	if err := w.PingContext(t.Context()); number(err) != 3118 {
		t.Errorf("a user that was locked, on a connection of before: %v", err)
	}
	n.change(reader, nil)
	if err := r.PingContext(t.Context()); number(err) != 1045 {
		t.Errorf("a user that was removed, on a connection of before: %v", err)
	}
	// What the admin made doesn't count as drift.
	for _, o := range n.observed() {
		if u, ok := o.(planner.DatabaseUser); ok && u.Name == admin.Name && planner.HashOf(u) != planner.HashOf(admin) {
			t.Errorf("the admin is observed as %s", planner.Encode(u))
		}
	}

	kept := shop
	kept.Kept = true
	n.change(shop, kept)
	n.change(kept, shop) // as git revert does
	if _, err := login("acme_boss").ExecContext(t.Context(), "INSERT INTO t VALUES (3)"); err != nil {
		t.Error(err)
	}
	n.change(shop, kept)
	n.change(kept, nil)
	if out := n.script("ls -l /var/lib/mysql/trash; zcat /var/lib/mysql/trash/acme_shop.*.sql.gz | grep -c 'INSERT INTO\\|CREATE.*PROCEDURE'"); !strings.HasSuffix(strings.TrimSpace(out), "2") {
		t.Errorf("the trash:\n%s", out)
	}
	if out := n.script("mysql -N -e 'SHOW DATABASES'"); strings.Contains(out, "acme_shop") || !strings.Contains(out, "acmexshop") || !strings.Contains(out, "acmex_shop") {
		t.Errorf("databases after the drop:\n%s", out)
	}
}

// A user whose password is a secret logs in with it, byte by byte, whatever is in it. Its hash stays as it is until the
// password is another one; and the password stands in clear nowhere but in the file of the secret (G11).
func TestG11_PasswordOfADatabaseUser(t *testing.T) {
	n := startDatabase(t)
	shop := newDatabase("acme", "shop")
	n.create(shop)
	secret := planner.Secret{
		Meta:   planner.Meta{Target: databaseNode, Name: planner.SecretName("acme", schema.KindDatabaseUser, "app", "password"), From: planner.Owner{Tenant: "acme", Kind: "DatabaseUser", Name: "app"}},
		Tenant: "acme", Generated: "databaseuser/app/password",
	}
	user := newDatabaseUser("acme", "app", "shop", schema.Admin, "172.0.0.0/8")
	user.PasswordHash = ""
	before := user
	set := func(password string) {
		t.Helper()
		old := secret
		secret.Generation++
		user.Password = planner.Held{Secret: secret.Name, Version: secret.Version()}
		near := n.dial(1)
		near.Secrets = revealed(password)
		cs := []planner.Change{{ID: 1, Action: planner.Create, New: secret}, {ID: 2, Action: planner.Create, New: user}}
		if old.Generation > 0 {
			cs = []planner.Change{
				{ID: 1, Action: planner.Update, Old: old, New: secret, Expect: planner.HashOf(old)},
				{ID: 2, Action: planner.Update, Old: before, New: user, Expect: planner.HashOf(before)},
			}
		}
		for _, c := range cs { // one after the other, as they are planned
			if err := near.Apply(t.Context(), []planner.Change{c})[0]; err != nil {
				t.Fatalf("%s: %v", c.Ref(), err)
			}
		}
		before = user
	}
	for _, password := range []string{
		"canary-1", `canary '"\%s\' it''s $(x) ` + "`x`", "canary пароль ☃", "canary\nline\r\n", " canary\t ", "canary" + strings.Repeat("x", 250),
	} {
		set(password)
		if _, err := n.connect(t, "acme_app", password, "acme_shop"); err != nil {
			t.Errorf("with the password %q: %v", password, err)
		}
		for _, wrong := range []string{password + " ", password[:len(password)-1], ""} {
			if _, err := n.connect(t, "acme_app", wrong, "acme_shop"); number(err) != 1045 {
				t.Errorf("with %q in place of %q: %v", wrong, password, err)
			}
		}
		n.sees(user)
	}

	hash := func() string {
		return n.script(`mysql -N -e "SELECT HEX(authentication_string) FROM mysql.user WHERE User = 'acme_app'"`)
	}
	was := hash()
	limited := user
	limited.Limits.Connections = 7
	n.change(user, limited)
	if got := hash(); got != was {
		t.Errorf("the limit was changed, and the hash became %s", got)
	}
	n.change(limited, user)
	for _, bad := range []string{strings.Repeat("canary", 700), "canary\x00more"} {
		old, next := secret, user
		secret.Generation++
		next.Password.Version = secret.Version()
		near := n.dial(1)
		near.Secrets = revealed(bad)
		errs := near.Apply(t.Context(), []planner.Change{{ID: 1, Action: planner.Update, Old: old, New: secret, Expect: planner.HashOf(old)}})
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		err := near.Apply(t.Context(), []planner.Change{{ID: 2, Action: planner.Update, Old: user, New: next, Expect: planner.HashOf(user)}})[0]
		if executors.KindOf(err) != executors.Refused || strings.Contains(err.Error(), "canary") {
			t.Errorf("a password that MySQL can't take: %v", err)
		}
	}

	set("canary-2")
	n.script(`mysql -e "ALTER USER acme_app@'172.0.0.0/8' IDENTIFIED BY 'another'"`)
	for _, o := range n.observed() {
		if u, ok := o.(planner.DatabaseUser); ok && (planner.HashOf(u) == planner.HashOf(user) || u.PasswordHash != "") {
			t.Errorf("another password was set by hand, and %s is observed", planner.Encode(u))
		}
	}

	if files := strings.Fields(n.script(`grep -rlsa --exclude=node-agent canary /etc /run /var /tmp /home /root /opt || true`)); len(files) != 1 || !strings.HasPrefix(files[0], "/var/lib/hostctl/secrets/") {
		t.Errorf("in clear in %v", files)
	}
	if out := n.script(`for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline; tr '\0' '\n' < $p/environ; done 2>/dev/null | grep -a canary | grep -v grep || true`); out != "" {
		t.Errorf("a process has it in its arguments or environment: %s", out)
	}
	if log, err := exec.Command("docker", "logs", n.container).CombinedOutput(); err != nil || len(log) == 0 || bytes.Contains(log, []byte("canary")) {
		t.Errorf("the node's log has it, or there is none: %v", err)
	}
}

// sees fails where objects are observed to be other than they were applied.
func (n *node) sees(want ...planner.Object) {
	n.t.Helper()
	observed := n.observed()
	for _, w := range want {
		if !slices.ContainsFunc(observed, func(o planner.Object) bool { return planner.HashOf(o) == planner.HashOf(w) }) {
			n.t.Errorf("%s isn't observed", planner.Encode(w))
		}
	}
}

// A server that is killed while it makes itself starts over, and one that is killed at work loses nothing.
func TestDatabaseKilled(t *testing.T) {
	n := startNodeOf(t, string(schema.RoleDatabase), databaseNode)
	n.script("while [ ! -e /var/lib/mysql/data.new/ibdata1 ] && [ ! -e /var/lib/mysql/data ]; do :; done; pkill -9 -x mysqld || true")
	n.serving()
	n.create(newDatabase("acme", "shop"))
	n.script("mysql -e 'CREATE TABLE acme_shop.t (i INT); INSERT INTO acme_shop.t VALUES (7)'; pkill -9 -x mysqld")
	n.serving()
	if out := strings.TrimSpace(n.script("mysql -N -e 'SELECT i FROM acme_shop.t'")); out != "7" {
		t.Errorf("after the kill the table holds %q", out)
	}
	n.create(newDatabase("acme", "blog"))
}

// A schema or an account that nobody here has made is left alone.
func TestDatabaseOfSomebodyElse(t *testing.T) {
	n := startDatabase(t)
	n.script(`mysql -e "CREATE DATABASE acme_shop; CREATE USER acme_app@'10.0.0.0/8'"`)
	for _, o := range []planner.Object{newDatabase("acme", "shop"), newDatabaseUser("acme", "app", "blog", schema.ReadOnly, "10.0.0.0/8")} {
		if err := n.tryCreate(o)[0]; executors.KindOf(err) != executors.Conflict {
			t.Errorf("%s: %v, want a conflict", o.Ref(), err)
		}
	}
	if left := n.observed(); len(left) > 0 {
		t.Errorf("observed: %v", left)
	}

	// Unless it is to be taken over: then what is in it stays, and whoever had the account has it no more.
	n.script(`mysql -e "CREATE TABLE acme_shop.t (i INT); INSERT INTO acme_shop.t VALUES (7); GRANT ALL ON *.* TO acme_app@'10.0.0.0/8'; CREATE USER acme_app@'%'"`)
	shop, app := newDatabase("acme", "shop"), newDatabaseUser("acme", "app", "shop", schema.ReadOnly, "10.0.0.0/8")
	shop.Adopt, app.Adopt = true, true
	n.create(shop, app)
	n.sees(shop, app)
	if out := n.script("mysql -N -e 'SELECT i FROM acme_shop.t'"); strings.TrimSpace(out) != "7" {
		t.Errorf("what was in the database: %q", out)
	}
}

// change takes an object from one content to another; nil is nothing.
func (n *node) change(from, to planner.Object) {
	n.t.Helper()
	c := planner.Change{Action: planner.Update, Old: from, New: to, Expect: planner.HashOf(from)}
	if to == nil {
		c.Action = planner.Delete
	}
	if err := n.dial(1).Apply(n.t.Context(), []planner.Change{c})[0]; err != nil {
		n.t.Fatalf("%s %s: %v", c.Action, from.Ref(), err)
	}
}

func (n *node) observed() []planner.Object {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	out, err := n.dial(1).Observe(ctx)
	if err != nil {
		n.t.Fatal(fmt.Errorf("observe: %w", err))
	}
	return out
}
