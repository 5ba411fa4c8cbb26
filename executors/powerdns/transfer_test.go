package powerdns_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hostctl/executors"
	"hostctl/planner"
)

func catalogZone(name string, key *planner.TSIGKey, secondaries ...string) planner.Catalog {
	return planner.Catalog{Meta: meta(name), Secondaries: secondaries, Key: key}
}

// copied is a zone that others copy.
func copied(to *planner.Transfer) planner.Zone {
	z := zoneOf("copied.example")
	z.Transfer = to
	return z
}

// transferKey is the TSIG key of a cluster, in a version of its secret.
func transferKey(version string) *planner.TSIGKey {
	return &planner.TSIGKey{Name: "eu-1-transfer", Secret: planner.Held{Secret: "-/cluster/eu-1/transfer.key", Version: version}}
}

// secretOf is the value of a secret: another one in each version.
func secretOf(held planner.Held) ([]byte, error) {
	if held.Secret != transferKey("").Secret.Secret {
		return nil, fmt.Errorf("there is no secret %s", held.Secret)
	}
	return []byte("the key of transfers, version " + held.Version), nil
}

func tsigSecret(version string) string {
	value, _ := secretOf(transferKey(version).Secret)
	return base64.StdEncoding.EncodeToString(value)
}

// cleanKeys removes TSIG keys, now and when the test ends.
func cleanKeys(t testing.TB, names ...string) {
	t.Helper()
	all := func() {
		for _, n := range names {
			api(t, http.MethodDelete, "/tsigkeys/"+n+".", "")
		}
	}
	all()
	t.Cleanup(all)
}

// axfr copies a zone as a secondary does, with a TSIG key or without.
func axfr(t testing.TB, zone, secret string) (records string, err error) {
	t.Helper()
	args := []string{"exec", server.name, "dig", "@127.0.0.1", "+noall", "+answer"}
	if secret != "" {
		args = append(args, "-y", "hmac-sha256:eu-1-transfer:"+secret)
	}
	out, err := tryDocker(append(args, zone, "AXFR")...)
	if err == nil && strings.Contains(out, "Transfer failed") {
		err = errors.New(out)
	}
	return out, err
}

// secondary is a PowerDNS of somebody else: with its own database, and a catalog to follow.
type secondary struct{ address string }

func newSecondary(t *testing.T) secondary {
	t.Helper()
	id := server.name + "-second"
	t.Cleanup(func() { _, _ = tryDocker("rm", "-f", "-v", id, id+"-db") })
	const database = `install -d -m 0777 /run/postgresql && install -d -o postgres /pg && exec s6-setuidgid postgres sh -ec '
initdb -D /pg -A trust --no-sync >/dev/null
echo "host all all all trust" >>/pg/pg_hba.conf
pg_ctl -D /pg -w -o "-c listen_addresses= -c fsync=off" start >/dev/null
createdb pdns && psql -q -d pdns -f /opt/hostctl/pdns.sql
pg_ctl -D /pg -w stop >/dev/null
exec postgres -D /pg -c listen_addresses=* -c fsync=off'`
	network := strings.TrimSuffix(server.name, "-dns")
	config := filepath.Join(t.TempDir(), "pdns.conf")
	text := "launch=gpgsql\ngpgsql-host=" + id + "-db\ngpgsql-dbname=pdns\ngpgsql-user=postgres\nlocal-address=0.0.0.0\nsocket-dir=/tmp\n" +
		"api=yes\napi-key=second\nwebserver=yes\nwebserver-address=0.0.0.0\nwebserver-allow-from=0.0.0.0/0\n" +
		"secondary=yes\nxfr-cycle-interval=60\nsecurity-poll-suffix=\nquery-cache-ttl=0\nnegquery-cache-ttl=0\ncache-ttl=0\nzone-cache-refresh-interval=0\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"run", "-d", "--name", id + "-db", "--network", network, "--entrypoint", "sh", dbImage, "-c", database},
		{"create", "--name", id, "--network", network, "--restart", "always", "--entrypoint", "pdns_server", dnsImage, "--guardian=no", "--daemon=no"},
		{"cp", config, id + ":/etc/powerdns/pdns.conf"},
		{"start", id},
	} {
		if _, err := tryDocker(args...); err != nil {
			t.Fatal(err)
		}
	}
	var s secondary
	eventually(t, "the secondary runs", func() (err error) { // until its database is there it ends, and starts with another address
		s.address, err = tryDocker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
		if err == nil && s.address == "" {
			err = errors.New("it has no address")
		}
		if err == nil {
			_, err = s.api(http.MethodGet, "", "")
		}
		return err
	})
	return s
}

