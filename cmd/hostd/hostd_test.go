package main

import (
	"bufio"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/reconciler/git"
	"hostctl/reconciler/web"
)

// asHostd in the environment makes the test program hostd.
const asHostd = "HOSTCTL_TEST_AS_HOSTD"

func TestMain(m *testing.M) {
	if os.Getenv(asHostd) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestReadConfig(t *testing.T) {
	t.Setenv("HOSTD_STATE", "/from/environment")
	t.Setenv("HOSTD_LISTEN", "")
	c, err := readConfig([]string{"--repo", "/srv/config.git", "-look-every=1m"})
	if err != nil {
		t.Fatal(err)
	}
	want := config{Repo: "/srv/config.git", Branch: "main", State: "/from/environment", Listen: c.Listen, LookEvery: time.Minute, ObserveEvery: time.Minute, Lease: 10 * time.Second, PullRequests: c.PullRequests}
	if c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	if c, err = readConfig([]string{"--repo", "r", "--state", "/from/flag", "--listen="}); err != nil || c.State != "/from/flag" || c.Listen != "" {
		t.Errorf("%+v, %v: a flag must win over the environment", c, err)
	}
	if _, err := readConfig([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	if text := help(); strings.Contains(text, "/from/environment") || !strings.Contains(text, "/var/lib/hostctl") {
		t.Errorf("help doesn't tell the defaults:\n%s", text)
	}
}

func TestReadConfigRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no repository to watch: name it with --repo, or make one with 'hostctl init'"},
		{[]string{"--repo", "r", "--state="}, "no state folder: name it with --state"},
		{[]string{"--repo", "r", "--look-every", "0s"}, "--look-every 0s: want a time above zero, as in 15s"},
		{[]string{"--repo", "r", "serve"}, `it takes flags only, and not "serve"; 'hostd --help' lists them`},
		{[]string{"--rope", "r"}, "flag provided but not defined: -rope; 'hostd --help' lists the flags"},
	} {
		if _, err := readConfig(c.args); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
	t.Setenv("HOSTD_LOOK_EVERY", "often")
	if _, err := readConfig([]string{"--repo", "r"}); err == nil || !strings.Contains(err.Error(), "often") {
		t.Errorf("a time that is none: %v", err)
	}
}

func TestListenLocal(t *testing.T) {
	path := filepath.Join(folder(t), web.SocketName)
	l, err := listenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, want it to be its owner's: %v", info.Mode(), err)
	}
	_ = l.Close()
	l, err = listenLocal(path)
	if err != nil {
		t.Fatalf("the socket of a hostd that is gone wasn't replaced: %v", err)
	}
	_ = l.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenLocal(path); err == nil || !strings.Contains(err.Error(), "not a socket; move it away") {
		t.Errorf("a file in the socket's place: %v", err)
	}
	if _, err := listenLocal(filepath.Join(t.TempDir(), strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "name a shorter --state") {
		t.Errorf("a long path: %v", err)
	}
}

// TestStopsWhenTold runs hostd itself, on a repository without a commit.
func TestStopsWhenTold(t *testing.T) {
	dir := folder(t)
	first := start(t, dir)
	resp, err := http.Get("http://" + first.health + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", resp.Status)
	}
	client, err := web.Dial(t.Context(), filepath.Join(dir, "state", web.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if took, err := first.end(syscall.SIGTERM); err != nil || took > 5*time.Second {
		t.Errorf("SIGTERM: %v after %s, want an end without an error within seconds", err, took)
	}
	if _, err := os.Stat(filepath.Join(dir, "state", web.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	killed := start(t, dir)
	_, _ = killed.end(syscall.SIGKILL)
	if _, err := start(t, dir).end(os.Interrupt); err != nil {
		t.Errorf("an interrupt, after another was killed: %v", err)
	}
}

// running is a hostd in a process of its own.
type running struct {
	cmd    *exec.Cmd
	health string
}

func start(t *testing.T, dir string) running {
	t.Helper()
	return startUntil(t, dir, "msg=watching")
}

// startUntil starts hostd and waits until it logs a text.
func startUntil(t *testing.T, dir, text string, flags ...string) running {
	t.Helper()
	c := command(dir, flags...)
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	for lines := bufio.NewScanner(log); lines.Scan(); {
		_, health, ok := strings.Cut(lines.Text(), "health=")
		if ok && strings.Contains(lines.Text(), text) {
			health, _, _ = strings.Cut(health, " ")
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return running{c, health}
		}
	}
	t.Fatal("hostd has ended")
	return running{}
}

func command(dir string, flags ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], append([]string{
		"--repo", dir + "/config.git", "--state", dir + "/state", "--agent", dir + "/node-agent", "--listen", "127.0.0.1:0",
	}, flags...)...)
	c.Env = append(os.Environ(), asHostd+"=1")
	return c
}

// end sends a signal and waits for the end.
func (r running) end(s os.Signal) (time.Duration, error) {
	began := time.Now()
	_ = r.cmd.Process.Signal(s)
	err := r.cmd.Wait()
	return time.Since(began), err
}

// folder makes a folder with what hostd needs. Its path is short, for there is a socket in it.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := git.Init(dir + "/config.git"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/node-agent", []byte("not run\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
