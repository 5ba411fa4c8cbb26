package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Of several hostds on one state folder one leads, and the others stand by. Each term of leading is a file in the folder
// leader, named by its number: whoever makes the next file leads from then on, and link(2) lets only one make it. The
// file is locked by the process that made it, so the kernel tells when that is gone (flock(2)); its time is the leader's
// last sign of life, for a process that is stopped isn't gone. Nobody waits for a lock, so a process that is stopped at
// the worst moment holds up nobody.
type term struct {
	dir    string
	number int64
	lease  time.Duration
	file   *os.File // locked; nil: another's
	holder string

	stopped bool // whoever led before is stopped, and not gone
}

// errSucceeded says that another hostd leads.
var errSucceeded = errors.New("another hostd has taken over")

// termNote is what is in a term's file.
type termNote struct {
	Holder string        `json:"holder"`
	Lease  time.Duration `json:"lease"` // nanoseconds
}

// leaderPoll is how often one that stands by looks whether the leader is there.
const leaderPoll = 200 * time.Millisecond

// lead waits until this process leads, or ctx is done.
func lead(ctx context.Context, c config, health *health, log *slog.Logger) (*term, error) {
	dir := filepath.Join(c.State, "leader")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	for told := ""; ; {
		t, err := nextTerm(dir, c.Lease)
		if err != nil {
			return nil, fmt.Errorf("take the lead: %w", err)
		}
		if t.file != nil {
			log.Info("leading", "term", t.number)
			return t, nil
		}
		if t.holder != told {
			told = t.holder
			log.Info("standing by", "leader", t.holder, "term", t.number, "health", health.address)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(leaderPoll):
		}
	}
}

// nextTerm begins a new term where the last one is over, and else returns the one that somebody else holds.
func nextTerm(dir string, lease time.Duration) (*term, error) {
	last, err := latestTerm(dir)
	if err != nil {
		return nil, err
	}
	next := &term{dir: dir, number: last + 1, lease: lease}
	if last > 0 {
		t := &term{dir: dir, number: last}
		over, err := t.over()
		if err != nil || !over {
			return t, err
		}
		next.stopped = t.stopped
	}
	switch err := next.begin(); {
	case errors.Is(err, fs.ErrExist):
		return next, nil // somebody was faster
	case err != nil:
		return nil, err
	}
	if last > 0 {
		_ = os.Remove(filepath.Join(dir, strconv.FormatInt(last-1, 10))) // nobody needs it any more
	}
	return next, nil
}

// latestTerm returns the number of the latest term, 0 where there was none.
func latestTerm(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var last int64
	for _, e := range entries {
		if n, err := strconv.ParseInt(e.Name(), 10, 64); err == nil {
			last = max(last, n)
		}
	}
	return last, nil
}

func (t *term) path() string { return filepath.Join(t.dir, strconv.FormatInt(t.number, 10)) }

// over reports whether a term has ended: its process is gone, or gave no sign of life for its lease. It notes who holds it.
func (t *term) over() (bool, error) {
	f, err := os.Open(t.path())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a later one has begun
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // gives up the lock, where it was taken
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return true, nil
	}
	var note termNote
	info, err := f.Stat()
	if err == nil {
		err = json.NewDecoder(f).Decode(&note)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", t.path(), err)
	}
	t.holder, t.stopped = note.Holder, true
	return time.Since(info.ModTime()) > note.Lease, nil
}

// begin makes the term's file, locked from its first moment on. It fails with fs.ErrExist where the term is another's.
func (t *term) begin() error {
	f, err := os.CreateTemp(t.dir, "new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // its other name stays
	host, err := os.Hostname()
	if err == nil {
		err = json.NewEncoder(f).Encode(termNote{Holder: fmt.Sprintf("hostd@%s:%d", host, os.Getpid()), Lease: t.lease})
	}
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		err = os.Link(f.Name(), t.path())
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	t.file = f
	return nil
}

// check gives a sign of life. It fails with errSucceeded where another term has begun.
func (t *term) check() error {
	last, err := latestTerm(t.dir)
	if err != nil {
		return fmt.Errorf("keep the lead: %w", err)
	}
	if last != t.number {
		return errSucceeded
	}
	now := time.Now()
	if err := os.Chtimes(t.path(), now, now); err != nil {
		return fmt.Errorf("keep the lead: %w", err)
	}
	return nil
}

// keep gives signs of life until ctx is done or the lead is lost.
func (t *term) keep(ctx context.Context) error {
	tick := time.NewTicker(t.lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := t.check(); err != nil {
			return err
		}
	}
}

// end gives up the lead: the next one need not wait.
func (t *term) end() { _ = t.file.Close() }
