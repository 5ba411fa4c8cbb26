package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/agent/blobs"
	"hostctl/agent/identity"
	"hostctl/executors/remote"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	nodeName = "web-1-0"
	shard    = "web-1"
	instance = "7d0e7a52-0000-4000-8000-000000000001"
)

// node is a web node: a container of the real image, with the real agent in it.
type node struct {
	t         testing.TB
	name      string
	role      string
	container string
	address   string // IPv4
	ca        *identity.CA
	files     files
}

// files are the bytes of blobs, as the repository would give them.
type files map[schema.BlobID][]byte

func (f files) Read(id schema.BlobID) ([]byte, error) {
	b, ok := f[id]
	if !ok {
		return nil, fmt.Errorf("no blob %s", id)
	}
	return b, nil
}

// add returns a file of a webroot that holds text.
func (f files) add(path, text string) schema.ContentFile {
	id := blobs.ID([]byte(text))
	f[id] = []byte(text)
	return schema.ContentFile{Path: path, Blob: id, Size: int64(len(text))}
}

// program builds a program once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hostctl-agent-test-")
	if err != nil {
		return "", err
	}
	programDir = dir
	out := filepath.Join(dir, "node-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", out, "hostctl/cmd/node-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build node-agent: %w\n%s", err, text)
	}
	return out, nil
})

var programDir string // where program has built it, if it has

func TestMain(m *testing.M) {
	if role := os.Getenv(inside); role != "" {
		runInside(role)
	}
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// startNode starts a web node.
func startNode(t testing.TB) *node {
	t.Helper()
	return startNodeOf(t, "web", nodeName)
}

// startNodeOf starts a node and waits until its agent answers. The node goes when the test ends.
func startNodeOf(t testing.TB, role, name string, env ...string) *node {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Docker")
	}
	ca, err := identity.Open(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return startNodeWith(t, ca, role, name, env...)
}

// startNodeWith starts a node whose certificate a CA signs that has signed others.
func startNodeWith(t testing.TB, ca *identity.CA, role, name string, env ...string) *node {
	t.Helper()
	agent, err := program()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, name: name, role: role, ca: ca, files: files{}, container: "hostctl-agent-test-" + strings.ToLower(rand.Text()[:8])}
	words := []string{"create", "--name", n.container, "--label", "hostctl-test=agent",
		"--env", "HOSTCTL_NODE=" + name, "--env", "HOSTCTL_ROLE=" + role, "--env", "HOSTCTL_INSTANCE=" + instance, "--env", "HOSTCTL_CLUSTER=eu-1",
		"--env", "HOSTCTL_DB_ADDRESS=127.0.0.1", // a dns node asks for it; nobody is there
		"--env", "HOSTCTL_CHECK_EVERY=1h", // what tests damage isn't healed, unless that is the test
	}
	for _, e := range env {
		words = append(words, "--env", e)
	}
	docker(t, append(words, imageOf(role))...)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("docker", "logs", "--tail", "40", n.container).CombinedOutput()
			t.Logf("the node's log:\n%s", out)
		}
		docker(t, "rm", "--force", "--volumes", n.container)
	})
	n.copyIn(agent)
	docker(t, "start", n.container)
	n.address = strings.TrimSpace(docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", n.container))
	n.ready()
	return n
}

// copyIn puts the agent and its certificate into the container.
func (n *node) copyIn(agent string) {
	n.t.Helper()
	cert, key, err := n.ca.Node(n.name, n.role, instance, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		n.t.Fatal(err)
	}
	dir := n.t.TempDir()
	for name, data := range map[string][]byte{"ca.crt": n.ca.PEM(), "node.crt": cert, "node.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			n.t.Fatal(err)
		}
		docker(n.t, "cp", filepath.Join(dir, name), n.container+":/etc/hostctl/tls/"+name)
	}
	docker(n.t, "cp", agent, n.container+":/var/lib/hostctl/bin/node-agent")
}

// dial returns the agent as run number fence sees it.
func (n *node) dial(fence int64) *remote.Agent {
	n.t.Helper()
	controller, err := n.ca.Controller(instance)
	if err != nil {
		n.t.Fatal(err)
	}
	c, err := n.ca.ClientTLS(controller, instance, n.name)
	if err != nil {
		n.t.Fatal(err)
	}
	a, err := remote.Dial(remote.Options{
		Address: net.JoinHostPort(n.address, "9443"), Node: n.name, TLS: c, Instance: instance, Fence: fence, Blobs: n.files,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = a.Close() })
	return a
}

