package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hostctl/reconciler"
)

// place is a config repository, an inventory and gates, for programs that run by themselves.
type place struct {
	t                 *testing.T
	repo, state, gate string
	env               []string
}

func newPlace(t *testing.T) place {
	dir := t.TempDir()
	p := place{t: t, repo: dir + "/repo", state: dir + "/state", gate: dir + "/gate"}
	agent := dir + "/node-agent"
	if err := errors.Join(os.WriteFile(agent, []byte("not run\n"), 0o755), os.Mkdir(p.gate, 0o700)); err != nil {
		t.Fatal(err)
	}
	p.env = append(os.Environ(), "HOSTCTL_AGENT="+agent, gate+"="+p.gate, "HOSTCTL_STATE="+p.state, "HOME="+dir, "TERM=xterm", "NO_COLOR=1")
	p.hostctl("init", p.repo)
	return p
}

func (p place) command(args ...string) *exec.Cmd {
	program, err := exec.LookPath("hostctl-inmemory")
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), program, args...)
	cmd.Env = p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// hostctl runs to a good end and returns what was printed.
func (p place) hostctl(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("hostctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// applying is a hostctl apply under way that waits at the gate of a target.
type applying struct {
	*exec.Cmd
	out output
}

// output is what was printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// applyUpTo applies until a change of the target waits.
func (p place) applyUpTo(target string, args ...string) *applying {
	p.t.Helper()
	p.write(target, "")
	a := &applying{Cmd: p.command(append([]string{"apply", "-C", p.repo, "-yes"}, args...)...)}
	a.Stdout, a.Stderr = &a.out, &a.out
	if err := a.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.await(target + ".waits")
	return a
}

func (p place) write(name, text string) {
	if err := os.WriteFile(filepath.Join(p.gate, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until a file is there.
func (p place) await(name string) {
	p.t.Helper()
	waitFor(p.t, name, func() bool { _, err := os.Stat(filepath.Join(p.gate, name)); return err == nil })
}

func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func (p place) open(target string) {
	if err := errors.Join(os.Remove(filepath.Join(p.gate, target)), os.Remove(filepath.Join(p.gate, target+".waits"))); err != nil {
		p.t.Fatal(err)
	}
}

// runs reads the history.
func (p place) runs() []reconciler.Run {
	p.t.Helper()
	var runs []reconciler.Run
	if err := json.Unmarshal([]byte(p.hostctl("history", "-json")), &runs); err != nil {
		p.t.Fatal(err)
	}
	return runs
}

func (p place) changes(run string) []reconciler.ChangeStatus {
	p.t.Helper()
	var cs []reconciler.ChangeStatus
	if err := json.Unmarshal([]byte(p.hostctl("history", "-json", run)), &cs); err != nil {
		p.t.Fatal(err)
	}
	return cs
}

// interrupt does what a terminal does for Ctrl-C: SIGINT to the whole process group in front.
func (a *applying) interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-a.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedOnceFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := p.applyUpTo("host-1", "-json")
	a.interrupt(t)
	waitFor(t, "it says so", func() bool { return strings.Contains(a.out.String(), "nothing more is started") })
	p.open("host-1")
	err := a.Wait()
	if code := a.ProcessState.ExitCode(); code != exitError || err == nil {
		t.Errorf("it ends with %v, want exit code %d\n%s", err, exitError, &a.out)
	}
	runs := p.runs()
	if len(runs) != 1 || runs[0].State != reconciler.Interrupted || runs[0].Done == 0 || runs[0].Failed != 0 || runs[0].Done == runs[0].Changes {
		t.Fatalf("runs: %+v\n%s", runs, &a.out)
	}
	states := map[string]int{}
	for _, c := range p.changes("1") {
		states[c.State]++
	}
	if states["started"] != 0 || states["done"] != runs[0].Done || states["planned"] != runs[0].Changes-runs[0].Done {
		t.Errorf("the journal has %v", states)
	}
	p.converges()
}

func TestInterruptedTwiceStopsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := p.applyUpTo("host-1", "-json")
	a.interrupt(t)
	waitFor(t, "it says so", func() bool { return strings.Contains(a.out.String(), "nothing more is started") })
	ended := make(chan struct{})
	go func() { defer close(ended); _ = a.Wait() }()
	for stopped := false; !stopped; { // the gate stays shut: it doesn't wait for it
		a.interruptAgain()
		select {
		case <-ended:
			stopped = true
		case <-time.After(100 * time.Millisecond):
		}
	}
	status, ok := a.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want it killed by the interrupt", a.ProcessState)
	}
	p.open("host-1")
	if runs := p.runs(); len(runs) != 1 || runs[0].State != reconciler.Interrupted {
		t.Errorf("runs: %+v", runs)
	}
	p.converges()
}

func (a *applying) interruptAgain() { _ = syscall.Kill(-a.Process.Pid, syscall.SIGINT) } // it may be gone already

// converges applies once more, after which nothing is to be done.
func (p place) converges() {
	p.t.Helper()
	p.hostctl("apply", "-C", p.repo, "-yes")
	if out := p.hostctl("plan", "-C", p.repo); !strings.Contains(out, "No changes.") {
		p.t.Errorf("the next plan: %s", out)
	}
}

// Nobody is asked twice to stop before anything has begun.
func TestInterruptedWhileAsked(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	a := &applying{Cmd: p.command("apply", "-C", p.repo)}
	stdin, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(stdin.Close(), write.Close()) }()
	a.Stdin, a.Stdout, a.Stderr = stdin, &a.out, &a.out
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it asks", func() bool { return strings.Contains(a.out.String(), "[y/N]") })
	a.interrupt(t)
	_ = a.Wait()
	if a.ProcessState.ExitCode() != exitError || !strings.Contains(a.out.String(), "interrupted; nothing was applied") {
		t.Errorf("%v\n%s", a.ProcessState, &a.out)
	}
	if runs := p.runs(); len(runs) != 0 {
		t.Errorf("runs: %+v", runs)
	}
}
