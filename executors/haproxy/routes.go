package haproxy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// bulkFrom is from how many changed entries on a map is swapped as a whole instead.
const bulkFrom = 200

// convergeRoutes makes the entries of touched in the running map what the model has, and the rest too where their number
// says that something is missing or stands there twice.
func (e *Executor) convergeRoutes(ctx context.Context, m model, touched []planner.Ref, problems map[planner.Ref]error) error {
	hosts := []string{}
	if m.routes[instanceKey] != "" {
		hosts = append(hosts, instanceKey)
	}
	for _, r := range touched {
		if r.Kind == planner.KindRoute {
			hosts = append(hosts, r.Name)
		}
	}
	if len(hosts) < bulkFrom {
		for _, host := range hosts {
			if err := e.putEntry(ctx, host, m.routes[host]); err != nil {
				problems[e.route(host)] = err
			}
		}
		if same, err := e.sameCount(ctx, m.routes); err != nil || same {
			return err
		}
	}
	return e.swapMap(ctx, m)
}

func (e *Executor) route(host string) planner.Ref {
	return planner.Ref{Kind: planner.KindRoute, Target: e.o.Target, Name: host}
}

// putEntry makes one entry of the running map have a value; "" is not to be there. `add map` makes a second entry of a key
// that is there, so it looks first, and looks again after.
func (e *Executor) putEntry(ctx context.Context, key, value string) error {
	have, err := e.getEntry(ctx, key)
	if err != nil || have == value {
		return err
	}
	var reply string
	what := "set"
	switch {
	case value == "":
		what = "del"
		reply, err = e.socket.ask(ctx, "del", "map", e.o.mapFile(), key)
	case have == "":
		what = "add"
		reply, err = e.socket.ask(ctx, "add", "map", e.o.mapFile(), key, value)
	default:
		reply, err = e.socket.ask(ctx, "set", "map", e.o.mapFile(), key, value)
	}
	if err := expect(reply, err, what+" map "+key, ""); err != nil {
		return err
	}
	if have, err = e.getEntry(ctx, key); err == nil && have != value {
		err = executors.Errorf(executors.Busy, "haproxy: %s map %s: it is %s then", what, key, quote(have))
	}
	return err
}

func (e *Executor) getEntry(ctx context.Context, key string) (string, error) {
	reply, err := e.socket.ask(ctx, "get", "map", e.o.mapFile(), key)
	if err != nil {
		return "", err
	}
	value, _, err := parseGetMap(reply)
	if err != nil {
		return "", unexpected("get map "+key, reply)
	}
	return value, nil
}

// sameCount reports whether the running map has as many entries as t.
func (e *Executor) sameCount(ctx context.Context, t table) (bool, error) {
	reply, err := e.socket.ask(ctx, "show", "map")
	if err != nil {
		return false, err
	}
	n, ok, err := parseMapCount(reply, e.o.mapFile())
	if err != nil {
		return false, executors.Errorf(executors.Unknown, "haproxy: show map: %w", err)
	}
	return ok && n == len(t), nil
}

// swapMap makes the running map exactly the model's in one step, unless it is. The new version is compared with what it
// should be before it is committed, for HAProxy before 3.0 drops a payload that is too large without a word.
// Management guide 9.3, "prepare map", "add map" and "commit map".
func (e *Executor) swapMap(ctx context.Context, m model) error {
	if same, err := e.sameMap(ctx, m.routes); err != nil || same {
		return err
	}
	name := e.o.mapFile()
	reply, err := e.socket.ask(ctx, "prepare", "map", name)
	if err != nil {
		return err
	}
	version, ok := strings.CutPrefix(reply, "New version created: ")
	if !ok || !isWord(version) {
		return unexpected("prepare map", reply)
	}
	if err := e.fillMap(ctx, "@"+version, m); err != nil {
		_, _ = e.socket.ask(context.WithoutCancel(ctx), "clear", "map", "@"+version, name) // what is left of it takes memory only
		return err
	}
	reply, err = e.socket.ask(ctx, "commit", "map", "@"+version, name)
	if err := expect(reply, err, "commit map", ""); err != nil {
		return err
	}
	if same, err := e.sameMap(ctx, m.routes); err != nil || same {
		return err
	}
	return executors.Errorf(executors.Busy, "haproxy: commit map: the map isn't what was committed")
}

// fillMap adds all entries to a version of the map, as many a command as HAProxy's buffer takes, and compares.
func (e *Executor) fillMap(ctx context.Context, version string, m model) error {
	const words = 1024 // room for the command itself
	most := m.bufferSize() - words
	var payload strings.Builder
	flush := func() error {
		if payload.Len() == 0 {
			return nil
		}
		reply, err := e.socket.send(ctx, []string{"add", "map", version, e.o.mapFile()}, payload.String())
		payload.Reset()
		return expect(reply, err, "add map "+version, "")
	}
	for _, key := range slices.Sorted(maps.Keys(m.routes)) {
		line := key + " " + m.routes[key] + "\n"
		if payload.Len()+len(line) > most {
			if err := flush(); err != nil {
				return err
			}
		}
		payload.WriteString(line)
	}
	if err := flush(); err != nil {
		return err
	}
	entries, err := e.readMap(ctx, version, e.o.mapFile())
	if err != nil {
		return err
	}
	if t, ok := tableOf(entries); !ok || !maps.Equal(t, m.routes) {
		return executors.Errorf(executors.Busy, "haproxy: add map %s: %d entries arrived of %d", version, len(entries), len(m.routes))
	}
	return nil
}

func (e *Executor) sameMap(ctx context.Context, want table) (bool, error) {
	entries, err := e.runningMap(ctx)
	if err != nil {
		return false, err
	}
	t, ok := tableOf(entries)
	return ok && maps.Equal(t, want), nil
}

// runningMap returns what the process has loaded: nothing where it runs the image's configuration.
func (e *Executor) runningMap(ctx context.Context) ([]entry, error) {
	return e.readMap(ctx, e.o.mapFile())
}

func (e *Executor) readMap(ctx context.Context, words ...string) ([]entry, error) {
	reply, err := e.socket.ask(ctx, append([]string{"show", "map"}, words...)...)
	if err != nil || reply == unknownMap {
		return nil, err
	}
	entries, err := parseMap(reply)
	if err != nil {
		return nil, executors.Errorf(executors.Unknown, "haproxy: show map: %w", err)
	}
	return entries, nil
}
