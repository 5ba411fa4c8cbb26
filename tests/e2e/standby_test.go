package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// other is a hostd beside the platform's own, on the same state folder.
type other struct {
	s    *site
	proc *os.Process
	file string
}

func (s *site) startOther(flags ...string) other {
	s.t.Helper()
	file := filepath.Join(s.Dir, "other.log")
	log, err := os.Create(file)
	s.must(err)
	defer func() { _ = log.Close() }()
	c := exec.Command(s.Program("hostd"), append([]string{"--repo", s.Repo(), "--state", s.State(), "--listen", "127.0.0.1:0"}, flags...)...)
	c.Stdout, c.Stderr = log, log
	s.must(c.Start())
	s.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if s.t.Failed() {
			b, _ := os.ReadFile(file)
			s.t.Logf("the other hostd's log:\n%s", b)
		}
	})
	return other{s, c.Process, file}
}

// waitFor waits until a log says something a number of times.
func (s *site) waitFor(file, text string, times int) {
	s.t.Helper()
	s.must(platform.Until(s.t.Context(), time.Minute, func() error {
		b, err := os.ReadFile(file)
		if err != nil || strings.Count(string(b), text) < times {
			return errors.New(file + " doesn't say " + text)
		}
		return nil
	}))
}

// TestG04_StandbyFinishesTheRun kills the leader in the middle of its first run, and then pauses its successor in the
// middle of another: each time the one that stands by takes over and brings it to its end.
func TestG04_StandbyFinishesTheRun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.StopHostd()
	own := filepath.Join(s.Dir, "hostd.log")
	start := func() {
		if _, err := s.StartHostd(t.Context(), "--look-every", "2s", "--lease", "3s"); err != nil {
			t.Fatal(err)
		}
	}
	start()
	second := s.startOther("--look-every", "2s", "--lease", "3s")
	s.waitFor(second.file, "standing by", 1)

	s.must(s.Git(t.Context(), "add", "--all"))
	s.must(s.Git(t.Context(), "commit", "--quiet", "-m", "A platform with two tenants"))
	push := exec.CommandContext(t.Context(), "git", "-C", s.Clone(), "push", "--quiet", "origin", "main")
	s.must(push.Start())
	s.waitFor(own, "msg=planned", 1)
	s.must(platform.Until(t.Context(), time.Minute, func() error { // some of the run is done
		if st, err := s.Status(t.Context()); err != nil || st.Objects < 5 {
			return errors.New("nothing is made")
		}
		return nil
	}))
	s.KillHostd()
	began := time.Now()
	s.waitFor(second.file, "msg=watching", 1)
	t.Logf("the standby leads %s after the leader was killed in its run", time.Since(began).Round(time.Millisecond))
	_ = push.Wait() // its hostd was killed
	s.must(s.Settled(t.Context(), 3*time.Minute))
	at, err := s.Endpoints(t.Context())
	s.must(err)
	s.at = at
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantNoChanges()
	s.nothingTwice(t)

	s.pauseOther(second, own, start)
	s.wantNoChanges()
}

// pauseOther stops the leading hostd with SIGSTOP as soon as it has begun a run.
func (s *site) pauseOther(leader other, own string, start func()) {
	t := s.t
	start()
	s.waitFor(own, "standing by", 1)
	s.edit("  fqdns: [docs.acme.test]", "  fqdns: [docs.acme.test, paused.acme.test]")
	s.must(s.Git(t.Context(), "commit", "--quiet", "-am", "acme: one name more"))
	push := exec.CommandContext(t.Context(), "git", "-C", s.Clone(), "push", "--quiet", "origin", "main")
	s.must(push.Start())
	s.waitFor(leader.file, "msg=planned", 2)
	led := strings.Count(s.log(), "msg=leading")
	s.must(leader.proc.Signal(syscall.SIGSTOP))
	began := time.Now()
	s.waitFor(own, "msg=leading", led+1)
	t.Logf("the standby leads %s after the leader was paused in its run", time.Since(began).Round(time.Millisecond))
	s.must(leader.proc.Signal(syscall.SIGCONT)) // it may be in a transaction, and then holds the inventory
	_ = push.Wait()                             // it followed the one that was paused
	s.waitFor(leader.file, "lost the lead", 1)
	s.waitFor(leader.file, "standing by", 2)
	s.waitFor(own, "msg=watching", led+1)
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantServed("paused.acme.test", "docs of acme")
}
