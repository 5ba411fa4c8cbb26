package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// ExternalOptions say where a load balancer is that hostctl hasn't made.
type ExternalOptions struct {
	Target   string // name of the target, for what is observed
	Instance string // id of the inventory
	Socket   string // of the running process, level admin
	Map      string // file that leads host names to backends, under the name that haproxy.cfg has for it
	Adopt    bool   // a change of Change.Adopt may take over what is there

	Turn sync.Locker // of all executors of this process; nil: there is no other one

	Wait  time.Duration // as Options.Wait
	Drain time.Duration // as Options.Drain
	Up    time.Duration // as Options.Up
}

// External applies backends, servers and routes to an HAProxy that hostctl hasn't made: its haproxy.cfg stays as it is. A
// backend is one that haproxy.cfg declares. What is hostctl's stands in a section of the map's file, beside the lines of
// others, which are never touched; so an entry or a server that isn't in that section isn't ours.
//
// What is made is written to the file first, and what is removed leaves the file last: a crash in between leaves nothing
// running that the file doesn't know of.
type External struct {
	o       ExternalOptions
	process *Executor
	turn    sync.Locker // of file and process together
}

var (
	_ executors.Executor = (*External)(nil)
	_ executors.Observer = (*External)(nil)
	_ executors.Reader   = (*External)(nil)
	_ executors.Reporter = (*External)(nil)
)

// NewExternal returns the executor of a load balancer that hostctl hasn't made. It touches nothing.
func NewExternal(o ExternalOptions) *External {
	turn := o.Turn
	if turn == nil {
		turn = &sync.Mutex{}
	}
	return &External{o: o, turn: turn, process: New(Options{Target: o.Target, Instance: o.Instance, Socket: o.Socket, Wait: o.Wait, Drain: o.Drain, Up: o.Up})}
}

