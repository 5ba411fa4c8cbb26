package faults

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"hostctl/agent/identity"
	"hostctl/executors"
	"hostctl/executors/docker"
	"hostctl/executors/remote"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
)

// check compares what is really there with what should be, and reads the journal. hostd must be converged.
func (w *world) check(after string) {
	w.t.Helper()
	live := w.live()
	var wrong []string
	wrong = append(wrong, w.checkObserved(live)...)
	wrong = append(wrong, w.checkEngine(live)...)
	wrong = append(wrong, w.checkMaps(live)...)
	wrong = append(wrong, w.checkNames(live)...)
	wrong = append(wrong, w.checkStatuses()...)
	if out, err := w.Hostctl(w.t.Context(), "plan", "-C", w.Clone()); err != nil || !strings.HasPrefix(out, "No changes") {
		wrong = append(wrong, fmt.Sprintf("the next plan is not empty: %v\n%s", err, out))
	}
	for _, text := range wrong {
		w.t.Errorf("after %s: %s", after, text)
	}
}

// live is what the inventory says is there.
func (w *world) live() planner.Live {
	w.t.Helper()
	if w.store == nil {
		store, err := inventory.Open(w.t.Context(), filepath.Join(w.State(), "inventory.db"))
		must(w.t, err)
		w.store = store
	}
	live, err := w.store.Live(w.t.Context())
	must(w.t, err)
	return live
}

// checkObserved compares what the inventory has with what all far sides observe, object by object, both ways.
func (w *world) checkObserved(live planner.Live) (wrong []string) {
	w.t.Helper()
	held, err := w.observe(live)
	if err != nil {
		return []string{err.Error()}
	}
	for ref, o := range live.State {
		is, ok := held[ref]
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s is in the inventory and not there", ref))
		case planner.HashOf(is) != planner.HashOf(o):
			wrong = append(wrong, fmt.Sprintf("%s is there as\n%s\nand not as\n%s", ref, planner.Encode(is), planner.Encode(o)))
		}
	}
	for ref := range held {
		if live.State[ref] == nil {
			wrong = append(wrong, fmt.Sprintf("%s is there and not in the inventory", ref))
		}
	}
	for ref, why := range live.Dirty {
		wrong = append(wrong, fmt.Sprintf("%s is dirty: %s", ref, why.Text))
	}
	for node, why := range live.Down {
		wrong = append(wrong, fmt.Sprintf("node %s is down: %s", node, why))
	}
	slices.Sort(wrong)
	return wrong
}

// observe asks every engine and every agent what is there.
func (w *world) observe(live planner.Live) (planner.State, error) {
	w.t.Helper()
	ca, err := identity.Open(filepath.Join(w.State(), "ca"))
	must(w.t, err)
	me, err := ca.Controller(live.Instance)
	must(w.t, err)
	held := planner.State{}
	for _, t := range live.Targets {
		if t.Address != "" && !hasContainer(live, t.Name) {
			continue // the plan that took the node away still knew it
		}
		far, err := connect(ca, me, live.Instance, t)
		must(w.t, err)
		if far == nil {
			continue
		}
		objects, err := far.Observe(w.t.Context())
		must(w.t, far.Close())
		if err != nil {
			return nil, fmt.Errorf("observe %s: %w", t.Name, err)
		}
		for _, o := range objects {
			held[o.Ref()] = o
		}
	}
	return held, nil
}

func hasContainer(live planner.Live, node string) bool {
	for ref := range live.State {
		if ref.Kind == planner.KindContainer && ref.Name == node {
			return true
		}
	}
	return false
}

// observer is a far side that is only looked at.
type observer interface {
	executors.Observer
	io.Closer
}

// connect returns the far side of a target; nil for one that is a group of others.
func connect(ca *identity.CA, me tls.Certificate, instance string, t planner.Target) (observer, error) {
	switch {
	case t.Docker != nil:
		engine, err := docker.Dial(*t.Docker)
		if err != nil {
			return nil, err
		}
		return docker.New(engine, docker.Options{Target: t.Name, Instance: instance}), nil
	case t.Address != "":
		secure, err := ca.ClientTLS(me, instance, t.Name)
		if err != nil {
			return nil, err
		}
		return remote.Dial(remote.Options{Address: t.Address, Node: t.Name, TLS: secure, Instance: instance})
	}
	return nil, nil
}

// checkEngine asks Docker itself for all that carries the instance's label, what doesn't run included.
func (w *world) checkEngine(live planner.Live) (wrong []string) {
	w.t.Helper()
	want := map[string][]string{}
	for ref := range live.State {
		name := ref.Name + "." + live.Instance[:8]
		switch ref.Kind {
		case planner.KindContainer, planner.KindNetwork, planner.KindVolume:
			want[string(ref.Kind)] = append(want[string(ref.Kind)], name)
		}
	}
	for kind, have := range w.engine(live.Instance) {
		have = slices.DeleteFunc(have, func(name string) bool { return strings.HasSuffix(name, ".kept") })
		slices.Sort(have)
		slices.Sort(want[kind])
		if !slices.Equal(have, want[kind]) {
			wrong = append(wrong, fmt.Sprintf("Docker has the %ss %q, want %q", kind, have, want[kind]))
		}
	}
	return wrong
}

