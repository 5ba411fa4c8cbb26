package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
	"hostctl/reconciler/web"
	"hostctl/tests/platform"
)

// world is one platform that is broken by a test, and what is known of it.
type world struct {
	platform.Platform
	t        *testing.T
	out      *output
	hostd    halts
	at       platform.Endpoints
	instance string
	unmount  func()           // what is mounted in its folder; nil for nothing
	serial   int              // of edits
	client   *web.Client      // of hostd, once it has answered
	store    *inventory.Store // read beside hostd, once needed
}

// output keeps what commands print.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// newWorld makes a platform with the sites of examples/demo in its clone, not yet pushed, and hostd beside it. All of it is removed
// after the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := emptyWorld(t)
	w.startHostd()
	return w
}

// emptyWorld is newWorld without hostd.
func emptyWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "faults") // unix sockets need short paths
	must(t, err)
	out := &output{}
	w := &world{
		Platform: platform.Platform{Bin: programs, Dir: dir, Out: out, Env: []string{"HOSTCTL_FAULTS=" + filepath.Join(dir, "halts")}},
		t:        t, out: out, hostd: halts{t, filepath.Join(dir, "halts")},
	}
	release := func() {}
	t.Cleanup(func() {
		w.removeAll()
		release()
	})
	must(t, w.Init(t.Context()))
	must(t, w.MakeClone(t.Context()))
	must(t, w.WriteSites())
	release, err = w.MoveOff()
	must(t, err)
	w.hostd.record()
	return w
}

// built is newWorld with its first commit applied.
func built(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.commit("A platform with two tenants")
	w.settled()
	w.look()
	return w
}

// look learns where the platform answers.
func (w *world) look() {
	w.t.Helper()
	at, err := w.Endpoints(w.t.Context())
	must(w.t, err)
	s, err := w.Status(w.t.Context())
	must(w.t, err)
	w.at, w.instance = at, s.Instance
}

func (w *world) removeAll() {
	if w.t.Failed() {
		w.t.Logf("hostd's log:\n%s", w.log())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w.KillHostd() // it may stand at a point
	if w.store != nil {
		_ = w.store.Close() // only read
	}
	if err := w.Remove(ctx); err != nil && w.unmount == nil {
		w.t.Errorf("remove the platform: %v", err)
	}
	if w.unmount != nil { // so that the rest of the folder can be removed
		w.unmount()
		_ = os.RemoveAll(w.Dir)
	}
}

// log returns the end of hostd's log.
func (w *world) log() string {
	b, err := os.ReadFile(filepath.Join(w.Dir, "hostd.log"))
	if err != nil {
		return err.Error()
	}
	const shown = 20_000
	return string(b[max(0, len(b)-shown):])
}

func (w *world) startHostd() {
	w.t.Helper()
	if _, err := w.StartHostd(w.t.Context(), "--look-every", "2s"); err != nil {
		w.t.Fatalf("%v\n%s", err, w.log())
	}
}

// restartHostd kills hostd where it stands and starts it again.
func (w *world) restartHostd() {
	w.t.Helper()
	w.KillHostd()
	w.hostd.disarm()
	w.startHostd()
}

// commit commits all that is in the clone and puts it into the repository, as a push does but without waiting for what
// comes of it.
func (w *world) commit(message string) {
	w.t.Helper()
	must(w.t, w.Git(w.t.Context(), "add", "--all"))
	must(w.t, w.Git(w.t.Context(), "commit", "--quiet", "-m", message))
	w.run("git", "--git-dir", w.Repo(), "fetch", "--quiet", w.Clone(), "main:main")
}

// run runs a command and returns what it printed.
func (w *world) run(name string, args ...string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// patience is how long a platform may take to come right after a fault, on a busy machine.
const patience = 2 * time.Minute

// settled waits until hostd says that the newest commit is wholly true.
func (w *world) settled() {
	w.t.Helper()
	if err := w.settling(w.hostd); err != nil {
		w.t.Fatal(err)
	}
}

// settling is settled with an error, which says too where hostd stands if it does.
func (w *world) settling(h halts) error {
	head := strings.TrimSpace(w.run("git", "--git-dir", w.Repo(), "rev-parse", "main"))
	return platform.Until(w.t.Context(), patience, func() error {
		s, err := w.hostdStatus()
		if point, ok := h.reached(); ok {
			return platform.Fatal{Err: fmt.Errorf("hostd stands at %q", point)}
		}
		switch {
		case err != nil:
			return err
		case !s.Converged || s.Applied != head:
			return fmt.Errorf("not converged: %s", s.Message)
		}
		return nil
	})
}

// hostdStatus asks hostd where it stands.
func (w *world) hostdStatus() (reconciler.Status, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	if w.client == nil {
		c, err := web.Dial(ctx, filepath.Join(w.State(), web.SocketName))
		if err != nil {
			return reconciler.Status{}, errors.New("hostd doesn't answer")
		}
		w.client = c
	}
	return w.client.Status(ctx)
}
