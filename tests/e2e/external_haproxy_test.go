package e2e

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// balancer is an HAProxy that hostctl hasn't made, on this machine, as somebody else has set it up: with a site of its own, and
// one that is to become hostctl's.
type balancer struct {
	t         *testing.T
	dir, name string
	address   string
	secure    string // address with TLS
}

const (
	balancerConfig = `global
    stats socket DIR/admin.sock mode 600 level admin
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 1s
    default-server check inter 1s fastinter 500ms downinter 1s fall 2 rise 1
frontend everything
    bind ADDRESS
    bind SECURE ssl crt-list DIR/list strict-sni
    http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)
    http-request set-var(txn.route) var(txn.host),map(DIR/rules.map)
    http-request set-var(txn.hsts) var(txn.route),field(3,|)
    http-request redirect location https://%[var(txn.host)]%[pathq] code 308 if !{ ssl_fc } { var(txn.route),field(2,|) -m str https }
    http-after-response set-header Strict-Transport-Security "max-age=%[var(txn.hsts)]" if { ssl_fc } { var(txn.hsts) -m reg ^[0-9]+$ }
    use_backend %[req.hdr(host),host_only,lower,rtrim(.),map(DIR/hosts.map)]
    default_backend nobody
backend nobody
    http-request return status 421
backend legacy
    http-request return status 200 content-type text/plain string "legacy site"
backend web-1
    balance hash req.hdr(host),host_only,lower,rtrim(.)
    hash-type consistent
    option httpchk
    http-check send meth GET uri /.hostctl/healthz ver HTTP/1.1 hdr Host healthz.hostctl.invalid
    http-check expect status 200
`
	balancerMap = "# kept by hand\nlegacy.example.test legacy\nwww.acme.test legacy\n"
)

func newBalancer(t *testing.T, dir string) *balancer {
	t.Helper()
	b := &balancer{t: t, dir: filepath.Join(dir, "haproxy"), name: "hostctl-e2e-" + strings.ToLower(rand.Text())}
	var listening []net.Listener // both at once, so that they are two
	for _, address := range []*string{&b.address, &b.secure} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*address, listening = l.Addr().String(), append(listening, l)
	}
	for _, l := range listening {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.write("haproxy.cfg", strings.NewReplacer("DIR", b.dir, "ADDRESS", b.address, "SECURE", b.secure).Replace(balancerConfig))
	b.write("hosts.map", balancerMap)
	b.write("rules.map", "")
	b.write("list", "# kept by hand\n")
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", b.name).Run() })
	b.docker("run", "-d", "--name", b.name, "--network", "host", "--mount", "type=bind,src="+b.dir+",dst="+b.dir, "--entrypoint", "haproxy", "hostctl/lb:v1", "-db", "-f", b.dir+"/haproxy.cfg")
	return b
}

func (b *balancer) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *balancer) docker(args ...string) {
	b.t.Helper()
	if out, err := exec.CommandContext(b.t.Context(), "docker", args...).CombinedOutput(); err != nil {
		b.t.Fatalf("docker %s: %v: %s", args[0], err, out)
	}
}

