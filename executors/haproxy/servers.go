package haproxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// convergeServers makes every server of the model be and stand as the model has it, and removes those of touched that it
// hasn't. A server's failure is its own change's problem.
func (e *Executor) convergeServers(ctx context.Context, m model, touched []planner.Ref, problems map[planner.Ref]error) error {
	running, err := e.runningServers(ctx)
	if err != nil {
		return err
	}
	failed := map[string]error{}
	for _, name := range slices.Sorted(maps.Keys(m.servers)) {
		have, there := running[name]
		failed[name] = e.putServer(ctx, name, have, there, m.servers[name])
	}
	for _, r := range touched {
		if r.Kind != planner.KindServer {
			continue
		}
		want, wanted := m.servers[r.Name]
		_, there := running[r.Name]
		switch {
		case !wanted:
			failed[r.Name] = e.removeServer(ctx, r.Name, running)
		case there && want.state == planner.ServerDrain && failed[r.Name] == nil:
			failed[r.Name] = e.waitDrained(ctx, r.Name)
		case there && want.state == planner.ServerReady && failed[r.Name] == nil:
			failed[r.Name] = e.waitUp(ctx, r.Name)
		}
	}
	if running, err = e.runningServers(ctx); err != nil {
		return err
	}
	for _, r := range touched {
		if r.Kind != planner.KindServer {
			continue
		}
		problems[r] = failed[r.Name]
		want, wanted := m.servers[r.Name]
		have, there := running[r.Name]
		if problems[r] == nil && (wanted != there || want != have) {
			problems[r] = executors.Errorf(executors.Busy, "haproxy: server %s isn't as it was set", r.Name)
		}
	}
	return nil
}

// noBackend is HAProxy's answer where a backend isn't there.
const noBackend = "Can't find backend."

// runningServers returns the servers that run, of all backends or of one.
func (e *Executor) runningServers(ctx context.Context, backend ...string) (map[string]server, error) {
	reply, err := e.socket.ask(ctx, append([]string{"show", "servers", "state"}, backend...)...)
	if err != nil || len(backend) > 0 && reply == noBackend {
		return nil, err
	}
	servers, err := parseServers(reply)
	if err != nil {
		return nil, executors.Errorf(executors.Unknown, "haproxy: show servers state: %w", err)
	}
	return servers, nil
}

// putServer adds a server or changes what differs. A new one starts in maintenance and without checks.
func (e *Executor) putServer(ctx context.Context, name string, have server, there bool, want server) error {
	if !there {
		words := append([]string{"add", "server", name, want.address}, strings.Fields(serverOptions)...)
		reply, err := e.socket.ask(ctx, words...)
		if err := expect(reply, err, "add server "+name, "New server registered."); err != nil {
			return err
		}
		reply, err = e.socket.ask(ctx, "enable", "health", name)
		if err := expect(reply, err, "enable health "+name, ""); err != nil {
			return err
		}
		have = server{want.address, planner.ServerMaint}
	}
	if have.address != want.address {
		if err := e.setAddress(ctx, name, want.address); err != nil {
			return err
		}
	}
	if have.state != want.state {
		return e.setState(ctx, name, want.state)
	}
	return nil
}

// waitUp waits until the checks of a server that is back in rotation say that it is up. Right after `set server … ready` it need not
// be: a check that began while its node was away may still be waiting for an answer.
func (e *Executor) waitUp(ctx context.Context, name string) error {
	if e.o.Up == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, e.o.Up)
	defer cancel()
	for {
		reply, err := e.socket.ask(within, "show", "servers", "state")
		if err != nil {
			return err
		}
		up, err := parseUp(reply)
		if err != nil || up[name] {
			return err
		}
		if err := pause(within); err != nil {
			return executors.Errorf(executors.Busy, "haproxy: server %s is ready, and after %s its health checks don't say that it is up", name, e.o.Up)
		}
	}
}

func (e *Executor) setState(ctx context.Context, name string, s planner.ServerState) error {
	reply, err := e.socket.ask(ctx, "set", "server", name, "state", string(s))
	return expect(reply, err, "set server "+name+" state "+string(s), "")
}

func (e *Executor) setAddress(ctx context.Context, name, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	reply, err := e.socket.ask(ctx, "set", "server", name, "addr", host, "port", port)
	if err != nil {
		return err
	}
	if reply != "nothing changed" && !strings.HasSuffix(reply, "by 'stats socket command'") {
		return unexpected("set server "+name+" addr "+address, reply)
	}
	return nil
}

// noServer is HAProxy's answer where a server isn't there.
const noServer = "No such server."

// removeServer takes a server out: no new requests, then a wait for those it has, then the end of those that last too long.
func (e *Executor) removeServer(ctx context.Context, name string, running map[string]server) error {
	if _, there := running[name]; !there {
		return nil
	}
	if err := e.setState(ctx, name, planner.ServerMaint); err != nil {
		return err
	}
	if err := e.waitRemovable(ctx, name); err != nil {
		reply, err := e.socket.ask(ctx, "shutdown", "sessions", "server", name)
		if err := expect(reply, err, "shutdown sessions server "+name, ""); err != nil {
			return err
		}
		if err := e.waitRemovable(ctx, name); err != nil {
			return err
		}
	}
	reply, err := e.socket.ask(ctx, "del", "server", name)
	return expect(reply, err, "del server "+name, "Server deleted.", noServer)
}

var errConnections = errors.New("it still has connections")

// waitRemovable waits until no connection is left (management guide 9.3, "wait").
func (e *Executor) waitRemovable(ctx context.Context, name string) error {
	patient := socket{e.socket.path, 2 * e.socket.wait}
	delay := strconv.FormatInt(e.o.Wait.Milliseconds(), 10) + "ms"
	reply, err := patient.ask(ctx, "wait", delay, "srv-removable", name)
	switch {
	case err != nil:
		return err
	case reply == "Done.":
		return nil
	case reply == "Failed.":
		return executors.Errorf(executors.Busy, "haproxy: remove server %s: %w", name, errConnections)
	}
	return unexpected("wait srv-removable "+name, reply)
}
