package apps

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// endings is how often a new service may end before it answers, until it is given up.
const endings = 3

// answers waits until a service answers on its socket, with any status below 500.
func (m *Manager) answers(ctx context.Context, r planner.Runtime, n int, patience time.Duration) error {
	path := r.Health
	if path == "" {
		path = "/"
	}
	client := clientOf(m.socket(r.Name, n))
	defer client.CloseIdleConnections()
	for {
		said := ask(ctx, client, path)
		if said == nil {
			return nil
		}
		if starts, err := recentStarts(m.runDir(r.Name, n), time.Now()); err == nil && starts > endings {
			return executors.Errorf(executors.Refused, "the site's program ends by itself; what it says is in the site's app log")
		}
		select {
		case <-ctx.Done():
			return executors.Errorf(executors.Refused, "the site's program did not answer GET %s within %v (%w); what it says is in the site's app log", path, patience, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func clientOf(socket string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask returns nil where a service answers. What it answers is the tenant's, and no part of the error.
func ask(ctx context.Context, c *http.Client, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return errors.New("nobody answers")
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	_ = resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// listens reports whether the socket of a generation listens and is where nginx looks for it.
func (m *Manager) listens(open map[string]bool, name string, n int) bool {
	path := m.socket(name, n)
	_, err := os.Lstat(path)
	return err == nil && open[path]
}

// listening returns the paths of the unix sockets that listen.
func listening() (map[string]bool, error) {
	const acceptsConnections = "00010000"
	open := map[string]bool{}
	err := unixSockets(func(flags, _, path string) {
		if flags == acceptsConnections {
			open[path] = true
		}
	})
	return open, err
}

// connections counts the connections to a listening socket: those that wait to be accepted, and those that are open.
func connections(socket string) (int, error) {
	const connecting, connected = "02", "03"
	count := 0
	err := unixSockets(func(_, state, path string) {
		if path == socket && (state == connecting || state == connected) {
			count++
		}
	})
	return count, err
}

// unixSockets reads the kernel's list (net/unix/af_unix.c, unix_seq_show): Num RefCount Protocol Flags Type St Inode Path.
func unixSockets(each func(flags, state, path string)) error {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if w := strings.Fields(lines.Text()); len(w) == 8 {
			each(w[3], w[5], w[7])
		}
	}
	return lines.Err()
}
