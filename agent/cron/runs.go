package cron

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hostctl/executors"
)

// mark is the file that a run is known by on its node: named after the process that looks after it, and locked by that.
type mark struct{ f *os.File }

// enter makes the mark of this process. It is locked before others see it.
func enter(dir string) (mark, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return mark{}, err
	}
	pid := strconv.Itoa(os.Getpid())
	f, err := lockFile(filepath.Join(dir, "."+pid), false)
	if err != nil {
		return mark{}, err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, pid)); err != nil {
		return mark{}, errors.Join(err, f.Close())
	}
	return mark{f}, nil
}

func (k mark) leave() {
	_ = os.Remove(filepath.Join(filepath.Dir(k.f.Name()), strconv.Itoa(os.Getpid()))) // nobody holds it any more, which counts
	_ = k.f.Close()
}

// running returns the processes that look after runs of a job on this node. Marks of those that are gone are removed.
func (m *Manager) running(name string) ([]int, error) {
	entries, err := os.ReadDir(m.runs(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		held, err := m.holds(name, pid)
		if err != nil {
			return nil, err
		}
		if held {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// holds reports whether a process looks after a run: whether its mark is locked. One that isn't is removed.
func (m *Manager) holds(name string, pid int) (bool, error) {
	path := filepath.Join(m.runs(name), strconv.Itoa(pid))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // which unlocks it
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, remove(path)
}

// others returns the other runs of the job on this node.
func (r *run) others() ([]int, error) {
	pids, err := r.running(r.name)
	for i, pid := range pids {
		if pid == os.Getpid() {
			return append(pids[:i:i], pids[i+1:]...), err
		}
	}
	return pids, err
}

func (r *run) endOthers() error {
	others, err := r.others()
	if err != nil {
		return err
	}
	for _, pid := range others {
		if err := r.ask(r.name, pid); err != nil {
			return err
		}
	}
	return nil
}

// ask asks the process that looks after a run to end it.
func (m *Manager) ask(name string, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // only held for what it names
	if held, err := m.holds(name, pid); err != nil || !held {
		return err // another process may have its number now
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// endRuns ends all runs of a job on this node, and waits until they have.
func (m *Manager) endRuns(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, replacing)
	defer cancel()
	for {
		pids, err := m.running(name)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return os.RemoveAll(m.runs(name))
		}
		for _, pid := range pids {
			if err := m.ask(name, pid); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return executors.Errorf(executors.Busy, "what runs of the job doesn't end")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