// engine returns the names of the containers, networks and volumes of an instance.
func (w *world) engine(instance string) map[string][]string {
	w.t.Helper()
	var containers []struct{ Names []string }
	var networks []struct{ Name string }
	var volumes struct{ Volumes []struct{ Name string } }
	w.ask("/containers/json?all=1&", instance, &containers)
	w.ask("/networks?", instance, &networks)
	w.ask("/volumes?", instance, &volumes)
	names := map[string][]string{"container": {}, "network": {}, "volume": {}}
	for _, c := range containers {
		names["container"] = append(names["container"], strings.TrimPrefix(c.Names[0], "/"))
	}
	for _, n := range networks {
		names["network"] = append(names["network"], n.Name)
	}
	for _, v := range volumes.Volumes {
		names["volume"] = append(names["volume"], v.Name)
	}
	return names
}

const engineSocket = "/var/run/docker.sock"

var engineClient = http.Client{Transport: &http.Transport{DialContext: dialEngine}}

// ask lists what carries an instance's label.
func (w *world) ask(path, instance string, into any) {
	w.t.Helper()
	filter, err := json.Marshal(map[string][]string{"label": {"hostctl.instance=" + instance}})
	must(w.t, err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://docker"+path+"filters="+url.QueryEscape(string(filter)), nil)
	must(w.t, err)
	resp, err := engineClient.Do(req)
	must(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	must(w.t, json.NewDecoder(resp.Body).Decode(into))
}

// checkMaps compares the map's file in each load balancer, the map of the running process and the routes: each host name
// is in each once.
func (w *world) checkMaps(live planner.Live) (wrong []string) {
	w.t.Helper()
	want := map[string][]string{}
	for ref := range live.State {
		if ref.Kind == planner.KindRoute {
			want[ref.Target] = append(want[ref.Target], ref.Name)
		}
	}
	const file = "/etc/haproxy/maps/hosts.map"
	for lb, names := range want {
		slices.Sort(names)
		inFile := keys(w.readIn(lb, file), 0)
		running := keys(w.askHAProxy(lb, "show map "+file), 1)
		if !slices.Equal(inFile, names) || !slices.Equal(running, names) {
			wrong = append(wrong, fmt.Sprintf("%s has in its file\n%q\nand running\n%q\nwant\n%q", lb, inFile, running, names))
		}
	}
	return wrong
}

// inside returns where a node's file is seen from here.
func (w *world) inside(node, file string) string {
	w.t.Helper()
	var c struct{ State struct{ Pid int } }
	w.ask("/containers/"+w.container(node)+"/json?", "", &c)
	return filepath.Join("/proc", strconv.Itoa(c.State.Pid), "root", file)
}

// container returns what a node is called in Docker.
func (w *world) container(node string) string { return node + "." + w.instance[:8] }

func (w *world) readIn(node, file string) string {
	w.t.Helper()
	b, err := os.ReadFile(w.inside(node, file))
	must(w.t, err)
	return string(b)
}

// askHAProxy gives the running process of a load balancer a command.
func (w *world) askHAProxy(node, command string) string {
	w.t.Helper()
	c, err := net.Dial("unix", w.inside(node, "/run/haproxy/admin.sock"))
	must(w.t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte(command + "\n"))
	must(w.t, err)
	b, err := io.ReadAll(c)
	must(w.t, err)
	return string(b)
}

// keys returns the host names of a map as text, in that column, sorted. Our own marks aren't host names.
func keys(text string, column int) []string {
	var names []string
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) > column+1 && f[0] != "#" && !strings.HasSuffix(f[column], ".invalid") {
			names = append(names, f[column])
		}
	}
	slices.Sort(names)
	return names
}

// checkNames asks the name server for every RRset of type A.
func (w *world) checkNames(live planner.Live) (wrong []string) {
	w.t.Helper()
	for _, o := range live.State {
		r, ok := o.(planner.RRset)
		if !ok || r.Type != "A" {
			continue
		}
		answer, err := w.at.Resolve(w.t.Context(), r.FQDN, dns.TypeA)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		var got []string
		for line := range strings.Lines(answer) {
			f := strings.Fields(line)
			got = append(got, f[len(f)-1])
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(r.Values)); !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("DNS says that %s is %q, want %q", r.FQDN, got, want))
		}
	}
	return wrong
}

// checkStatuses reads all that the inventory says of runs, changes and objects. Once all is as it should be, nothing of
// them is dirty.
func (w *world) checkStatuses() (wrong []string) {
	w.t.Helper()
	const many = 10_000
	wrong, err := reconciler.Impossible(w.t.Context(), w.store, many)
	must(w.t, err)
	objects, err := w.store.Objects(w.t.Context())
	must(w.t, err)
	for _, o := range objects {
		if o.Dirty != "" || o.Error != "" {
			wrong = append(wrong, fmt.Sprintf("%s is dirty: %s: %s", o.Ref, o.Dirty, o.Error))
		}
	}
	return wrong
}
