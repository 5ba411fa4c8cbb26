package haproxy

import (
	"context"
	"strings"

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
	return x.objects(ctx, now, s.has)
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
		if r.Kind == planner.KindRoute && now.rules != nil && len(now.rules[r.Name]) == 0 {
			now.rules[r.Name] = s.theirRules[r.Name]
		}
	}
	wanted := func(r planner.Ref) bool { return asked[r] && (r.Kind != planner.KindBackend || s.has(r)) }
	all, err := x.objects(ctx, now, wanted)
	return only(all, refs), err
}

// objects are those of the process that wanted says. What stands twice in a map is none.
func (x *External) objects(ctx context.Context, now running, wanted func(planner.Ref) bool) ([]planner.Object, error) {
	ref := func(k planner.Kind, name string) planner.Ref {
		return planner.Ref{Kind: k, Target: x.o.Target, Name: name}
	}
	certificates, err := x.process.certObjects(ctx, now.certs, func(host string) bool { return wanted(ref(planner.KindCert, host)) })
	if err != nil {
		return nil, err
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
	for name := range now.named() {
		value, ok := now.value(name)
		if !ok || !wanted(x.process.route(name)) {
			continue
		}
		if !isWord(value) {
			value = quote(value) // others wrote it
		}
		entries = append(entries, entry{name, value})
	}
	return append(certificates, x.process.objects(balances, servers, entries)...), nil
}

// named are the host names of both maps.
func (r running) named() map[string]bool {
	all := make(map[string]bool, len(r.entries))
	for name := range r.entries {
		all[name] = true
	}
	for name := range r.rules {
		all[name] = true
	}
	return all
}

// value is what both maps say of a host name, as one entry of managed load balancers does; none where one of them says two things.
func (r running) value(host string) (string, bool) {
	entries, rules := r.entries[host], r.rules[host]
	switch {
	case len(entries) > 1 || len(rules) > 1 || len(entries)+len(rules) == 0:
		return "", false
	case len(rules) == 0:
		return entries[0], true
	}
	backend, rest, _ := strings.Cut(rules[0], "|")
	if len(entries) > 0 {
		backend = entries[0]
	} else if backend != "-" {
		backend = "" // it is said to be led where it isn't
	}
	return backend + "|" + rest, true
}
