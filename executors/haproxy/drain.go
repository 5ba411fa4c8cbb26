package haproxy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hostctl/executors"
)

// waitDrained waits until a server that gets no new requests has answered those it had: what drains it is about to take
// it down. It waits for Drain at most, and not for one that the checks find down: nobody answers there.
func (e *Executor) waitDrained(ctx context.Context, name string) error {
	within, cancel := context.WithTimeout(ctx, e.o.Drain)
	defer cancel()
	for {
		left, err := e.connectionsLeft(within, name)
		switch {
		case ctx.Err() != nil:
			return executors.NotTried(ctx)
		case over(within):
			return nil // they had their time
		case err != nil || !left:
			return err
		}
		_ = pause(within) // looked at above
	}
}

// over reports whether a context's time is over. A connection that is being made then fails a moment before the context
// is done.
func over(ctx context.Context) bool {
	end, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(end)
}

// connectionsLeft reports whether a server that is up has requests.
func (e *Executor) connectionsLeft(ctx context.Context, name string) (bool, error) {
	reply, err := e.socket.ask(ctx, "show", "servers", "state")
	if err != nil {
		return false, err
	}
	up, err := parseUp(reply)
	if err != nil || !up[name] {
		return false, err
	}
	backend, _, _ := strings.Cut(name, "/")
	if reply, err = e.socket.ask(ctx, "show", "servers", "conn", backend); err != nil {
		return false, err
	}
	used, err := parseConnections(reply)
	if err != nil {
		return false, executors.Errorf(executors.Unknown, "haproxy: show servers conn: %w", err)
	}
	return used[name] > 0, nil
}

// parseConnections reads how many connections of each server are in use out of `show servers conn` (management guide 9.3).
func parseConnections(reply string) (map[string]int, error) {
	lines := strings.Split(reply, "\n")
	columns := strings.Fields(strings.TrimPrefix(lines[0], "#"))
	at := slices.Index(columns, "used_cur")
	if !strings.HasPrefix(lines[0], "# bkname/svname ") || at < 0 {
		return nil, fmt.Errorf("line %s: want bkname/svname and used_cur", quote(lines[0]))
	}
	used := map[string]int{}
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) <= at {
			return nil, fmt.Errorf("line %s: want %d columns", quote(line), len(columns))
		}
		n, err := strconv.Atoi(f[at])
		if err != nil {
			return nil, fmt.Errorf("line %s: %w", quote(line), err)
		}
		used[f[0]] = n
	}
	return used, nil
}
