package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// horse is the password "correct horse" as MySQL keeps it.
const horse = "244124303041247f7e34611403176d71181f621650597b7c232b036e3233633239546c452e4e594f556333737970496554337a626e6442415451456f2e2f7a6f78676c4e6c42"

const databaseCluster = `apiVersion: hosting/v1
kind: NodeProfile
metadata: {name: db}
spec: {role: database, image: "hostctl/db:v1"}
---
apiVersion: hosting/v1
kind: Shard
metadata: {name: db-1}
spec: {role: database, nodeCount: 1, profile: db}
`

// siteDatabase is what a site of acme's has for itself: nobody has written its password down.
const siteDatabase = `---
apiVersion: hosting/v1
kind: Database
metadata: {name: site}
spec:
  users:
    - {name: site, privileges: admin, password: {generate: true, name: site-db}}
`

// sitePage logs in with the password that its environment holds, over TLS.
const sitePage = `<?php
header('Content-Type: text/plain');
mysqli_report(MYSQLI_REPORT_OFF);
$m = mysqli_init();
$m->ssl_set(null, null, '/etc/hostctl/tls/ca.crt', null, null);
$m->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
if (!@$m->real_connect($_GET['host'], 'acme_site', getenv('DB_PASSWORD'), 'acme_site', 3306, null, MYSQLI_CLIENT_SSL)) { exit('refused ' . mysqli_connect_errno()); }
$m->query('CREATE TABLE IF NOT EXISTS visit (id INT AUTO_INCREMENT PRIMARY KEY)');
$m->query('INSERT INTO visit VALUES ()');
echo 'visit ', $m->insert_id;
`

const shopDatabase = `apiVersion: hosting/v1
kind: Database
metadata: {name: shop}
spec:
  users:
    - {name: app, privileges: admin, passwordHash: "0x%s"}
`

// query asks a database from a web node, as a site's code does: over TLS, with the cluster's CA.
const query = `mysqli_report(MYSQLI_REPORT_OFF);
[$host, $user, $password, $database, $sql] = array_slice($argv, 1);
$m = mysqli_init();
$m->ssl_set(null, null, '/etc/hostctl/tls/ca.crt', null, null);
$m->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
if (!@$m->real_connect($host, $user, $password, $database, 3306, null, MYSQLI_CLIENT_SSL)) { echo 'refused ', mysqli_connect_errno(); exit; }
$r = $m->query($sql);
echo $r === false ? 'error ' . $m->errno : ($r === true ? 'ok' : implode(',', array_column($r->fetch_all(), 0)));`

// asks returns what a query from a web node answers.
func (s *site) asks(user, password, database, sql string) string {
	s.t.Helper()
	return s.docker("exec", s.container("web-1-0"), "php", "-r", query, "--", s.databaseAddress(), user, password, database, sql)
}

func (s *site) databaseAddress() string {
	s.t.Helper()
	return s.addressOf("db-1-0")
}

// wantVisit asks the site that has a database for its page.
func (s *site) wantVisit(want string) {
	s.t.Helper()
	code, body, err := s.at.FetchPath(s.t.Context(), "shop.acme.test", "/visit.php?host="+s.databaseAddress())
	if err != nil || code != 200 || body != want {
		s.t.Errorf("the site with a database: %d %q, %v; want %q", code, body, err, want)
	}
}

// keepsVisiting asks the site with a database for its page again and again, until it is told to stop. It returns how often that
// went well, and what else was answered.
func (s *site) keepsVisiting() (stop func() (visits int, others []string)) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	visits, others, path := 0, []string(nil), "/visit.php?host="+s.databaseAddress()
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			code, body, err := s.at.FetchPath(s.t.Context(), "shop.acme.test", path)
			if err != nil || code != 200 || !strings.HasPrefix(body, "visit ") {
				others = append(others, fmt.Sprintf("%d %q %v", code, body, err))
				continue
			}
			visits++
		}
	}()
	return func() (int, []string) { cancel(); <-ended; return visits, others }
}

