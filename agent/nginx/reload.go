package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hostctl/executors"
)

// settle bounds how long nginx may take to take a configuration into use.
const settle = 15 * time.Second

// ensure makes sure that nginx runs and serves a generation that is in place already.
func (m *Manager) ensure(ctx context.Context, n int) error {
	if live, err := m.live(ctx); err == nil && live == n {
		return nil
	}
	return m.reload(ctx, n)
}

// reload makes nginx serve generation n, which is in place and tested, and waits until it does and until no worker accepts
// with an older one. Workers that stop accepting finish the requests they have.
func (m *Manager) reload(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	if err := m.include(); err != nil {
		return err
	}
	if err := m.o.Scan.Up(ctx, m.o.Service); err != nil {
		return executors.Errorf(executors.Busy, "nginx does not start: %w", err)
	}
	state, err := m.o.Scan.State(ctx, m.o.Service)
	if err != nil {
		return err
	}
	old, err := accepting(state.PID)
	if err != nil {
		return err
	}
	if err := m.o.Scan.Signal(ctx, m.o.Service, "h"); err != nil {
		return err
	}
	return m.until(ctx, n, old)
}

// until waits until none of the old workers accepts and the rest answers with generation n.
func (m *Manager) until(ctx context.Context, n int, old []int) error {
	pause := 5 * time.Millisecond
	for {
		live, err := m.live(ctx)
		if err == nil && live == n && !anyAccepts(old) {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("it still serves generation %d", live)
			}
			return executors.Errorf(executors.Busy, "nginx did not take up generation %d in %v: %w", n, settle, err)
		case <-time.After(pause):
		}
	}
}

var client = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true},
	Timeout:   2 * time.Second,
}

// live asks nginx which generation it serves; 0 is none of ours.
func (m *Manager) live(ctx context.Context) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.o.Address+"/", nil)
	if err != nil {
		return 0, err
	}
	r.Host = markerHost
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// accepting returns the workers of a master that take new connections.
func accepting(master int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var workers []int
	for _, stat := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err == nil && parent(stat) == master && accepts(pid) {
			workers = append(workers, pid)
		}
	}
	return workers, nil
}

// parent reads the fourth field of proc_pid_stat(5), which stands after the name in parentheses.
func parent(stat string) int {
	b, err := os.ReadFile(stat)
	if err != nil {
		return -1
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return -1
	}
	ppid, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return -1
	}
	return ppid
}

// accepts reports whether a process is a worker that takes new connections. A worker that is told to go says so in its
// title before it closes its listening sockets.
func accepts(pid int) bool {
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if errors.Is(err, os.ErrNotExist) || err != nil {
		return false
	}
	return bytes.HasPrefix(title, []byte("nginx: worker process")) && !bytes.Contains(title, []byte("shutting down"))
}

func anyAccepts(pids []int) bool {
	for _, pid := range pids {
		if accepts(pid) {
			return true
		}
	}
	return false
}
