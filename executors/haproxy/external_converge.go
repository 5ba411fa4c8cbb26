package haproxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// converge makes files and process what s has. before is what was ours until now.
func (x *External) converge(ctx context.Context, s shared, before model, now running, touched []planner.Ref) (problems map[planner.Ref]error, err error) {
	old, err := x.saveKeys(s.ours.certs)
	if err == nil {
		err = x.save(s.with(joined(s.ours, before)))
	}
	if err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	problems = map[planner.Ref]error{}
	x.convergeCerts(ctx, s.ours.certs, before.certs, now, touched, problems)
	if err := x.process.convergeServers(ctx, s.ours, touched, problems); err != nil {
		return nil, err
	}
	if err := x.convergeRoutes(ctx, s.ours.routes, now, touched, problems); err != nil {
		return nil, err
	}
	for ref, err := range problems {
		if err != nil {
			s.ours.undo(ref, before)
		}
	}
	if err := x.giveBack(old, problems); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	if err := x.save(s); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	if err := x.sweep(s.ours.certs); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	return problems, nil
}

// joined is a with all that b has besides.
func joined(a, b model) model {
	j := b.clone()
	maps.Copy(j.backends, a.backends)
	maps.Copy(j.servers, a.servers)
	maps.Copy(j.routes, a.routes)
	maps.Copy(j.certs, a.certs)
	return j
}

// undo keeps known what couldn't be removed, and leaves a certificate out that HAProxy didn't take: with it in the list it
// wouldn't start again.
func (m model) undo(ref planner.Ref, before model) {
	switch ref.Kind {
	case planner.KindRoute:
		if value, was := before.routes[ref.Name]; was && m.routes[ref.Name] == "" {
			m.routes[ref.Name] = value
		}
	case planner.KindServer:
		if have, was := before.servers[ref.Name]; was {
			if _, still := m.servers[ref.Name]; !still {
				m.servers[ref.Name] = have
			}
		}
	case planner.KindCert:
		if _, was := before.certs[ref.Name]; was {
			m.certs[ref.Name] = nil
		} else {
			delete(m.certs, ref.Name)
		}
	}
}

// convergeCerts makes HAProxy answer with the certificates of touched as they should be, and with those of ours that it has lost.
func (x *External) convergeCerts(ctx context.Context, want, before certs, now running, touched []planner.Ref, problems map[planner.Ref]error) {
	hosts := map[string]bool{}
	for _, r := range touched {
		if r.Kind == planner.KindCert {
			hosts[r.Name] = true
		}
	}
	for host := range want {
		if _, there := now.certs[host]; !there && now.certs != nil {
			hosts[host] = true
		}
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		var err error
		if content, wanted := want[host]; wanted {
			err = x.process.putCert(ctx, host, now.certs, content != nil)
		} else if _, was := before[host]; was {
			err = x.process.dropCert(ctx, host, now.certs)
		}
		if err != nil {
			problems[planner.Ref{Kind: planner.KindCert, Target: x.o.Target, Name: host}] = err
		}
	}
}

