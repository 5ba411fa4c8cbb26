package users

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hostctl/executors"
)

// end ends what still runs as a user who is locked. What is about to end by itself, such as a pool that finishes its
// requests, is given a moment to. Processes that are made meanwhile are met in the next round; nothing else starts any, for
// the user has neither a runtime nor a way in.
func (m *Manager) end(ctx context.Context, uid int) error {
	if m.o.Root != "" {
		return nil // those of another root aren't seen from here
	}
	last := time.Now().Add(2 * patience)
	kill := time.Now().Add(patience)
	for time.Now().Before(last) {
		pids, err := processes(uid)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(kill) {
			for _, pid := range pids {
				if err := killOf(pid, uid); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return executors.NotTried(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// processes returns the processes of a user: the owner of /proc/<pid> is the effective one, whatever the process has done to
// hide (proc_pid(5)).
func processes(uid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && runsAs(pid, uid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func runsAs(pid, uid int) bool {
	var st unix.Stat_t
	return unix.Stat(filepath.Join("/proc", strconv.Itoa(pid)), &st) == nil && int(st.Uid) == uid
}

// killOf kills a process if it is a user's: one of another user that has got its number meanwhile isn't.
func killOf(pid, uid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return gone(err)
	}
	defer func() { _ = unix.Close(fd) }() // only held for what it names
	if !runsAs(pid, uid) {
		return nil
	}
	return gone(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
}

func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
