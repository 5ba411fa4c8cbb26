package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"hostctl/reconciler"
	"hostctl/schema"
)

// Mirror follows a branch of a remote repository in a bare repository on this machine. It is read as any Source: while
// the remote can't be reached, it is what was read last. It may be used by several goroutines.
type Mirror struct {
	*Source
	remote  Remote
	address address
	client  *http.Client // nil: over SSH
	log     *slog.Logger
	hints   chan struct{}
	vain    map[plumbing.Hash]int // how often tags were brought that can't be read; of who polls

	mu    sync.Mutex
	state reconciler.RemoteStatus
}

var (
	_ reconciler.Source   = (*Mirror)(nil)
	_ reconciler.Trailers = (*Mirror)(nil)
	_ reconciler.Follower = (*Mirror)(nil)

	_ reconciler.Authority = (*Mirror)(nil)
)

// OpenMirror opens the mirror in a folder, and makes it where there is none. One that has never been read is read at
// once; that the remote can't be reached then is logged, and no error. A URL that isn't followed is one.
func OpenMirror(ctx context.Context, r Remote, dir string, log *slog.Logger) (*Mirror, error) {
	m, err := openMirror(r, dir, log)
	if err != nil {
		return nil, fmt.Errorf("open the mirror %s: %w", dir, err)
	}
	if _, err := m.Source.Head(ctx); err != nil {
		_, _ = m.poll(ctx) // which logs and keeps what is wrong
	}
	return m, ctx.Err()
}

func openMirror(r Remote, dir string, log *slog.Logger) (*Mirror, error) {
	r.defaults()
	a, err := r.check()
	if err != nil {
		return nil, err
	}
	m := &Mirror{remote: r, address: a, log: log, hints: make(chan struct{}, 1), vain: map[plumbing.Hash]int{}}
	m.state = reconciler.RemoteStatus{URL: a.String(), Branch: r.Branch}
	if a.scheme != "ssh" {
		if m.client, err = newHTTPClient(r.CAFile); err != nil {
			return nil, err
		}
	}
	if err := plumbing.NewBranchReferenceName(r.Branch).Validate(); err != nil {
		return nil, fmt.Errorf("--branch: %q is no name of a branch", r.Branch)
	}
	if err := makeMirror(dir, a.String(), r.Branch); err != nil {
		return nil, err
	}
	if m.Source, err = openSource(dir, r.Branch); err != nil {
		return nil, err
	}
	return m, m.sweep()
}

func (r *Remote) defaults() {
	if r.Branch == "" {
		r.Branch = DefaultBranch
	}
	if r.Username == "" {
		r.Username = DefaultUsername
	}
	if r.Every == 0 {
		r.Every = DefaultPoll
	}
	if r.Stall == 0 {
		r.Stall = defaultStall
	}
	if r.Limit == 0 {
		r.Limit = defaultLimit
	}
}

// makeMirror makes the repository, as far as it isn't there. Its configuration names the remote, for people.
func makeMirror(dir, remote, branch string) error {
	for _, folder := range []string{filepath.Join("refs", "heads"), filepath.Join("objects", "pack")} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"config": fmt.Sprintf("[core]\n\trepositoryformatversion = 0\n\tbare = true\n[remote \"origin\"]\n\turl = \"%s\"\n", strings.ReplaceAll(remote, `"`, `\"`)),
		"HEAD":   "ref: " + plumbing.NewBranchReferenceName(branch).String() + "\n",
	} {
		file := filepath.Join(dir, name)
		if b, err := os.ReadFile(file); err == nil && string(b) == text {
			continue
		}
		if err := writeWhole(dir, file, text); err != nil {
			return err
		}
	}
	return nil
}

// writeWhole writes a file of the mirror: at each moment it is what it was, or what it is to be.
func writeWhole(dir, file, text string) error {
	f, err := os.CreateTemp(dir, "tmp_file_")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, discard(os.Remove(f.Name())))
	}
	return synced(filepath.Dir(file))
}