// convergeRoutes makes the entries of touched what they should be, and adds those of ours that the process has lost.
func (x *External) convergeRoutes(ctx context.Context, want table, now running, touched []planner.Ref, problems map[planner.Ref]error) error {
	hosts := map[string]bool{}
	for _, r := range touched {
		if r.Kind == planner.KindRoute {
			hosts[r.Name] = true
		}
	}
	for host, value := range want {
		if now.lacks(host, value) {
			hosts[host] = true
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if err := x.putRoute(ctx, host, now, want[host]); err != nil {
			problems[x.process.route(host)] = err
		}
	}
	then := running{}
	if err := x.readEntries(ctx, &then); err != nil {
		return err
	}
	for host := range hosts {
		if ref := x.process.route(host); problems[ref] == nil && !then.leads(host, want[host]) {
			problems[ref] = executors.Errorf(executors.Busy, "haproxy: the entry %s isn't as it was set", host)
		}
	}
	return nil
}

// lacks reports whether nothing is there of a part of a route.
func (r running) lacks(host, value string) bool {
	return backendOf(value) != "" && len(r.entries[host]) == 0 || ruleOf(value) != "" && r.rules != nil && len(r.rules[host]) == 0
}

// leads reports whether a host name is led as a route's value says; "" is not to be led anywhere.
func (r running) leads(host, value string) bool {
	return is(r.entries[host], backendOf(value)) && is(r.rules[host], ruleOf(value))
}

// is reports whether a name has exactly one value in a map, or none where that is "".
func is(have []string, want string) bool {
	return len(have) == 0 && want == "" || len(have) == 1 && have[0] == want
}

// putRoute makes both maps say of a host name what they should. In between it is answered in the one way or in the other: it
// has a backend before its rule goes, and loses it after its rule has come.
func (x *External) putRoute(ctx context.Context, host string, now running, value string) error {
	backend, rule := backendOf(value), ruleOf(value)
	putBackend := func() error { return x.putEntry(ctx, x.o.Map, host, now.entries[host], backend) }
	if backend != "" || value == "" {
		if err := putBackend(); err != nil {
			return err
		}
	}
	if now.rules != nil {
		if err := x.putEntry(ctx, x.o.Rules, host, now.rules[host], rule); err != nil {
			return err
		}
	}
	if backend != "" || value == "" {
		return nil
	}
	return putBackend()
}

// putEntry makes one entry of a running map have a value; "" is not to be there.
func (x *External) putEntry(ctx context.Context, file, key string, have []string, want string) error {
	if is(have, want) {
		return nil
	}
	if len(have) == 1 && want != "" {
		reply, err := x.process.socket.ask(ctx, "set", "map", file, key, want)
		return expect(reply, err, "set map "+key, "")
	}
	if len(have) > 0 {
		reply, err := x.process.socket.ask(ctx, "del", "map", file, key)
		if err := expect(reply, err, "del map "+key, ""); err != nil {
			return err
		}
	}
	if want == "" {
		return nil
	}
	reply, err := x.process.socket.ask(ctx, "add", "map", file, key, want)
	return expect(reply, err, "add map "+key, "")
}

// running is what the process has, others' included.
type running struct {
	balances   map[string]string   // backend -> algorithm
	servers    map[string]server   // "<backend>/<server>"
	entries    map[string][]string // of the map: values by name, more than one where it stands there twice
	rules      map[string][]string // of the rules; nil: the process doesn't use them
	certs      map[string]string   // ours in the list, "file:number" by name; nil: the process doesn't use it
	theirCerts map[string]bool     // names that others' entries of the list are for
}

func (x *External) running(ctx context.Context) (now running, err error) {
	if now.balances, err = x.process.runningBalances(ctx); err != nil {
		return now, err
	}
	if now.servers, err = x.process.runningServers(ctx); err != nil {
		return now, err
	}
	if err = x.readEntries(ctx, &now); err != nil {
		return now, err
	}
	return now, x.readCerts(ctx, &now)
}

// readEntries reads both maps.
func (x *External) readEntries(ctx context.Context, now *running) (err error) {
	if now.entries, err = x.entriesOf(ctx, x.o.Map); err != nil {
		return err
	}
	if now.entries == nil {
		return executors.Errorf(executors.Conflict, "haproxy: the running process has no map %s; %s", x.o.Map, x.wayIn())
	}
	if x.o.Rules != "" {
		now.rules, err = x.entriesOf(ctx, x.o.Rules)
	}
	return err
}

// entriesOf reads one map; nil where the process has none of that name.
func (x *External) entriesOf(ctx context.Context, file string) (map[string][]string, error) {
	reply, err := x.process.socket.ask(ctx, "show", "map", file)
	if err != nil || reply == unknownMap {
		return nil, err
	}
	lines, err := parseMap(reply)
	if err != nil {
		return nil, executors.Errorf(executors.Unknown, "haproxy: show map: %w", err)
	}
	entries := make(map[string][]string, len(lines))
	for _, e := range lines {
		entries[e.key] = append(entries[e.key], e.value)
	}
	return entries, nil
}

// readCerts reads the running list of certificates.
func (x *External) readCerts(ctx context.Context, now *running) error {
	if x.o.CrtList == "" {
		return nil
	}
	reply, err := x.process.socket.ask(ctx, "show", "ssl", "crt-list", "-n", x.o.CrtList)
	if err != nil || reply == "didn't find the specified filename" {
		return err
	}
	head, text, _ := strings.Cut(reply, "\n")
	if head != "# "+x.o.CrtList {
		return unexpected("show ssl crt-list", reply)
	}
	now.certs, now.theirCerts = x.process.o.parseSharedList(text)
	return nil
}

// parseSharedList reads what `show ssl crt-list -n` shows after its first line of a list that others write too: our entries,
// "file:number" by name, and the names that others' are for.
func (o Options) parseSharedList(text string) (ours map[string]string, theirs map[string]bool) {
	ours, theirs = map[string]string{}, map[string]bool{}
	for line := range strings.Lines(text) {
		entry, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		i := strings.LastIndexByte(entry, ':')
		if host := o.hostOfCert(entry[:max(i, 0)]); host != "" && host == name && isWord(entry) {
			ours[host] = entry
			continue
		}
		noteNames(theirs, line)
	}
	return ours, theirs
}