func (n *node) ready() {
	n.t.Helper()
	a := n.dial(0)
	within(n.t, 20*time.Second, "the agent answers", func() error {
		_, err := a.Hello(n.t.Context())
		return err
	})
}

// within waits until a condition holds.
func within(t testing.TB, d time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, d, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exec runs a program in the container and returns its output; it must succeed.
func (n *node) exec(words ...string) string {
	n.t.Helper()
	return docker(n.t, append([]string{"exec", n.container}, words...)...)
}

// script runs a shell script in the container: the shell is the tenant's, or the test's, never the agent's.
func (n *node) script(text string) string {
	n.t.Helper()
	return n.exec("sh", "-euc", text)
}

// get asks nginx for a page and returns status and body.
func (n *node) get(host, path string) (int, string) {
	n.t.Helper()
	status, body, err := n.fetch(host, path)
	if err != nil {
		n.t.Fatal(err)
	}
	return status, body
}

var client = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (n *node) fetch(host, path string) (int, string, error) {
	return n.ask(client, http.MethodGet, host, path)
}

func (n *node) ask(c *http.Client, method, host, path string) (int, string, error) {
	r, err := http.NewRequest(method, "http://"+n.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Host = host
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func docker(t testing.TB, words ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("docker", words...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("docker %s: %v\n%s%s", strings.Join(words, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// site is what a tenant's site is made of.
type site struct {
	user    planner.User
	webroot planner.Webroot
	runtime planner.Runtime
	vhost   planner.Vhost
}

// newSite returns the objects of site "shop" of a tenant, in PHP where php is true.
func (n *node) newSite(tenant string, uid int, php bool, content ...schema.ContentFile) site {
	name := tenant + ".shop"
	meta := func(target, name, kind string) planner.Meta {
		return planner.Meta{Target: target, Name: name, From: planner.Owner{Tenant: tenant, Kind: kind, Name: "shop"}}
	}
	s := site{
		user: planner.User{Meta: meta(nodeName, tenant, "Tenant"), Login: "t-" + tenant, UID: uid},
		webroot: planner.Webroot{
			Meta: meta(shard, name, "Webroot"), Tenant: tenant, Site: "shop", UID: uid, DocumentRoot: "public", Files: content,
		},
		vhost: planner.Vhost{
			Meta: meta(nodeName, name, "Webroot"), Tenant: tenant, Site: "shop", DocumentRoot: "public",
			Hostnames: []string{"www." + tenant + ".example", tenant + ".example"}, Type: schema.RuntimeStatic,
		},
	}
	if php {
		s.vhost.Type, s.vhost.Version = schema.RuntimePHP, "8.4"
		s.runtime = planner.Runtime{
			Meta: meta(nodeName, name+"/php-8.4", "Webroot"), Tenant: tenant, Site: "shop", Type: schema.RuntimePHP, Version: "8.4", Login: "t-" + tenant,
		}
	}
	return s
}

func (s site) objects() []planner.Object {
	if s.runtime.Name == "" {
		return []planner.Object{s.user, s.webroot, s.vhost}
	}
	return []planner.Object{s.user, s.webroot, s.runtime, s.vhost}
}

// create applies objects as new ones; all must succeed.
func (n *node) create(objects ...planner.Object) {
	n.t.Helper()
	for i, err := range n.tryCreate(objects...) {
		if err != nil {
			n.t.Fatalf("create %s: %v", objects[i].Ref(), err)
		}
	}
}

func (n *node) tryCreate(objects ...planner.Object) []error {
	n.t.Helper()
	cs := make([]planner.Change, len(objects))
	for i, o := range objects {
		cs[i] = planner.Change{ID: i, Action: planner.Create, New: o}
	}
	return n.dial(1).Apply(n.t.Context(), cs)
}

// imageOf names the image of a role, as the build does.
func imageOf(role string) string {
	if role == "database" {
		role = "db"
	}
	return "hostctl/" + role + ":v1"
}