// Head implements reconciler.Source. A branch that was never read isn't one without commits: it is an error (G8).
func (m *Mirror) Head(ctx context.Context) (string, error) {
	head, err := m.Source.Head(ctx)
	if err == nil {
		return head, nil
	}
	state := m.Remote()
	switch {
	case !errors.Is(err, reconciler.ErrNoCommit):
		return "", err
	case state.Error != "":
		return "", fmt.Errorf("branch %s of %s was never read: %s", m.remote.Branch, m.address, state.Error)
	case state.Read.IsZero():
		return "", fmt.Errorf("branch %s of %s was never read", m.remote.Branch, m.address)
	}
	return "", fmt.Errorf("branch %s of %s: %w", m.remote.Branch, m.address, reconciler.ErrNoCommit)
}

// Tree implements reconciler.Source. A commit that isn't here may have been pushed just now: then the remote is looked at.
func (m *Mirror) Tree(ctx context.Context, commit string) (schema.Tree, error) {
	tree, err := m.Source.Tree(ctx, commit)
	if errors.Is(err, ErrNoRevision) {
		m.Hint()
	}
	return tree, err
}

// Remote implements reconciler.Follower.
func (m *Mirror) Remote() reconciler.RemoteStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// Hint has the remote looked at now rather than at the next poll. It doesn't wait, and many hints are one.
func (m *Mirror) Hint() {
	select {
	case m.hints <- struct{}{}:
	default:
	}
}

// Watch implements reconciler.Source: it polls, and at a Hint at once.
func (m *Mirror) Watch(ctx context.Context, changed func()) error {
	changed()
	failures := 0
	for ctx.Err() == nil {
		moved, err := m.poll(ctx)
		if failures++; err == nil || errors.Is(err, errGone) {
			failures = 0
		}
		if moved {
			changed()
		}
		least := time.NewTimer(leastPause(err))
		select {
		case <-ctx.Done():
		case <-time.After(m.pause(failures, err)):
		case <-m.hints:
			wait(ctx, least)
		}
		least.Stop()
	}
	return nil
}

// maxBackoff is the longest time between two looks at a remote that fails.
const maxBackoff = 15 * time.Minute

// leastPause returns the time between two looks that no hint makes shorter.
func leastPause(err error) time.Duration {
	var busy *busyError
	switch {
	case errors.As(err, &busy):
		return max(busy.after, time.Second)
	case err != nil:
		return 250 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// pause returns how long to wait for the next look: about the interval, so that many hostds don't come at once, and twice
// as long after each failure.
func (m *Mirror) pause(failures int, err error) time.Duration {
	wait := m.remote.Every
	for range failures {
		wait = min(2*wait, max(maxBackoff, m.remote.Every))
	}
	wait = time.Duration(float64(wait) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // it is no secret
	return max(wait, leastPause(err))
}

func wait(ctx context.Context, t *time.Timer) {
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// poll looks at the remote, once, and brings what is new. It reports whether the branch has moved. It is called by one
// goroutine at a time.
func (m *Mirror) poll(ctx context.Context) (moved bool, err error) {
	moved, err = m.follow(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	m.note(err)
	if moved {
		m.tidyUp(ctx)
	}
	return moved, err
}

// note keeps how the remote was read, and logs where that is another answer than before.
func (m *Mirror) note(err error) {
	m.mu.Lock()
	was := m.state
	m.state.Error = ""
	if err != nil {
		m.state.Error = err.Error()
	}
	if err == nil || errors.Is(err, errGone) {
		m.state.Read = time.Now().UTC()
	}
	m.mu.Unlock()
	switch {
	case err != nil && was.Error == "":
		m.log.Warn("the remote repository can't be read; what was read last stays", "url", was.URL, "error", err)
	case err == nil && was.Error != "":
		m.log.Info("the remote repository is read again", "url", was.URL)
	}
}
