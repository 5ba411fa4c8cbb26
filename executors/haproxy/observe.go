package haproxy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"hostctl/planner"
)

// Observe implements executors.Observer: what the running process has, sorted. What is in the files and not in the
// process, or the other way round, is drift that it shows.
func (e *Executor) Observe(ctx context.Context) ([]planner.Object, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	balances, err := e.runningBalances(ctx)
	if err != nil {
		return nil, err
	}
	servers, err := e.runningServers(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := e.runningMap(ctx)
	if err != nil {
		return nil, err
	}
	certificates, err := e.presentCerts(ctx, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	return append(certificates, e.objects(balances, servers, entries)...), nil
}

func (e *Executor) objects(balances map[string]string, servers map[string]server, entries []entry) []planner.Object {
	meta := func(name string) planner.Meta { return planner.Meta{Target: e.o.Target, Name: name} }
	var out []planner.Object
	for _, name := range slices.Sorted(maps.Keys(balances)) {
		out = append(out, planner.Backend{Meta: meta(name), Balance: balanceOf(balances[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		backend, node, _ := strings.Cut(name, "/")
		s := servers[name]
		out = append(out, planner.Server{Meta: meta(name), Backend: backend, Node: node, Address: s.address, State: s.state})
	}
	routes, _ := tableOf(entries)
	delete(routes, instanceKey)
	for _, host := range slices.Sorted(maps.Keys(routes)) {
		r, err := parseRoute(routes[host])
		if err != nil {
			r = planner.Route{Backend: routes[host]} // shown as what it is
		}
		r.Meta = meta(host)
		out = append(out, r)
	}
	return out
}

// balanceOf is HAProxy's word for an algorithm in ours.
func balanceOf(algo string) string {
	if algo == "hash" {
		return balanceHost
	}
	return algo
}