// api calls the secondary's API and returns the status.
func (s secondary) api(method, path, body string) (int, error) {
	req, err := http.NewRequest(method, "http://"+s.address+":8081/api/v1/servers/localhost"+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-API-Key", "second")
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// follow has the secondary copy a catalog, as its owner sets that up.
func (s secondary) follow(t *testing.T, catalog string) {
	t.Helper()
	code, err := s.api(http.MethodPost, "/zones", fmt.Sprintf(`{"name":"%s.","kind":"Consumer","masters":["%s"]}`, catalog, server.address))
	if err != nil || code != http.StatusCreated {
		t.Fatalf("make a consumer of %s: %d, %v", catalog, code, err)
	}
}

// answers waits until the secondary's answer is this one, "" for none.
func (s secondary) answers(t *testing.T, name, want string) {
	t.Helper()
	eventually(t, name+" at the secondary", func() error {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), dns.TypeA)
		answer, _, err := new(dns.Client).Exchange(m, s.address+":53")
		if err != nil {
			return err
		}
		if got := fmt.Sprint(answer.Answer); (len(answer.Answer) > 0) != (want != "") || !strings.Contains(got, want) {
			return fmt.Errorf("%s, want %s", got, want)
		}
		return nil
	})
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

// A secondary that follows the catalog has each zone by itself, and each change as soon as it is told: its own look for
// changes comes once a minute. A zone that leaves the platform leaves the secondary.
func TestSecondaryFollowsTheCatalog(t *testing.T) {
	needServer(t)
	clean(t, "copied.example", "catalog.example")
	s := newSecondary(t)
	e := executor()
	to := &planner.Transfer{Catalog: "catalog.example", Secondaries: []string{s.address}}
	apply(t, e, create(catalogZone("catalog.example", nil, s.address)))
	apply(t, e, create(copied(to)))
	apply(t, e, create(rrsetOf("copied.example", "www.copied.example", "A", "192.0.2.1")))
	s.follow(t, "catalog.example")
	s.answers(t, "www.copied.example", "192.0.2.1")
	began := time.Now()
	apply(t, e, create(rrsetOf("copied.example", "www.copied.example", "A", "192.0.2.2")))
	s.answers(t, "www.copied.example", "192.0.2.2")
	t.Logf("a change was at the secondary after %s", time.Since(began).Round(time.Millisecond))
	if _, err := axfr(t, "copied.example", ""); err == nil {
		t.Error("whoever isn't a secondary copies the zone")
	}
	apply(t, e, remove(rrsetOf("copied.example", "www.copied.example", "A"), copied(to)))
	s.answers(t, "www.copied.example", "")
	apply(t, e, remove(catalogZone("catalog.example", nil, s.address)))
	if code, _ := api(t, http.MethodGet, "/zones/catalog.example.", ""); code != http.StatusNotFound {
		t.Errorf("the catalog is still there: %d", code)
	}
}

// Who has the key copies the zones and the catalog, from wherever, and nobody else does; with a new value the old one is
// of no use. A key that was left behind is removed.
func TestTransferWithKey(t *testing.T) {
	needServer(t)
	clean(t, "copied.example", "keyed.example")
	cleanKeys(t, "eu-1-transfer")
	e := executor()
	to := &planner.Transfer{Catalog: "keyed.example", Secondaries: []string{"192.0.2.1"}, Key: "eu-1-transfer"}
	apply(t, e, create(catalogZone("keyed.example", transferKey("1"), "192.0.2.1")))
	apply(t, e, create(copied(to)))
	for _, zone := range []string{"copied.example", "keyed.example"} {
		if records, err := axfr(t, zone, tsigSecret("1")); err != nil || strings.Count(records, "SOA") != 2 {
			t.Errorf("%s, with the key: %v, %v", zone, records, err)
		}
		for what, secret := range map[string]string{"without a key": "", "with another key": tsigSecret("2")} {
			if records, err := axfr(t, zone, secret); err == nil {
				t.Errorf("%s, %s: %v", zone, what, records)
			}
		}
	}
	records, err := axfr(t, "keyed.example", tsigSecret("1"))
	if err != nil || !strings.Contains(records, "PTR copied.example.") {
		t.Errorf("the catalog doesn't name the zone: %v, %v", records, err)
	}
	apply(t, e, create(catalogZone("keyed.example", transferKey("2"), "192.0.2.1")))
	if _, err := axfr(t, "copied.example", tsigSecret("1")); err == nil {
		t.Error("the old value of the key is still good")
	}
	if _, err := axfr(t, "copied.example", tsigSecret("2")); err != nil {
		t.Error(err)
	}
	apply(t, e, create(zoneOf("copied.example")))
	if _, err := axfr(t, "copied.example", tsigSecret("2")); err == nil {
		t.Error("it is still copied")
	}
	apply(t, e, create(catalogZone("keyed.example", nil, "192.0.2.1")))
	if code, _ := api(t, http.MethodGet, "/tsigkeys/eu-1-transfer.", ""); code != http.StatusNotFound {
		t.Errorf("the key is still there: %d", code)
	}
}

// What wasn't lowered from a repository is refused before PowerDNS sees it.
func TestBadTransfers(t *testing.T) {
	foreign := transferKey("1")
	foreign.Secret.Secret = "acme/webroot/shop/env.KEY"
	odd := transferKey("1")
	odd.Name = "eu-1-transfer;x"
	for what, o := range map[string]planner.Object{
		"no secondaries":   catalogZone("catalog.example", nil),
		"no address":       catalogZone("catalog.example", nil, "ns1.example.com"),
		"a network":        catalogZone("catalog.example", nil, "0.0.0.0/0"),
		"twice":            catalogZone("catalog.example", nil, "192.0.2.1", "192.0.2.1"),
		"a name":           catalogZone("../x", nil, "192.0.2.1"),
		"a tenant's key":   catalogZone("catalog.example", foreign, "192.0.2.1"),
		"an odd key":       catalogZone("catalog.example", odd, "192.0.2.1"),
		"a zone's network": copied(&planner.Transfer{Catalog: "catalog.example", Secondaries: []string{"0.0.0.0/0"}}),
		"a zone's key":     copied(&planner.Transfer{Catalog: "catalog.example", Secondaries: []string{"192.0.2.1"}, Key: "other"}),
	} {
		if err := executor().Apply(t.Context(), create(o))[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v", what, err)
		}
	}
}
