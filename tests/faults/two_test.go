package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hostctl/tests/platform"
)

// daemon is one of several hostds on the same state.
type daemon struct {
	w     *world
	cmd   *exec.Cmd
	halts halts
	log   string
}

// lease is how long a hostd leads here without a sign of life.
const lease = "2s"

// daemon starts one more hostd and waits until it has said that it leads, or that it stands by.
func (w *world) daemon(name, says string) *daemon {
	w.t.Helper()
	d := &daemon{w: w, halts: halts{w.t, filepath.Join(w.Dir, name)}, log: filepath.Join(w.Dir, name+".log")}
	d.halts.record()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(w.t, err)
	defer func() { _ = log.Close() }()
	d.cmd = exec.Command(w.Program("hostd"), "--repo", w.Repo(), "--state", w.State(), "--listen", "127.0.0.1:0", "--look-every", "2s", "--lease", lease)
	d.cmd.Env = append(os.Environ(), "HOSTCTL_FAULTS="+d.halts.dir)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	must(w.t, d.cmd.Start())
	w.t.Cleanup(func() {
		d.kill()
		if b, err := os.ReadFile(d.log); err == nil && w.t.Failed() {
			w.t.Logf("%s's log:\n%s", name, b)
		}
	})
	d.wait(says)
	return d
}

// wait waits until the log says something.
func (d *daemon) wait(says string) {
	d.w.t.Helper()
	must(d.w.t, platform.Until(d.w.t.Context(), patience, func() error {
		b, err := os.ReadFile(d.log)
		if err == nil && !bytes.Contains(b, []byte(says)) {
			err = fmt.Errorf("%s doesn't say %q", d.log, says)
		}
		return err
	}))
}

func (d *daemon) signal(s syscall.Signal) {
	d.w.t.Helper()
	must(d.w.t, d.cmd.Process.Signal(s))
}

// kill kills it and waits for its end.
func (d *daemon) kill() {
	if err := d.cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		_ = d.cmd.Wait() // killed
	}
}

const (
	leads    = "msg=leading"
	standsBy = "msg=\"standing by\""
)

// TestG04_StandbyFinishesTheRun kills the hostd that leads, at some point of a run. The one that stands by finishes it.
func TestG04_StandbyFinishesTheRun(t *testing.T) {
	t.Parallel()
	w, first := w2(t)
	load := w.startLoad()
	second := w.daemon("second", standsBy)
	e := editNamed(aSite)
	points := []string{"^begun", "^started create webroot/", "^done create route/", "^finished create rrset/", "^end"}
	for i, point := range sample("standby", points, 2) {
		id := w.nextID()
		what := e.name + ", the leader killed at: " + point
		first.halts.arm(point)
		step{edit: e}.take(w, id)
		first.halts.wait(point)
		first.kill()
		second.wait(leads)
		w.right(what)
		w.check(what)
		load.wantNone(w, what)
		step{edit: e, undo: true}.take(w, id)
		w.settled()
		first, second = second, w.daemon(fmt.Sprint("daemon-", i), standsBy)
	}
	load.end(w)
}

// TestG04_PausedLeaderCantWrite stops the leader in the middle of a run, with SIGSTOP. Another one takes over, finishes
// the run and then does the opposite. When the first one wakes up and goes on, what it does is refused.
func TestG04_PausedLeaderCantWrite(t *testing.T) {
	t.Parallel()
	w, first := w2(t)
	load := w.startLoad()
	e := editNamed(aName)
	points := []string{"^begun", "^started update vhost/web-1-0/", "^started create route/", "^started create rrset/", "^done create route/"}
	for i, point := range sample("paused", points, 2) {
		id := w.nextID()
		what := e.name + ", the leader paused at: " + point
		second := w.daemon(fmt.Sprint("daemon-", i), standsBy)
		first.halts.arm(point)
		step{edit: e}.take(w, id)
		first.halts.wait(point)
		first.signal(syscall.SIGSTOP)
		second.wait(leads)
		w.right(what)
		step{edit: e, undo: true}.take(w, id)
		w.right(what)
		first.halts.disarm()
		first.signal(syscall.SIGCONT)
		first.wait("lost the lead")
		if strings.HasPrefix(point, "^started") {
			first.wait("superseded") // it did speak to the agent
		}
		w.right(what + ", and woken up")
		w.check(what + ", and woken up")
		load.wantNone(w, what)
		first.kill()
		first = second
	}
	load.end(w)
}

// w2 is a built platform whose hostd has a short lease.
func w2(t *testing.T) (*world, *daemon) {
	t.Helper()
	w := emptyWorld(t)
	d := w.daemon("first", leads)
	w.commit("A platform with two tenants")
	w.settled()
	w.look()
	return w, d
}

// TestG04_HostctlKilledAtEveryPointOfAnEdit has hostctl apply edits by itself, without hostd, and kills it. hostd, started
// after that, brings the edit to its end.
func TestG04_HostctlKilledAtEveryPointOfAnEdit(t *testing.T) {
	t.Parallel()
	w := built(t)
	load := w.startLoad()
	e := editNamed(aName)
	do, undo := w.list(e)
	kills := 0
	for _, pair := range pairs(sample("hostctl", do.points, 2), sample("hostctl undo", undo.points, 2)) {
		id := w.nextID()
		for i, s := range []step{do, undo} {
			point := strings.ReplaceAll(pair[i], "ID", id)
			what := s.String() + ", hostctl killed at: " + point
			w.StopHostd()
			w.hostd.disarm()
			s.take(w, id)
			w.hostd.arm(point)
			apply := exec.Command(w.Program("hostctl"), "--state", w.State(), "apply", "-C", w.Repo(), "-yes")
			apply.Env = append(os.Environ(), w.Env...)
			var out bytes.Buffer
			apply.Stdout, apply.Stderr = &out, &out
			must(t, apply.Start())
			if point != "" {
				w.hostd.wait(point)
				must(t, apply.Process.Kill())
				kills++
			}
			if err := apply.Wait(); (err == nil) != (point == "") {
				t.Fatalf("%s: %v\n%s", what, err, out.String())
			}
			w.hostd.disarm()
			w.startHostd()
			w.right(what)
			w.check(what)
			load.wantNone(w, what)
		}
	}
	load.end(w)
	t.Logf("hostctl was killed %d times at %d known points", kills, len(do.points)+len(undo.points))
}
