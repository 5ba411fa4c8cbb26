package planner_test

import (
	"maps"
	"slices"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// onTwoHosts is a platform whose second host has load balancers and name servers alone.
func onTwoHosts(w *wish, commit int, host2 func(*schema.Host)) schema.Manifest {
	m := w.manifest(commit)
	m.Hosts[1].Roles = []schema.Role{schema.RoleLB, schema.RoleDNS}
	m.NodeProfiles[2].Ports = append(m.NodeProfiles[2].Ports, schema.Port{Name: "https", Container: 443, Protocol: "tcp"})
	if host2 != nil {
		host2(&m.Hosts[1])
	}
	return m
}

// A host that is lost is asked nothing: what was there is made elsewhere, and nothing on it is remembered.
func TestG04_LostHost(t *testing.T) {
	w, wish := newWorld(), firstWish()
	wish.lbs, wish.dns = 2, 2
	m := onTwoHosts(&wish, 1, nil)
	w.manifest = m
	w.run(plan(t, w, m), nobodyFails)
	var lost []string
	for ref := range w.live.State {
		if ref.Kind == planner.KindContainer && ref.Target == "host-2" {
			lost = append(lost, ref.Name)
		}
	}
	if len(lost) == 0 {
		t.Fatal("nothing is on host-2")
	}
	for _, node := range lost { // with the host, and nobody has seen it
		w.killed[node] = true
		w.live.Down[node] = "no answer"
		delete(w.service, node)
		empty(w.real, node)
	}
	maps.DeleteFunc(w.real, func(ref planner.Ref, _ planner.Object) bool { return ref.Target == "host-2" })

	m = onTwoHosts(&wish, 2, func(h *schema.Host) { h.Lost = true })
	w.manifest = m
	p := plan(t, w, m)
	if i := slices.IndexFunc(p.Targets, func(t planner.Target) bool { return t.Name == "host-2" }); i < 0 || !p.Targets[i].Lost || p.Targets[i].Docker != nil {
		t.Errorf("host-2 is asked: %+v", p.Targets[i])
	}
	clear(w.live.Down) // what is made anew answers
	w.run(p, nobodyFails)
	for _, node := range lost {
		if w.container(node) == nil {
			t.Errorf("%s isn't made anew", node)
		}
	}
	for ref := range w.live.State {
		if ref.Target == "host-2" {
			t.Errorf("%s is remembered", ref)
		}
	}
	if p := plan(t, w, m); !p.Empty() {
		t.Errorf("not empty:\n%s", describe(p))
	}
	for _, b := range w.broken {
		t.Error(b)
	}
}

func nobodyFails(planner.Change) fault { return fine }
