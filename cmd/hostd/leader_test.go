package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/reconciler/web"
)

// patience is how long anything may take.
const patience = 20 * time.Second

// readyz returns what the health page says.
func (r running) readyz() string {
	c := http.Client{Timeout: time.Second}
	resp, err := c.Get("http://" + r.health + "/readyz")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	return strconv.Itoa(resp.StatusCode) + " " + strings.TrimSpace(string(b))
}

func (r running) wantReadyz(t *testing.T, want string) (took time.Duration) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := r.readyz(); got != want; got = r.readyz() {
		if <-tick.C; time.Since(began) > patience {
			t.Fatalf("/readyz says %q, want %q", got, want)
		}
	}
	return time.Since(began)
}

// wantLocal checks that some hostd answers at the socket.
func wantLocal(t *testing.T, dir string) {
	t.Helper()
	client, err := web.Dial(t.Context(), filepath.Join(dir, "state", web.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

const (
	leads   = "503 not converged" // there is no commit
	standby = "503 standby"
)

// TestG04_StandbyTakesOverAtOnce kills the leader; its lease would be for a minute more.
func TestG04_StandbyTakesOverAtOnce(t *testing.T) {
	dir := folder(t)
	first := startUntil(t, dir, "msg=watching", "--lease", "1m")
	second := startUntil(t, dir, "standing by", "--lease", "1m")
	first.wantReadyz(t, leads)
	second.wantReadyz(t, standby)
	resp, err := http.Get("http://" + second.health + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz of one that stands by: %s", resp.Status)
	}
	_, _ = first.end(syscall.SIGKILL)
	t.Logf("the standby leads %s after the leader was killed", second.wantReadyz(t, leads))
	wantLocal(t, dir)
	third := startUntil(t, dir, "standing by", "--lease", "1m")
	if _, err := third.end(syscall.SIGTERM); err != nil {
		t.Errorf("one that stands by ends with %v", err)
	}
	fourth := startUntil(t, dir, "standing by", "--lease", "1m")
	if _, err := second.end(syscall.SIGTERM); err != nil {
		t.Errorf("the leader ends with %v", err)
	}
	fourth.wantReadyz(t, leads)
	wantLocal(t, dir)
}

// TestG06_PausedLeaderStandsBy stops the leader as an overloaded machine or a debugger does. When it goes on, it is the
// one that stands by, and hostctl's socket is the successor's.
func TestG06_PausedLeaderStandsBy(t *testing.T) {
	dir := folder(t)
	first := startUntil(t, dir, "msg=watching", "--lease", "1s")
	second := startUntil(t, dir, "standing by", "--lease", "1s")
	if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Logf("the standby leads %s after the leader was stopped", second.wantReadyz(t, leads))
	wantLocal(t, dir)
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	first.wantReadyz(t, standby)
	second.wantReadyz(t, leads)
	wantLocal(t, dir)
	_, _ = second.end(syscall.SIGKILL)
	first.wantReadyz(t, leads)
	wantLocal(t, dir)
}

func TestTerms(t *testing.T) {
	dir := t.TempDir()
	begin := func() *term {
		t.Helper()
		next, err := nextTerm(dir, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	first := begin()
	if first.file == nil || first.number != 1 || first.check() != nil {
		t.Fatalf("the first term is %+v", first)
	}
	if other := begin(); other.file != nil || !strings.HasPrefix(other.holder, "hostd@") {
		t.Errorf("a second one leads too, or doesn't know who does: %+v", other)
	}
	// No sign of life for longer than its lease, though its process is there.
	old := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(first.path(), old, old); err != nil {
		t.Fatal(err)
	}
	second := begin()
	if second.file == nil || second.number != 2 {
		t.Fatalf("the second term is %+v", second)
	}
	if err := first.check(); !errors.Is(err, errSucceeded) {
		t.Errorf("the first one may still write: %v", err)
	}
	if err := (&term{dir: dir, number: 2}).begin(); !errors.Is(err, os.ErrExist) {
		t.Errorf("two began term 2: %v", err)
	}
	second.end()
	if third := begin(); third.file == nil || third.number != 3 {
		t.Errorf("after the second one ended: %+v", third)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("%v: want the last two terms", files)
	}
}
