package cron

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// endAll kills what a run has left behind, and waits for its end. A process that leaves its group, its session and its parent
// is a child of this one still, which has asked for that (PR_SET_CHILD_SUBREAPER of prctl(2)).
func endAll() error {
	if err := killAll(); err != nil {
		return err
	}
	for {
		_, err := unix.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// killAll kills all descendants of this process. They are stopped first, so that none can make another while the others
// are looked for.
func killAll() error {
	stopped := map[int]bool{}
	for {
		pids, err := descendants(os.Getpid())
		if err != nil {
			return err
		}
		fresh := 0
		for _, pid := range pids {
			if !stopped[pid] {
				stopped[pid] = true
				fresh++
				_ = unix.Kill(pid, unix.SIGSTOP) // it may have ended meanwhile
			}
		}
		if fresh > 0 {
			continue
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended meanwhile
		}
		if len(pids) == 0 {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// descendants returns the processes below one that haven't ended, by their parents (proc_pid_stat(5)).
func descendants(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	ended := map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if state, parent, ok := stat(pid); ok {
			children[parent] = append(children[parent], pid)
			ended[pid] = state == "Z" || state == "X"
		}
	}
	var below []int
	for next := children[root]; len(next) > 0; {
		pid := next[0]
		next = append(next[1:], children[pid]...)
		if !ended[pid] {
			below = append(below, pid)
		}
	}
	return below, nil
}

// stat reads the state and the parent of a process. The name of its program, the second field, is in parentheses and may
// hold any character.
func stat(pid int) (state string, parent int, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, false
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(f[1])
	return f[0], parent, err == nil
}
