package haproxy

import (
	"context"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// few is up to how many entries of the map are asked for one by one rather than all.
const few = 20

// Present implements executors.Reader, from the running process: at most one command for the backends, one for the
// servers, one for the routes where they are many, and one for each certificate.
func (e *Executor) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	asked := map[planner.Kind][]planner.Ref{}
	for _, r := range refs {
		asked[r.Kind] = append(asked[r.Kind], r)
	}
	var (
		balances map[string]string
		servers  map[string]server
		entries  []entry
		err      error
	)
	if len(asked[planner.KindBackend]) > 0 {
		if balances, err = e.runningBalances(ctx); err != nil {
			return nil, err
		}
	}
	if rs := asked[planner.KindServer]; len(rs) > 0 {
		if servers, err = e.serversOf(ctx, rs); err != nil {
			return nil, err
		}
	}
	if rs := asked[planner.KindRoute]; len(rs) > 0 {
		if entries, err = e.entriesOf(ctx, rs); err != nil {
			return nil, err
		}
	}
	var certificates []planner.Object
	if rs := asked[planner.KindCert]; len(rs) > 0 {
		if certificates, err = e.presentCerts(ctx, among(rs)); err != nil {
			return nil, err
		}
	}
	return only(append(certificates, e.objects(balances, servers, entries)...), refs), nil
}

// among returns whether a name is one of those that are asked for.
func among(refs []planner.Ref) func(string) bool {
	names := make(map[string]bool, len(refs))
	for _, r := range refs {
		names[r.Name] = true
	}
	return func(name string) bool { return names[name] }
}

// only returns those of the objects that were asked for.
func only(all []planner.Object, refs []planner.Ref) map[planner.Ref]planner.Object {
	asked := make(map[planner.Ref]bool, len(refs))
	for _, r := range refs {
		asked[r] = true
	}
	found := map[planner.Ref]planner.Object{}
	for _, o := range all {
		if asked[o.Ref()] {
			found[o.Ref()] = o
		}
	}
	return found
}

func (e *Executor) runningBalances(ctx context.Context) (map[string]string, error) {
	reply, err := e.socket.ask(ctx, "show", "stat", "-1", "2", "-1")
	if err != nil {
		return nil, err
	}
	balances, err := parseBalances(reply)
	if err != nil {
		return nil, executors.Errorf(executors.Unknown, "haproxy: show stat: %w", err)
	}
	delete(balances, unknown)
	return balances, nil
}

// serversOf returns the servers of the backends that are asked about: of the one, or of all.
func (e *Executor) serversOf(ctx context.Context, refs []planner.Ref) (map[string]server, error) {
	one, _, _ := strings.Cut(refs[0].Name, "/")
	for _, r := range refs {
		if backend, _, _ := strings.Cut(r.Name, "/"); backend != one {
			return e.runningServers(ctx)
		}
	}
	if !isWord(one) {
		return nil, nil
	}
	return e.runningServers(ctx, one)
}

// entriesOf returns entries of the running map, those that are asked for among them.
func (e *Executor) entriesOf(ctx context.Context, refs []planner.Ref) ([]entry, error) {
	if len(refs) > few {
		return e.runningMap(ctx)
	}
	var entries []entry
	for _, r := range refs {
		if checkHost(r.Name) != nil {
			continue
		}
		reply, err := e.socket.ask(ctx, "get", "map", e.o.mapFile(), r.Name)
		if err != nil {
			return nil, err
		}
		if reply == unknownMap {
			return nil, nil
		}
		value, found, err := parseGetMap(reply)
		if err != nil {
			return nil, unexpected("get map "+r.Name, reply)
		}
		if found {
			entries = append(entries, entry{r.Name, value})
		}
	}
	return entries, nil
}
