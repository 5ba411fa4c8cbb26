package haproxy

import (
	"maps"
	"slices"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// server is what HAProxy knows of a node.
type server struct {
	address string // host:port
	state   planner.ServerState
}

// model is all that is ours in a load balancer.
type model struct {
	head     string            // the image's sections, kept as they are
	backends map[string]string // name -> balance
	servers  map[string]server // "<backend>/<node>"
	routes   table
	certs    certs
}

// balanceHost is the one way of balancing there is: consistent hashing on the host name.
const balanceHost = "host"

func (m model) clone() model {
	m.backends, m.servers, m.routes, m.certs = maps.Clone(m.backends), maps.Clone(m.servers), maps.Clone(m.routes), maps.Clone(m.certs)
	return m
}

// change carries one change out in the model, or says why it can't be.
func (e *Executor) change(m model, c planner.Change) error {
	o, ok := object(c).(planner.Cert)
	switch {
	case !ok:
		return m.change(c)
	case c.New != nil:
		return e.stageCert(m, o)
	}
	if err := checkHost(o.Name); err != nil {
		return err
	}
	delete(m.certs, o.Name)
	return nil
}

func (m model) change(c planner.Change) error {
	switch o := object(c).(type) {
	case planner.Backend:
		if c.New == nil {
			return m.removeBackend(o.Name)
		}
		return m.putBackend(o)
	case planner.Server:
		if err := checkServer(o); err != nil {
			return err
		}
		if c.New == nil {
			delete(m.servers, o.Name)
			return nil
		}
		return m.putServer(o)
	case planner.Route:
		if err := checkHost(o.Name); err != nil {
			return err
		}
		if c.New == nil {
			delete(m.routes, o.Name)
			return nil
		}
		return m.putRoute(o)
	}
	return executors.Errorf(executors.Refused, "%s: a load balancer has certificates, backends, servers and routes only", c.Ref())
}

// object is what a change is about.
func object(c planner.Change) planner.Object {
	if c.New != nil {
		return c.New
	}
	return c.Old
}

func (m model) putBackend(o planner.Backend) error {
	if err := checkBackend("backend", o.Name); err != nil {
		return err
	}
	if o.Balance != balanceHost {
		return executors.Errorf(executors.Refused, "backend %s: balance %s: want %q", o.Name, quote(o.Balance), balanceHost)
	}
	m.backends[o.Name] = o.Balance
	return nil
}

func (m model) removeBackend(name string) error {
	if err := checkBackend("backend", name); err != nil {
		return err
	}
	for _, host := range slices.Sorted(maps.Keys(m.routes)) {
		if host != instanceKey && backendOf(m.routes[host]) == name {
			return executors.Errorf(executors.Refused, "remove backend %s: %s still leads to it", name, host)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(m.servers)) {
		if backend, _, _ := strings.Cut(s, "/"); backend == name {
			return executors.Errorf(executors.Refused, "remove backend %s: it still has server %s", name, s)
		}
	}
	delete(m.backends, name)
	return nil
}

func checkServer(o planner.Server) error {
	if err := checkBackend("backend", o.Backend); err != nil {
		return err
	}
	if err := checkBackend("node", o.Node); err != nil {
		return err
	}
	if o.Name != o.Backend+"/"+o.Node {
		return executors.Errorf(executors.Refused, "server %s: want it named %s/%s", quote(o.Name), o.Backend, o.Node)
	}
	if err := checkAddress(o.Address); err != nil {
		return err
	}
	return checkState(o.State)
}

func (m model) putServer(o planner.Server) error {
	if m.backends[o.Backend] == "" {
		return executors.Errorf(executors.Refused, "server %s: there is no backend %s", o.Name, o.Backend)
	}
	m.servers[o.Name] = server{o.Address, o.State}
	return nil
}

func (m model) putRoute(o planner.Route) error {
	value, err := routeValue(o)
	if err != nil {
		return err
	}
	// HAProxy takes such an entry, and sends the requests to default_backend.
	if o.Backend != "" && m.backends[o.Backend] == "" {
		return executors.Errorf(executors.Refused, "route %s: there is no backend %s", o.Name, o.Backend)
	}
	m.routes[o.Name] = value
	return nil
}

// order returns the changes' places in two steps: everything in an order in which each finds what it needs (removals
// first, downwards; then upwards), and removals of backends, which wait until nothing running leads there.
func order(cs []planner.Change) [][]int {
	rank := func(i int) int {
		rung, _ := cs[i].Ref().Kind.Rung()
		if cs[i].New == nil {
			return -rung
		}
		return rung
	}
	var first, last []int
	for i, c := range cs {
		if c.New == nil && c.Ref().Kind == planner.KindBackend {
			last = append(last, i)
		} else {
			first = append(first, i)
		}
	}
	slices.SortStableFunc(first, func(a, b int) int { return rank(a) - rank(b) })
	return [][]int{first, last}
}
