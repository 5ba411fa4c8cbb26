package haproxy_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/haproxy"
	"hostctl/planner"
)

// The tests run HAProxy as the lb image has it, in a container. Its folders are mounted where the test's own are, under the
// same names, so the executor works from outside as it does beside the process.

const (
	image    = "hostctl/lb:v1"
	target   = "eu-1-lb-0"
	instance = "3f0c9a54-test"
)

// network is the tests' own, so that an address isn't given to somebody else's container while a test still uses it.
var network = "hostctl-test-" + strings.ToLower(rand.Text())

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	_, noNetwork = tryDocker("network", "create", network)
	code := m.Run()
	if out, err := tryDocker("network", "rm", network); err != nil && noNetwork == nil {
		fmt.Fprintln(os.Stderr, "remove the network:", out)
		code = max(code, 1)
	}
	os.Exit(code)
}

var noNetwork error // why there is none

// balancer is a running HAProxy.
type balancer struct {
	name, dir string
	address   string // of the container
}

func docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := tryDocker(args...)
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryDocker(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// needDocker skips a test with -short; without it, no Docker is a failure.
func needDocker(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Docker")
	}
	if noNetwork != nil {
		t.Fatalf("no network: %v", noNetwork)
	}
	if out, err := tryDocker("image", "inspect", "--format", "ok", image); err != nil {
		t.Fatalf("no image %s; agent/images/build makes it: %s", image, out)
	}
}

// start runs an HAProxy with the image's own configuration.
func start(t testing.TB) *balancer {
	t.Helper()
	needDocker(t)
	dir, err := os.MkdirTemp("", "hostctl-lb-") // short, for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &balancer{name: "hostctl-test-" + strings.ToLower(rand.Text()), dir: dir}
	b.writeImageConfig(t)
	b.run(t, "--mount", "type=bind,src="+dir+",dst="+dir, "--entrypoint", "haproxy", image,
		"-W", "-db", "-S", dir+"/master.sock,mode,600", "-f", dir+"/haproxy.cfg")
	until(t, "HAProxy answers", func() error {
		c, err := net.Dial("unix", dir+"/admin.sock")
		if err == nil {
			c.Close()
		}
		return err
	})
	return b
}

// run starts the container, with arguments that end in the image and its command.
func (b *balancer) run(t testing.TB, args ...string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := tryDocker("logs", "--tail", "10", b.name)
			t.Logf("%s: %s", b.name, out)
		}
		_, _ = tryDocker("rm", "-f", b.name) // it may be gone
	})
	docker(t, append([]string{"run", "-d", "--rm", "--network", network, "--name", b.name}, args...)...)
	b.address = docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", b.name)
}

var imageConfig = sync.OnceValues(func() (string, error) {
	return tryDocker("run", "--rm", "--entrypoint", "cat", image, "/etc/haproxy/haproxy.cfg")
})

// writeImageConfig puts the image's configuration in place, with the test's folders.
func (b *balancer) writeImageConfig(t testing.TB) {
	t.Helper()
	text, err := imageConfig()
	if err != nil {
		t.Fatalf("the image's haproxy.cfg: %v: %s", err, text)
	}
	b.write(t, "haproxy.cfg", strings.ReplaceAll(text, "/run/haproxy/", b.dir+"/")+"\n")
	b.write(t, "maps/hosts.map", "")
}

func (b *balancer) write(t testing.TB, name, text string) {
	t.Helper()
	file := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *balancer) read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (b *balancer) options() haproxy.Options {
	return haproxy.Options{
		Target:   target,
		Instance: instance,
		Socket:   b.dir + "/admin.sock",
		Master:   b.dir + "/master.sock",
		Config:   b.dir + "/haproxy.cfg",
		Maps:     b.dir + "/maps",
		Certs:    b.dir + "/certs",
		Check:    []string{"docker", "exec", b.name, "haproxy", "-c", "-f"},
	}
}

func (b *balancer) executor() *haproxy.Executor { return haproxy.New(b.options()) }

// ask sends a command to the running process.
func (b *balancer) ask(t testing.TB, command string) string {
	t.Helper()
	c, err := net.Dial("unix", b.dir+"/admin.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, command)
	var out strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return strings.TrimRight(out.String(), "\n")
		}
	}
}

// startNode runs a web node: something that says its name, and what it was asked.
func startNode(t testing.TB, name string) *balancer {
	t.Helper()
	needDocker(t)
	dir := t.TempDir()
	n := &balancer{name: "hostctl-test-" + strings.ToLower(rand.Text()), dir: dir}
	n.write(t, "haproxy.cfg", `
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 1s
frontend node
    bind :80
    http-request return status 200 content-type text/plain string ok if { path /.hostctl/healthz }
    http-request return status 200 content-type text/plain lf-string "`+name+` host=%[req.hdr(host)] for=%[req.fhdr(x-forwarded-for)] forwarded-proto=%[req.fhdr(x-forwarded-proto)] real=%[req.hdr(x-real-ip)]"
`)
	n.run(t, "--mount", "type=bind,src="+dir+",dst="+dir, "--entrypoint", "haproxy", image, "-db", "-f", dir+"/haproxy.cfg")
	until(t, "node "+name+" answers", func() error {
		c, err := net.DialTimeout("tcp", n.address+":80", time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
	return n
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not after 30 s: %s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

func meta(name string) planner.Meta { return planner.Meta{Target: target, Name: name} }

func backendOf(name string) planner.Backend {
	return planner.Backend{Meta: meta(name), Balance: "host"}
}

func serverOf(backend, node, address string, s planner.ServerState) planner.Server {
	return planner.Server{Meta: meta(backend + "/" + node), Backend: backend, Node: node, Address: address, State: s}
}

func routeOf(host, backend string) planner.Route {
	return planner.Route{Meta: meta(host), Backend: backend}
}

func create(os ...planner.Object) []planner.Change {
	var cs []planner.Change
	for i, o := range os {
		cs = append(cs, planner.Change{ID: i, Action: planner.Create, New: o})
	}
	return cs
}

func remove(os ...planner.Object) []planner.Change {
	var cs []planner.Change
	for i, o := range os {
		cs = append(cs, planner.Change{ID: i, Action: planner.Delete, Old: o})
	}
	return cs
}

func apply(t testing.TB, e executors.Executor, cs []planner.Change) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i, err := range e.Apply(ctx, cs) {
		if err != nil {
			t.Fatalf("%s %s: %s: %v", cs[i].Action, cs[i].Ref(), executors.KindOf(err), err)
		}
	}
}