// Apply implements executors.Executor.
func (x *External) Apply(ctx context.Context, cs []planner.Change) []error {
	x.turn.Lock()
	defer x.turn.Unlock()
	errs := make([]error, len(cs))
	s, now, err := x.look(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	before := s.ours.clone()
	var good []int
	for _, i := range slices.Concat(order(cs)...) {
		if cs[i].New == nil && !s.has(cs[i].Ref()) {
			continue // it is gone, and what is there of that name isn't ours
		}
		if errs[i] = x.change(s, now, cs[i]); errs[i] == nil {
			good = append(good, i)
		}
	}
	if len(good) == 0 {
		return errs
	}
	problems, err := x.converge(ctx, s, before, now, refs(cs, good))
	for _, i := range good {
		errs[i] = cmp.Or(err, problems[cs[i].Ref()])
	}
	return errs
}

// change carries one change out in what is ours. An entry of others that is taken over leaves their lines.
func (x *External) change(s shared, now running, c planner.Change) error {
	if err := x.mayTake(s, now, c); err != nil {
		return err
	}
	if err := s.ours.change(c); err != nil {
		return err
	}
	if ref := c.Ref(); ref.Kind == planner.KindRoute && c.New != nil && s.theirs[ref.Name] != nil {
		s.taken[ref.Name] = true
	}
	return nil
}

// mayTake refuses a change that needs what haproxy.cfg doesn't have, or would touch what isn't ours.
func (x *External) mayTake(s shared, now running, c planner.Change) error {
	switch o := c.New.(type) {
	case planner.Backend:
		if _, there := now.balances[o.Name]; !there && checkBackend("backend", o.Name) == nil {
			return executors.Errorf(executors.Refused, "haproxy.cfg has no backend %s, and HAProxy takes none while it runs; put 'backend %s' there, below it 'balance hash req.hdr(host),host_only,lower,rtrim(.)' and 'hash-type consistent', and reload it", o.Name, o.Name)
		}
	case planner.Server:
		if _, there := now.servers[o.Name]; there && !s.has(o.Ref()) {
			return x.mayAdopt(c, "server "+o.Name)
		}
	case planner.Route:
		if o.Redirect != "" || o.ForceHTTPS || o.HSTS != nil {
			return executors.Errorf(executors.Refused, "route %s: what answers requests by itself stands in haproxy.cfg, which isn't ours", o.Name)
		}
		if !s.has(o.Ref()) && len(now.entries[o.Name])+len(s.theirs[o.Name]) > 0 {
			return x.mayAdopt(c, "entry "+o.Name+" of "+x.o.Map)
		}
	}
	return nil
}

// mayAdopt refuses to take over what is there, unless the plan has shown it.
func (x *External) mayAdopt(c planner.Change, what string) error {
	switch {
	case x.o.Adopt && c.Adopt:
		return nil
	case x.o.Adopt:
		return executors.Errorf(executors.Conflict, "%s was there before, and this plan doesn't say what taking it over would change; plan again", what)
	}
	return executors.Errorf(executors.Conflict, "%s was there before and isn't ours; to take it over set adopt: true in infrastructure.haproxy.external of the Cluster: the plan shows what that changes", what)
}

// converge makes file and process what s has. before is what was ours until now.
func (x *External) converge(ctx context.Context, s shared, before model, now running, touched []planner.Ref) (problems map[planner.Ref]error, err error) {
	if err := x.save(s.with(joined(s.ours, before))); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	problems = map[planner.Ref]error{}
	if err := x.process.convergeServers(ctx, s.ours, touched, problems); err != nil {
		return nil, err
	}
	if err := x.convergeRoutes(ctx, s.ours.routes, now, touched, problems); err != nil {
		return nil, err
	}
	for ref, err := range problems { // what couldn't be removed stays known
		if err == nil {
			continue
		}
		if value, ok := before.routes[ref.Name]; ok && ref.Kind == planner.KindRoute && s.ours.routes[ref.Name] == "" {
			s.ours.routes[ref.Name] = value
		}
		if _, still := s.ours.servers[ref.Name]; ref.Kind == planner.KindServer && !still {
			s.ours.servers[ref.Name] = before.servers[ref.Name]
		}
	}
	if err := x.save(s); err != nil {
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
	return j
}

// convergeRoutes makes the entries of touched what they should be, and adds those of ours that the process has lost.
func (x *External) convergeRoutes(ctx context.Context, want table, now running, touched []planner.Ref, problems map[planner.Ref]error) error {
	hosts := map[string]bool{}
	for _, r := range touched {
		if r.Kind == planner.KindRoute {
			hosts[r.Name] = true
		}
	}
	for host := range want {
		if len(now.entries[host]) == 0 {
			hosts[host] = true
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if err := x.putEntry(ctx, host, now.entries[host], want[host]); err != nil {
			problems[x.process.route(host)] = err
		}
	}
	then, err := x.runningEntries(ctx)
	if err != nil {
		return err
	}
	for host := range hosts {
		if ref := x.process.route(host); problems[ref] == nil && !is(then[host], want[host]) {
			problems[ref] = executors.Errorf(executors.Busy, "haproxy: the entry %s isn't as it was set", host)
		}
	}
	return nil
}

// is reports whether a name has exactly one value in a map, or none where that is "".
func is(have []string, want string) bool {
	return len(have) == 0 && want == "" || len(have) == 1 && have[0] == want
}

// putEntry makes one entry of the running map have a value; "" is not to be there.
func (x *External) putEntry(ctx context.Context, key string, have []string, want string) error {
	if is(have, want) {
		return nil
	}
	if len(have) == 1 && want != "" {
		reply, err := x.process.socket.ask(ctx, "set", "map", x.o.Map, key, want)
		return expect(reply, err, "set map "+key, "")
	}
	if len(have) > 0 {
		reply, err := x.process.socket.ask(ctx, "del", "map", x.o.Map, key)
		if err := expect(reply, err, "del map "+key, ""); err != nil {
			return err
		}
	}
	if want == "" {
		return nil
	}
	reply, err := x.process.socket.ask(ctx, "add", "map", x.o.Map, key, want)
	return expect(reply, err, "add map "+key, "")
}

// save writes the map's file where it differs. Who owns it, and its mode, stay.
func (x *External) save(s shared) error {
	text := s.bytes(x.o.Instance)
	path, err := filepath.EvalSymlinks(x.o.Map)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil || string(old) == string(text) {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return replaceFile(path, text, info.Mode().Perm(), func(next string) error { return likeBefore(next, info) })
}

// look reads what the file has, and the process.
func (x *External) look(ctx context.Context) (shared, running, error) {
	b, err := os.ReadFile(x.o.Map)
	if errors.Is(err, fs.ErrNotExist) {
		return shared{}, running{}, executors.Errorf(executors.Conflict, "haproxy: there is no map file %s; make an empty one, %s", x.o.Map, x.wayIn())
	}
	if err != nil {
		return shared{}, running{}, executors.Errorf(executors.Unreachable, "haproxy: %w", err)
	}
	s, err := parseShared(string(b), x.o.Instance)
	if err != nil {
		return shared{}, running{}, executors.Errorf(executors.Conflict, "haproxy: %s: %w", x.o.Map, err)
	}
	now, err := x.running(ctx)
	return s, now, err
}

// wayIn says how requests get from the map to a backend.
func (x *External) wayIn() string {
	return "name it in a frontend of haproxy.cfg, 'use_backend %[req.hdr(host),host_only,lower,rtrim(.),map(" + x.o.Map + ")]', and reload HAProxy"
}

// running is what the process has, others' included.
type running struct {
	balances map[string]string   // backend -> algorithm
	servers  map[string]server   // "<backend>/<server>"
	entries  map[string][]string // of the map: values by name, more than one where it stands there twice
}

func (x *External) running(ctx context.Context) (now running, err error) {
	if now.balances, err = x.process.runningBalances(ctx); err != nil {
		return now, err
	}
	if now.servers, err = x.process.runningServers(ctx); err != nil {
		return now, err
	}
	now.entries, err = x.runningEntries(ctx)
	return now, err
}

func (x *External) runningEntries(ctx context.Context) (map[string][]string, error) {
	reply, err := x.process.socket.ask(ctx, "show", "map", x.o.Map)
	if err != nil {
		return nil, err
	}
	if reply == unknownMap {
		return nil, executors.Errorf(executors.Conflict, "haproxy: the running process has no map %s; %s", x.o.Map, x.wayIn())
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
