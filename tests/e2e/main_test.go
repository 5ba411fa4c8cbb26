// Package e2e runs whole platforms on the real parts: Docker, node agents, nginx, PHP-FPM, PowerDNS on PostgreSQL, and
// HAProxy, driven by git push alone.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// programs is where the three programs under test were built.
var programs string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if len(os.Args) > 1 && strings.Contains(strings.Join(os.Args, " "), "-test.short=true") {
		fmt.Println("end-to-end tests need Docker and minutes: not with -short")
		return 0
	}
	dir, err := os.MkdirTemp("", "hostctl-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs = dir
	return m.Run()
}

// build builds the programs as a release is built: the agent must run in any image.
func build(dir string) error {
	for _, args := range [][]string{
		{"build", "-race", "-o", dir, "hostctl/cmd/hostctl", "hostctl/cmd/hostd"},
		{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir, "hostctl/cmd/node-agent"},
	} {
		c := exec.Command("go", args...)
		if args[1] != "-race" {
			c.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// site is a platform under test with what is known of it.
type site struct {
	platform.Platform
	t       *testing.T
	out     *output
	at      platform.Endpoints
	release func() // gives its place on this machine back
}

// output keeps what pushes print.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// take returns what was printed since it was last taken.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.b.String()
	o.b.Reset()
	return s
}

// newSite makes a platform with the sites of examples/demo in its clone, not yet pushed, and removes all of it after the test.
func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteOf(t, programs)
}

// newSiteOf is newSite, with the programs in a folder of its own.
func newSiteOf(t *testing.T, bin string) *site {
	t.Helper()
	ctx := t.Context()
	out := &output{}
	// Unix sockets need short paths.
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Platform: platform.Platform{Bin: bin, Dir: dir, Out: out}, t: t, out: out, release: func() {}}
	t.Cleanup(s.remove)
	s.must(s.Init(ctx))
	s.startHostd()
	s.must(s.MakeClone(ctx))
	s.must(s.WriteSites())
	s.moveOff()
	return s
}

func (s *site) startHostd() {
	s.t.Helper()
	if _, err := s.StartHostd(s.t.Context(), "--look-every", "2s", "--api"); err != nil {
		s.t.Fatalf("%v\n%s", err, s.log())
	}
}

func (s *site) remove() {
	defer func() { s.release() }()
	if s.t.Failed() {
		s.t.Logf("hostd's log:\n%s", s.log())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.Remove(ctx); err != nil {
		s.t.Errorf("remove the platform: %v", err)
	}
}

func (s *site) log() string {
	b, err := os.ReadFile(filepath.Join(s.Dir, "hostd.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.out.take())
	}
}

// moveOff gives the platform a network and ports that nobody else uses, so that several run side by side.
func (s *site) moveOff() {
	s.t.Helper()
	var err error
	s.release, err = s.MoveOff()
	s.must(err)
}

// edit replaces a text in every file of the clone that holds it; one must.
func (s *site) edit(old, with string) {
	s.t.Helper()
	s.must(s.Replace(old, with))
}

// push commits and pushes, waits until it is true, and returns what the push printed.
func (s *site) push(message string) string {
	s.t.Helper()
	printed := s.pushOnly(message)
	if err := s.Settled(s.t.Context(), 2*time.Minute); err != nil {
		s.t.Fatalf("after %q: %v\n%s", message, err, printed)
	}
	if s.at == (platform.Endpoints{}) {
		at, err := s.Endpoints(s.t.Context())
		s.must(err)
		s.at = at
	}
	return printed
}

// pushOnly commits and pushes and returns what the push printed.
func (s *site) pushOnly(message string) string {
	s.t.Helper()
	s.out.take()
	err := s.Push(s.t.Context(), message)
	printed := s.out.take()
	if err != nil {
		s.t.Fatalf("push %q: %v\n%s", message, err, printed)
	}
	return printed
}

// pushRefused commits and pushes what must be refused, checks that the branch hasn't moved, and returns what the push
// printed.
func (s *site) pushRefused(message string) string {
	s.t.Helper()
	before := s.branch()
	s.out.take()
	err := s.Push(s.t.Context(), message)
	printed := s.out.take()
	if err == nil {
		s.t.Errorf("the push of %q was not refused:\n%s", message, printed)
	}
	if after := s.branch(); after != before {
		s.t.Errorf("the branch moved from %s to %s with %q", before, after, message)
	}
	return printed
}

// branch returns the commit that the watched branch is at.
func (s *site) branch() string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "git", "-C", s.Repo(), "rev-parse", "main").Output()
	s.must(err)
	return strings.TrimSpace(string(out))
}

// wantNoChanges checks that a second plan is empty.
func (s *site) wantNoChanges() {
	s.t.Helper()
	out, err := s.Hostctl(s.t.Context(), "plan", "-C", s.Clone())
	if err != nil || !strings.HasPrefix(out, "No changes") {
		s.t.Errorf("the next plan is not empty (%v):\n%s", err, out)
	}
}

// wantServed checks that a host name answers with 200 and a page that holds some words.
func (s *site) wantServed(host, words string) {
	s.t.Helper()
	code, body, err := s.at.Fetch(s.t.Context(), host)
	if err != nil || code != 200 || !strings.Contains(body, words) {
		s.t.Errorf("GET %s: %d %q, %v; want 200 with %q", host, code, body, err, words)
	}
}

// wantMisdirected checks that no site answers to a host name: 421 (RFC 9110 15.5.20).
func (s *site) wantMisdirected(host string) {
	s.t.Helper()
	code, _, err := s.at.Fetch(s.t.Context(), host)
	if err != nil || code != http.StatusMisdirectedRequest {
		s.t.Errorf("GET %s: %d, %v; want 421", host, code, err)
	}
}

// docker runs the docker command and returns what it printed.
func (s *site) docker(args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// containers returns the names of the platform's containers, without the instance.
func (s *site) containers() []string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	var names []string
	for _, n := range strings.Fields(s.docker("ps", "--format", "{{.Names}}", "--filter", "label=hostctl.instance="+st.Instance)) {
		name, _, _ := strings.Cut(n, ".")
		names = append(names, name)
	}
	return names
}

// container returns the engine's name of a node.
func (s *site) container(node string) string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	return strings.TrimSpace(s.docker("ps", "--format", "{{.Names}}", "--filter", "label=hostctl.instance="+st.Instance, "--filter", "name="+node+"."))
}