// TestDatabase: a tenant's database is made and used from a web node; another tenant's is out of reach. While the tenant is
// suspended nobody gets in and its sites say so, and then all is as before. When the database isn't declared any more nobody gets in, and git revert brings it back with what was in it.
// The same platform serves Valkey.
func TestDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	write := func(path, text string) {
		t.Helper()
		s.must(os.WriteFile(filepath.Join(s.Clone(), path), []byte(text), 0o644))
	}
	write("clusters/eu-1/db.yaml", databaseCluster)
	write("tenants/acme/database.yaml", fmt.Sprintf(shopDatabase, horse)+siteDatabase)
	write("tenants/acme/shop/public/visit.php", sitePage)
	s.edit("SHOP_CURRENCY: EUR", "SHOP_CURRENCY: EUR\n    DB_PASSWORD: {generate: true, name: site-db}")
	write("tenants/globex/database.yaml", fmt.Sprintf(shopDatabase, horse))
	s.edit("shards: {web: web-1}", "shards: {web: web-1, database: db-1}")
	s.edit("  image: hostctl/web:v1\n", "  image: hostctl/web:v1\n  env: {HOSTCTL_CHECK_EVERY: 2s}\n") // jobs are told of soon
	s.push("Databases of two tenants")
	s.wantNoChanges()

	s.wantVisit("visit 1")
	hash := func() string {
		return s.docker("exec", s.container("db-1-0"), "mysql", "-N", "-e", "SELECT HEX(authentication_string) FROM mysql.user WHERE User = 'acme_site'")
	}
	before := hash()
	stop := s.keepsVisiting()
	_, err := s.Hostctl(t.Context(), "secret", "rotate", "--generated", "acme/site-db")
	s.must(err)
	s.edit("SHOP_CURRENCY: EUR", "SHOP_CURRENCY: CHF")
	s.push("Another currency, and with it the other password")
	visits, others := stop()
	if visits < 5 || len(others) > 0 {
		t.Errorf("while the password became another, %d visits, and %q", visits, others)
	}
	t.Logf("%d visits while the password became another", visits)
	s.wantVisit(fmt.Sprintf("visit %d", visits+2))
	if hash() == before {
		t.Error("the password was rotated, and MySQL still has the one of before")
	}
	s.wantNoChanges()

	for _, c := range []struct{ user, password, database, sql, want string }{
		{"acme_app", "correct horse", "acme_shop", "CREATE TABLE orders (id INT)", "ok"},
		{"acme_app", "correct horse", "acme_shop", "INSERT INTO orders VALUES (4711)", "ok"},
		{"acme_app", "correct horse", "acme_shop", "SELECT id FROM orders", "4711"},
		{"acme_app", "correct horse", "globex_shop", "SELECT 1", "refused 1044"},
		{"acme_app", "wrong horse", "acme_shop", "SELECT 1", "refused 1045"},
		{"root", "", "mysql", "SELECT 1", "refused 1045"},
	} {
		if got := s.asks(c.user, c.password, c.database, c.sql); got != c.want {
			t.Errorf("%s in %s: %s: %q, want %q", c.user, c.database, c.sql, got, c.want)
		}
	}

	s.failJob()
	s.wantJobTold()
	s.suspendAcme()

	s.must(os.Remove(filepath.Join(s.Clone(), "tenants/acme/database.yaml")))
	printed := s.push("acme: without a database")
	if got := s.asks("acme_app", "correct horse", "acme_shop", "SELECT id FROM orders"); got != "refused 1045" {
		t.Errorf("after the database was removed: %q\n%s", got, printed)
	}
	if got := s.asks("globex_app", "correct horse", "globex_shop", "SELECT 1"); got != "1" {
		t.Errorf("the other tenant: %q", got)
	}
	if out, err := s.Hostctl(t.Context(), "trash"); err != nil || !strings.Contains(out, "database/db-1/acme.shop") {
		t.Errorf("the trash (%v):\n%s", err, out)
	}
	s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	if got := s.asks("acme_app", "correct horse", "acme_shop", "SELECT id FROM orders"); got != "4711" {
		t.Errorf("after git revert: %q", got)
	}

	// A user that is dropped behind the repository's back is put right.
	s.docker("exec", s.container("db-1-0"), "mysql", "-e", "SET @u = (SELECT Host FROM mysql.user WHERE User = 'acme_app'); SET @s = CONCAT('DROP USER acme_app@\"', @u, '\"'); PREPARE p FROM @s; EXECUTE p")
	s.must(platform.Until(t.Context(), 2*time.Minute, func() error {
		out, err := exec.CommandContext(t.Context(), "docker", "exec", s.container("db-1-0"), "mysql", "-N", "-e", "SELECT User FROM mysql.user WHERE User = 'acme_app'").Output()
		if err != nil || strings.TrimSpace(string(out)) != "acme_app" {
			return fmt.Errorf("the user that was dropped by hand isn't back: %q, %w", out, err)
		}
		return nil
	}))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	s.wantNoChanges()

	s.databaseMoves(t)
	s.valkeyServes(t)
}