// does sends a command as its owner does.
func (b *balancer) does(command string) {
	b.t.Helper()
	c, err := net.Dial("unix", filepath.Join(b.dir, "admin.sock"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintln(c, command); err != nil {
		b.t.Fatal(err)
	}
	reply := make([]byte, 4096)
	n, _ := c.Read(reply) // its end
	if said := strings.TrimSpace(string(reply[:n])); said != "" {
		b.t.Fatalf("%s: %s", command, said)
	}
}

func behindBalancer(b *balancer) map[string]string {
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
    haproxy:
      external:
        socket: %s/admin.sock
        map: %s/hosts.map
        rules: %s/rules.map
        crtList: %s/list
        # adopt
---
apiVersion: hosting/v1
kind: Host
metadata: {name: host-1}
spec:
  address: 127.0.0.1
  docker: {endpoint: "unix:///var/run/docker.sock"}
  portRange: {first: 20000, last: 20999}
---
apiVersion: hosting/v1
kind: NodeProfile
metadata: {name: web}
spec: {role: web, image: "hostctl/web:v1"}
---
apiVersion: hosting/v1
kind: Shard
metadata: {name: web-1}
spec: {role: web, nodeCount: 1, profile: web}
`, b.dir, b.dir, b.dir, b.dir),
		"tenants/acme/acme.yaml": `apiVersion: hosting/v1
kind: Tenant
metadata: {name: acme}
spec: {plan: small, shards: {web: web-1}}
---
apiVersion: hosting/v1
kind: Webroot
metadata: {name: www}
spec:
  runtime: {type: static}
  content: {path: www}
  fqdns: [www.acme.test, new.acme.test]
`,
		"tenants/acme/www/index.html": "a page of acme\n",
	}
}

// TestExternalHAProxy serves a site through a load balancer that is there already, beside what it serves for others, and takes
// over a name that it has.
func TestExternalHAProxy(t *testing.T) {
	t.Parallel()
	out := &output{}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	b := newBalancer(t, dir)
	s := &site{Platform: platform.Platform{Bin: programs, Dir: dir, Out: out}, t: t, out: out, release: func() {}}
	s.at.HTTP, s.at.HTTPS = b.address, b.secure
	t.Cleanup(s.remove)
	s.must(s.Init(t.Context()))
	s.startObserving()
	s.must(s.MakeClone(t.Context()))
	for name, text := range behindBalancer(b) {
		s.must(os.MkdirAll(filepath.Dir(filepath.Join(s.Clone(), name)), 0o755))
		s.must(os.WriteFile(filepath.Join(s.Clone(), name), []byte(text), 0o644))
	}
	s.moveOff()
	s.isLeftAlone(b)
	s.isTakenOver()
	s.isSecured(b)
	s.isHealed(b)
	s.isRebuilt()
	s.isGivenBack(b)
}

// isLeftAlone pushes without adopt: the name that is there stays as it is, the other one is served.
func (s *site) isLeftAlone(b *balancer) {
	s.t.Helper()
	s.must(s.Git(s.t.Context(), "add", "--all"))
	s.must(s.Git(s.t.Context(), "commit", "--quiet", "-m", "A site behind a load balancer that is there"))
	plan, _ := s.Hostctl(s.t.Context(), "plan", "-C", s.Clone())
	if want := "route www.acme.test is at " + b.dir + "/hosts.map already, and isn't ours"; !strings.Contains(plan, want) {
		s.t.Errorf("the plan doesn't say %q:\n%s", want, plan)
	}
	s.out.take()
	err := s.Git(s.t.Context(), "push", "--quiet", "origin", "main")
	s.willServe("new.acme.test")
	if printed := s.out.take(); !strings.Contains(printed, "adopt: true") {
		s.t.Errorf("the push doesn't say how to take it over (%v):\n%s", err, printed)
	}
	s.wantServed("www.acme.test", "legacy site")
}

// isTakenOver takes over the name that is there, as the plan has shown it.
func (s *site) isTakenOver() {
	s.t.Helper()
	s.edit("# adopt", "adopt: true")
	printed := s.push("Take over what is there")
	for _, want := range []string{"~ route     www.acme.test on eu-1-haproxy (adopted)", "backend: legacy → web-1"} {
		if !strings.Contains(printed, want) {
			s.t.Errorf("the plan doesn't show %q:\n%s", want, printed)
		}
	}
	s.wantServed("www.acme.test", "a page of acme")
	s.wantServed("legacy.example.test", "legacy site")
	s.wantNoChanges()
}

// isSecured gives a name a certificate that its tenant brings, and has it answered with TLS alone.
func (s *site) isSecured(b *balancer) {
	s.t.Helper()
	ca, err := platform.NewAuthority("test authority")
	s.must(err)
	chain, key, err := ca.Issue("new.acme.test")
	s.must(err)
	s.bring(chain, key)
	s.write("tenants/acme/cert.yaml", `apiVersion: hosting/v1
kind: Certificate
metadata: {name: new}
spec:
  dnsNames: [new.acme.test]
  issuer: custom
  custom:
    certRef: docs.pem
    keyRef: {secretRef: {file: docs-key.sops.yaml, key: key}}
`)
	s.edit("fqdns: [www.acme.test, new.acme.test]", "fqdns: [www.acme.test, {hostname: new.acme.test, tls: true, forceHTTPS: true, hsts: {maxAge: 1d}}]")
	s.push("acme: new.acme.test with TLS")
	s.isSecure(ca)
	b.docker("restart", "-t", "0", b.name)
	s.must(s.visitor().wait("new.acme.test", ca))
	s.willServe("www.acme.test")
	s.isSecure(ca)
	s.wantNoChanges()
}

func (s *site) isSecure(ca *platform.Authority) {
	s.t.Helper()
	v := s.visitor()
	for url, want := range map[string]string{"http://new.acme.test/a?b": "308 https://new.acme.test/a?b", "https://new.acme.test/": "200 max-age=86400"} {
		if got := v.get(ca.Pool(), url); got != want {
			s.t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}

// isHealed changes entries behind hostctl's back, and starts HAProxy anew, which forgets its servers: all is put right.
func (s *site) isHealed(b *balancer) {
	s.t.Helper()
	b.does("set map " + b.dir + "/hosts.map www.acme.test legacy")
	s.willServe("www.acme.test")
	b.docker("restart", "-t", "0", b.name)
	s.willServe("www.acme.test")
	s.wantServed("legacy.example.test", "legacy site")
	s.must(s.Settled(s.t.Context(), time.Minute))
	s.wantNoChanges()
}

// isRebuilt loses the inventory: it is made again from what the load balancer and the nodes hold.
func (s *site) isRebuilt() {
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
}

// isGivenBack takes a name out of the repository, then the load balancer: what others have in it is all that is left.
func (s *site) isGivenBack(b *balancer) {
	s.t.Helper()
	s.edit("fqdns: [www.acme.test, {", "fqdns: [{")
	s.push("acme: no www")
	s.wantMisdirected("www.acme.test")
	if got := s.visitor().get(nil, "https://new.acme.test/"); got != "200 max-age=86400" {
		s.t.Errorf("https://new.acme.test/: %q", got)
	}
	file := filepath.Join(s.Clone(), "clusters/eu-1/cluster.yaml")
	text, err := os.ReadFile(file)
	s.must(err)
	from, to := strings.Index(string(text), "  infrastructure:"), strings.Index(string(text), "---")
	s.must(os.WriteFile(file, append(text[:from:from], text[to:]...), 0o644))
	s.push("The load balancer is left")
	got, err := os.ReadFile(filepath.Join(b.dir, "hosts.map"))
	s.must(err)
	if want := "# kept by hand\nlegacy.example.test legacy\n"; string(got) != want {
		s.t.Errorf("the map is\n%s\nwant\n%s", got, want)
	}
	if files, err := filepath.Glob(b.dir + "/list.*"); err != nil || len(files) > 0 {
		s.t.Errorf("certificates are left: %v, %v", files, err)
	}
	if files, err := filepath.Glob(s.State() + "/external/*/secrets/*/*/*/*"); err != nil || len(files) > 0 {
		s.t.Errorf("keys are left: %v, %v", files, err)
	}
	s.wantServed("legacy.example.test", "legacy site")
}

// willServe waits until a host name answers with the page of acme.
func (s *site) willServe(host string) {
	s.t.Helper()
	const words = "a page of acme"
	s.must(platform.Until(s.t.Context(), 2*time.Minute, func() error {
		code, body, err := s.at.Fetch(s.t.Context(), host)
		if err == nil && (code != 200 || !strings.Contains(body, words)) {
			err = fmt.Errorf("GET %s: %d %q, want 200 with %q", host, code, body, words)
		}
		return err
	}))
}
