package e2e

import (
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hostctl/tests/platform"
)

// stranger is a PowerDNS that hostctl hasn't made, with a database of its own, as somebody else has set it up: its API
// behind a proxy with TLS, and a zone on it.
type stranger struct {
	t   *testing.T
	key string
	api string // without TLS, for the test itself
	url string // with TLS
	ca  string // file of its authority
	dns string // host:port
}

// strangersDatabase starts PostgreSQL with PowerDNS's tables.
const strangersDatabase = `install -d -m 0777 /run/postgresql && install -d -o postgres /pg && exec s6-setuidgid postgres sh -ec '
initdb -D /pg -A trust --no-sync >/dev/null
echo "host all all all trust" >>/pg/pg_hba.conf
pg_ctl -D /pg -w -o "-c listen_addresses= -c fsync=off" start >/dev/null
createdb pdns && psql -q -d pdns -f /opt/hostctl/pdns.sql
pg_ctl -D /pg -w stop >/dev/null
exec postgres -D /pg -c listen_addresses=* -c fsync=off'`

func newStranger(t *testing.T, dir string) *stranger {
	t.Helper()
	s := &stranger{t: t, key: "canary-" + rand.Text()}
	id := "hostctl-e2e-" + strings.ToLower(rand.Text())
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", "-v", id+"-db", id+"-dns").Run() })
	s.docker("run", "-d", "--name", id+"-db", "--entrypoint", "sh", "hostctl/servicedb:v1", "-c", strangersDatabase)
	config := filepath.Join(dir, "strangers.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, `launch=gpgsql
gpgsql-host=%s
gpgsql-dbname=pdns
gpgsql-user=postgres
gpgsql-dnssec=yes
local-address=0.0.0.0
socket-dir=/tmp
api=yes
api-key=%s
webserver=yes
webserver-address=0.0.0.0
webserver-allow-from=0.0.0.0/0
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
security-poll-suffix=
`, s.address(id+"-db"), s.key), 0o600); err != nil {
		t.Fatal(err)
	}
	s.docker("create", "--name", id+"-dns", "--restart", "always", "--entrypoint", "pdns_server", "hostctl/dns:v1", "--guardian=no", "--daemon=no")
	s.docker("cp", config, id+"-dns:/etc/powerdns/pdns.conf")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	s.docker("start", id+"-dns")
	if err := platform.Until(t.Context(), 3*time.Minute, func() error { // until its database is there it ends, and starts with another address
		at := s.address(id + "-dns")
		if at == "" {
			return errors.New("PowerDNS doesn't run")
		}
		s.api, s.dns = "http://"+at+":8081", at+":53"
		_, err := s.try(http.MethodGet, "", "")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.putTLS(dir)
	return s
}

// putTLS puts a proxy with TLS before the API.
func (s *stranger) putTLS(dir string) {
	to, err := url.Parse(s.api)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(to))
	s.t.Cleanup(proxy.Close)
	s.url, s.ca = proxy.URL, filepath.Join(dir, "strangers-ca.pem")
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stranger) docker(args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("docker %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *stranger) address(container string) string {
	s.t.Helper()
	return s.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
}

func (s *stranger) try(method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.api+"/api/v1/servers/localhost"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-API-Key", s.key)
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var b strings.Builder
	if err := resp.Write(&b); err != nil || resp.StatusCode >= 300 {
		return "", fmt.Errorf("%s %s: %d %s, %w", method, path, resp.StatusCode, b.String(), err)
	}
	return b.String(), nil
}

// does calls the API as its owner.
func (s *stranger) does(method, path, body string) string {
	s.t.Helper()
	out, err := s.try(method, path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// externalFiles are a repository that has nothing but zones on name servers that are there already.
func externalFiles(p *stranger) map[string]string {
	return map[string]string{
		"platform/platform.yaml": `apiVersion: hosting/v1
kind: Platform
metadata: {name: hosting}
spec:
  domain: hosting.test
  nameservers: [ns1.hosting.test, ns2.hosting.test]
  hostmaster: hostmaster@hosting.test
---
apiVersion: hosting/v1
kind: Region
metadata: {name: eu}
spec: {runtimes: [{type: static}]}
---
apiVersion: hosting/v1
kind: HostingPlan
metadata: {name: small}
spec: {}
`,
		"clusters/eu-1/cluster.yaml": fmt.Sprintf(`apiVersion: hosting/v1
kind: Cluster
metadata: {name: eu-1}
spec:
  region: eu
  network: {subnet: 10.77.0.0/24}
  infrastructure:
    powerdns:
      external:
        url: %s
        key: {secretRef: {file: powerdns.sops.yaml, key: api}}
        ca: %s
        # adopt
`, p.url, p.ca),
		"tenants/acme/acme.yaml": `apiVersion: hosting/v1
kind: Tenant
metadata: {name: acme}
spec: {plan: small}
---
apiVersion: hosting/v1
kind: Zone
metadata: {name: acme}
spec:
  domain: acme.test
  cluster: eu-1
  records:
    - {name: "@", type: MX, values: ["10 mail.acme.test."]}
    - {name: mail, type: A, values: [192.0.2.25]}
---
apiVersion: hosting/v1
kind: Zone
metadata: {name: fresh}
spec: {domain: fresh.test, cluster: eu-1}
`,
	}
}

// acmeTest is the zone acme.test as it is there already: equal but for the address of mail, and with a record more.
const acmeTest = `{"name":"acme.test.","kind":"Master","account":"billing","rrsets":[
	{"name":"acme.test.","type":"SOA","ttl":300,"records":[{"content":"ns1.hosting.test. hostmaster.hosting.test. 7 10800 3600 604800 300"}]},
	{"name":"acme.test.","type":"NS","ttl":300,"records":[{"content":"ns1.hosting.test."},{"content":"ns2.hosting.test."}]},
	{"name":"acme.test.","type":"MX","ttl":300,"records":[{"content":"10 mail.acme.test."}]},
	{"name":"old.acme.test.","type":"A","ttl":300,"records":[{"content":"192.0.2.98"}]},
	{"name":"mail.acme.test.","type":"A","ttl":300,"records":[{"content":"192.0.2.99"}]}]}`

// TestExternalPowerDNS drives name servers that are there already, and takes over what they hold. Their key is in the
// repository, encrypted, and goes to their API alone (G11).
func TestExternalPowerDNS(t *testing.T) {
	t.Parallel()
	out := &output{}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := newStranger(t, dir)
	p.does(http.MethodPost, "/zones", acmeTest)
	s := &site{Platform: platform.Platform{Bin: programs, Dir: dir, Out: out}, t: t, out: out, release: func() {}}
	s.at.DNS = p.dns
	s.must(s.Init(t.Context()))
	t.Cleanup(s.remove)
	s.startObserving()
	s.must(s.MakeClone(t.Context()))
	for name, text := range externalFiles(p) {
		s.must(os.MkdirAll(filepath.Dir(filepath.Join(s.Clone(), name)), 0o755))
		s.must(os.WriteFile(filepath.Join(s.Clone(), name), []byte(text), 0o644))
	}
	key := exec.CommandContext(t.Context(), s.Program("hostctl"), "secret", "set", "--state", s.State(), filepath.Join(s.Clone(), "clusters/eu-1/powerdns.sops.yaml"), "api")
	key.Stdin = strings.NewReader(p.key + "\n")
	if out, err := key.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := s.isNotTaken(p)
	said += s.isAdopted()
	said += s.isDriven(p)
	said += s.isFoundAgain()
	s.keptKey(p, said)
}

// isNotTaken pushes without adopt: what is there stays as it is, and what isn't there is made.
func (s *site) isNotTaken(p *stranger) string {
	s.t.Helper()
	s.must(s.Git(s.t.Context(), "add", "--all"))
	s.must(s.Git(s.t.Context(), "commit", "--quiet", "-m", "Zones on name servers that are there"))
	plan, _ := s.Hostctl(s.t.Context(), "plan", "-C", s.Clone())
	if want := "zone acme.test is at " + p.url + " already, and isn't ours"; !strings.Contains(plan, want) {
		s.t.Errorf("the plan doesn't say %q:\n%s", want, plan)
	}
	s.out.take()
	err := s.Git(s.t.Context(), "push", "--quiet", "origin", "main")
	s.must(platform.Until(s.t.Context(), time.Minute, func() error {
		_, err := s.at.Resolve(s.t.Context(), "fresh.test", dns.TypeSOA)
		return err
	}))
	printed := s.out.take()
	if !strings.Contains(printed, "adopt: true") {
		s.t.Errorf("the push doesn't say how to take it over (%v):\n%s", err, printed)
	}
	if zone := p.does(http.MethodGet, "/zones/acme.test.", ""); !strings.Contains(zone, `"billing"`) || strings.Contains(zone, "192.0.2.25") {
		s.t.Errorf("what is another's was touched: %s", zone)
	}
	return plan + printed
}

// isAdopted takes over what is there, as the plan has shown it.
func (s *site) isAdopted() string {
	s.t.Helper()
	s.edit("# adopt", "adopt: true")
	printed := s.push("Take over what is there")
	for _, want := range []string{"~ zone      acme.test on eu-1-powerdns (adopted as it is)", "~ rrset     acme.test/acme.test/MX on eu-1-powerdns (adopted as it is)", "values: +192.0.2.25 -192.0.2.99"} {
		if !strings.Contains(printed, want) {
			s.t.Errorf("the plan doesn't show %q:\n%s", want, printed)
		}
	}
	s.wantAddress("mail.acme.test", "192.0.2.25")
	s.wantAddress("old.acme.test", "192.0.2.98")
	s.wantDrift("rrset/eu-1-powerdns/acme.test/old.acme.test/A orphan report")
	s.wantNoChanges()
	return printed
}

// isDriven changes a record by a push, and has one corrected that somebody changes there.
func (s *site) isDriven(p *stranger) string {
	s.t.Helper()
	s.edit("values: [192.0.2.25]", "values: [192.0.2.26]")
	printed := s.push("acme: mail moves")
	s.wantAddress("mail.acme.test", "192.0.2.26")
	p.does(http.MethodPatch, "/zones/acme.test.", `{"rrsets":[{"name":"mail.acme.test.","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"192.0.2.99","disabled":false}]}]}`)
	s.wantAddress("mail.acme.test", "192.0.2.26")
	s.edit("kind: Zone\nmetadata: {name: fresh}\nspec: {domain: fresh.test, cluster: eu-1}\n", "kind: ZoneRecord\nspec: {zone: acme, name: more, type: A, values: [192.0.2.27]}\n")
	printed += s.push("acme: no zone fresh.test")
	if _, err := s.at.Resolve(s.t.Context(), "fresh.test", dns.TypeSOA); err == nil {
		s.t.Error("fresh.test is still served")
	}
	s.wantAddress("more.acme.test", "192.0.2.27")
	return printed
}

// isFoundAgain loses the inventory: it is made again from what the name servers hold.
func (s *site) isFoundAgain() string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	s.StopHostd()
	s.loseInventory()
	printed, err := s.Hostctl(s.t.Context(), "inventory", "rebuild", "-C", s.Repo(), "--instance", st.Instance)
	if err != nil || strings.Contains(printed, "Declared and not there") {
		s.t.Fatalf("rebuild: %v\n%s", err, printed)
	}
	s.wantNoChanges()
	s.startObserving()
	s.edit("values: [192.0.2.27]", "values: [192.0.2.28]")
	printed += s.push("acme: one more moves")
	s.wantAddress("more.acme.test", "192.0.2.28")
	return printed
}

// keptKey looks for the API's key in all that was printed, and in every file of the platform.
func (s *site) keptKey(p *stranger, said string) {
	s.t.Helper()
	for _, args := range [][]string{{"status", "--json"}, {"history"}, {"plan", "-C", s.Clone(), "--json"}, {"inventory", "backup", filepath.Join(s.Dir, "backup.json")}} {
		out, err := s.Hostctl(s.t.Context(), args...)
		if err != nil {
			s.t.Errorf("hostctl %s: %v: %s", args[0], err, out)
		}
		said += out
	}
	if holdsAny(said, forms(p.key)) {
		s.t.Errorf("the key was printed:\n%s", said)
	}
	s.wantInNoFile(p.key)
}

// wantInNoFile looks for a value in every file of the platform outside of nodes: the inventory, plans, logs, the clone.
func (s *site) wantInNoFile(value string) {
	s.t.Helper()
	read := 0
	s.must(filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file of a moment
		}
		read++
		if holdsAny(string(b), forms(value)) {
			s.t.Errorf("%s holds the value", path)
		}
		return err
	}))
	if read < 10 {
		s.t.Errorf("only %d files were looked into", read)
	}
}
