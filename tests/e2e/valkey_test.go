package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

const valkeyCluster = `apiVersion: hosting/v1
kind: NodeProfile
metadata: {name: valkey}
spec: {role: valkey, image: "hostctl/valkey:v1"}
---
apiVersion: hosting/v1
kind: Shard
metadata: {name: valkey-1}
spec: {role: valkey, nodeCount: 1, profile: valkey}
`

const siteCache = `apiVersion: hosting/v1
kind: ValkeyInstance
metadata: {name: cache}
spec:
  shard: valkey-1
  maxMemory: 16Mi
  users:
    - {name: app, password: {generate: true, name: cache}}
`

// cachePage counts its visits in the site's instance, with the password that its environment holds, over TLS. What it is asked
// for, it tries.
const cachePage = `<?php
header('Content-Type: text/plain');
[$host, $port] = explode(':', $_GET['at']);
try {
	$r = new Redis();
	$tls = isset($_GET['plain']) ? [] : ['stream' => ['cafile' => '/etc/hostctl/tls/ca.crt']];
	$r->connect(($tls ? 'tls://' : '') . $host, (int)$port, 10, null, 0, 10, $tls);
	$r->auth([$_GET['user'] ?? 'app', $_GET['password'] ?? getenv('CACHE_PASSWORD')]);
	if (isset($_GET['command'])) {
		$said = $r->rawCommand(...explode(' ', $_GET['command']));
		exit($said === false ? (string)$r->getLastError() : json_encode($said));
	}
	echo 'visit ', $r->incr('visits');
} catch (RedisException $e) {
	exit('refused ' . $e->getMessage());
}
`

var endpoint = regexp.MustCompile(`valkey/valkey-1/\S+ at (\S+)`)

// instanceAt is where hostctl says that an instance answers.
func (s *site) instanceAt(name string) string {
	s.t.Helper()
	out, err := s.Hostctl(s.t.Context(), "why", "valkey/valkey-1/"+name)
	found := endpoint.FindStringSubmatch(out)
	if err != nil || found == nil {
		s.t.Fatalf("hostctl why: %v\n%s", err, out)
	}
	return found[1]
}

// cached asks the site that has an instance for its page.
func (s *site) cached(query string) string {
	code, body, err := s.at.FetchPath(s.t.Context(), "shop.acme.test", "/cache.php?"+query)
	if err != nil || code != 200 {
		return fmt.Sprintf("%d %v", code, err)
	}
	return body
}

// valkeyServes: a site counts in its tenant's instance, with a password that nobody has written down, and reaches no other. When the
// instance isn't declared any more nobody gets in, and git revert brings it back with what was in it, at the same place. What is
// changed in it by hand is put right.
func (s *site) valkeyServes(t *testing.T) {
	t.Helper()
	write := func(path, text string) {
		t.Helper()
		s.must(os.WriteFile(filepath.Join(s.Clone(), path), []byte(text), 0o644))
	}
	write("clusters/eu-1/valkey.yaml", valkeyCluster)
	write("tenants/acme/cache.yaml", siteCache)
	write("tenants/globex/cache.yaml", siteCache)
	write("tenants/acme/shop/public/cache.php", cachePage)
	s.edit("    SHOP_CURRENCY: ", "    CACHE_PASSWORD: {generate: true, name: cache}\n    SHOP_CURRENCY: ")
	s.push("Valkey for two tenants")
	s.wantNoChanges()
	at, theirs := s.instanceAt("acme.cache"), s.instanceAt("globex.cache")
	for _, c := range [][2]string{
		{"at=" + at, "visit 1"},
		{"at=" + at, "visit 2"},
		{"at=" + at + "&command=GET+visits", `"2"`},
		{"at=" + at + "&command=CONFIG+GET+dir", "refused NOPERM"},
		{"at=" + at + "&command=ACL+LIST", "refused NOPERM"},
		{"at=" + at + "&user=default", "refused WRONGPASS"},
		{"at=" + at + "&password=wrong", "refused WRONGPASS"},
		{"at=" + at + "&plain=1", "refused "},
		{"at=" + theirs, "refused WRONGPASS"},
		{"at=" + strings.Split(at, ":")[0] + ":9443&plain=1", "refused "},
	} {
		if got := s.cached(c[0]); !strings.HasPrefix(got, c[1]) {
			t.Errorf("the site with a cache: %s: %q, want %q", c[0], got, c[1])
		}
	}

	_, err := s.Hostctl(t.Context(), "secret", "rotate", "--generated", "acme/cache")
	s.must(err)
	s.edit("  maxMemory: 16Mi", "  maxMemory: 24Mi\n  persistence: aof")
	s.push("More memory, and with it the other password")
	if got := s.cached("at=" + at); got != "visit 3" {
		t.Errorf("with another password: %q", got)
	}

	s.must(os.Remove(filepath.Join(s.Clone(), "tenants/acme/cache.yaml")))
	s.push("acme: without Valkey")
	if got := s.cached("at=" + at); !strings.HasPrefix(got, "refused ") {
		t.Errorf("after the instance was removed: %q", got)
	}
	if out, err := s.Hostctl(t.Context(), "trash"); err != nil || !strings.Contains(out, "valkey/valkey-1/acme.cache") {
		t.Errorf("the trash (%v):\n%s", err, out)
	}
	s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	if got := s.cached("at=" + at); got != "visit 4" {
		t.Errorf("after git revert: %q", got)
	}

	const asAgent = `c() { valkey-cli -s /run/valkey/acme.cache/sock/valkey.sock --user _hostctl --pass "$(cat /var/lib/valkey/instances/acme.cache/admin)" --no-auth-warning "$@"; }; `
	s.sh(s.container("valkey-1-0"), asAgent+"c ACL DELUSER app; c CONFIG SET maxmemory 0")
	s.must(platform.Until(t.Context(), 2*time.Minute, func() error {
		out, err := exec.CommandContext(t.Context(), "docker", "exec", s.container("valkey-1-0"), "sh", "-c", asAgent+"c CONFIG GET maxmemory").Output()
		if got := s.cached("at=" + at); err == nil && (!strings.HasPrefix(got, "visit ") || strings.Contains(string(out), "\n0\n")) {
			err = errors.New("what was changed by hand isn't put right: " + got)
		}
		return err
	}))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	s.wantNoChanges()
}
