package haproxy

import (
	"context"

	"hostctl/planner"
)

// Observe implements executors.Observer: what the running process has of what is ours. Nothing of others is shown.
func (x *External) Observe(ctx context.Context) ([]planner.Object, error) {
	x.turn.Lock()
	defer x.turn.Unlock()
	s, now, err := x.look(ctx)
	if err != nil {
		return nil, err
	}
	return x.objects(now, s.has), nil
}

// Present implements executors.Reader: what is there of some names, whoever has made it; backends only where they are ours, for
// others' stay what they are.
func (x *External) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	x.turn.Lock()
	defer x.turn.Unlock()
	s, now, err := x.look(ctx)
	if err != nil {
		return nil, err
	}
	asked := make(map[planner.Ref]bool, len(refs))
	for _, r := range refs {
		asked[r] = true
		if r.Kind == planner.KindRoute && len(now.entries[r.Name]) == 0 { // it comes with the next reload
			now.entries[r.Name] = s.theirs[r.Name]
		}
	}
	wanted := func(r planner.Ref) bool { return asked[r] && (r.Kind != planner.KindBackend || s.has(r)) }
	return only(x.objects(now, wanted), refs), nil
}

// objects are those of the process that wanted says. What stands twice in the map is none.
func (x *External) objects(now running, wanted func(planner.Ref) bool) []planner.Object {
	ref := func(k planner.Kind, name string) planner.Ref {
		return planner.Ref{Kind: k, Target: x.o.Target, Name: name}
	}
	balances, servers := map[string]string{}, map[string]server{}
	for name := range now.balances {
		if wanted(ref(planner.KindBackend, name)) {
			balances[name] = balanceHost // however it balances is its owner's business
		}
	}
	for name, s := range now.servers {
		if wanted(ref(planner.KindServer, name)) {
			servers[name] = s
		}
	}
	var entries []entry
	for name, values := range now.entries {
		if len(values) != 1 || !wanted(ref(planner.KindRoute, name)) {
			continue
		}
		value := values[0]
		if !isWord(value) {
			value = quote(value) // others wrote it
		}
		entries = append(entries, entry{name, value})
	}
	return x.process.objects(balances, servers, entries)
}
