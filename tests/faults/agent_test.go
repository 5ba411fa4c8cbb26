package faults

import (
	"strings"
	"testing"
)

// nodes are those of the demo that have an agent with something to do, and where its fault points are told.
var nodes = []string{"web-1-0", "web-1-1", "eu-1-lb-0", "eu-1-dns-0"}

func (w *world) halts(node string) halts {
	return halts{w.t, w.inside(node, "/run/hostctl-faults")}
}

// TestG04_AgentKilledAtEveryPointOfAnEdit kills a node's agent before it has done what it is told, and after that but
// before it has noted or answered it. s6 starts it again, and the edit must come to its end.
func TestG04_AgentKilledAtEveryPointOfAnEdit(t *testing.T) {
	t.Parallel()
	w := built(t)
	load := w.startLoad()
	kills, known := 0, 0
	for _, e := range edits[:3] { // in the others the nodes themselves go away
		do, undo := w.listOfAgents(e)
		known += len(do.points) + len(undo.points)
		for _, pair := range pairs(sample(e.name, do.points, e.points/3), sample("undo "+e.name, undo.points, e.points/3)) {
			id := w.nextID()
			for i, s := range []step{do, undo} {
				kills += w.agentKilledAt(s, id, pair[i], load)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	load.end(w)
	t.Logf("agents were killed %d times at %d known points of 3 edits done and undone", kills, known)
}

// listOfAgents is list, with the points that agents pass.
func (w *world) listOfAgents(e edit) (do, undo step) {
	w.t.Helper()
	do, undo = step{edit: e}, step{edit: e, undo: true}
	id := w.nextID()
	for _, s := range []*step{&do, &undo} {
		for _, n := range nodes {
			w.halts(n).record()
		}
		s.take(w, id)
		w.settled()
		for _, n := range nodes {
			for _, p := range w.halts(n).passed() {
				s.points = append(s.points, strings.ReplaceAll(p, id, "ID"))
			}
		}
	}
	return do, undo
}

// agentKilledAt takes a step and kills the agent that comes to a point of it; "" lets all run.
func (w *world) agentKilledAt(s step, id, point string, load *load) int {
	w.t.Helper()
	if point == "" {
		s.take(w, id)
		w.settled()
		return 0
	}
	point = strings.ReplaceAll(point, "ID", id)
	node := strings.Fields(point)[2] // apply on NODE ...
	what := s.String() + ", agent killed at: " + point
	h := w.halts(node)
	h.arm(point)
	s.take(w, id)
	h.wait(point)
	w.signal(node, "node-agent", "-k")
	h.disarm()
	w.right(what)
	w.check(what)
	load.wantNone(w, what)
	w.t.Logf("%s: came right", what)
	return 1
}

// signal controls a service of a node as s6-svc(1) does: -k kills it, and it is started again; -d takes it down, -u up.
func (w *world) signal(node, service, how string) {
	w.t.Helper()
	w.run("docker", "exec", w.container(node), "s6-svc", how, "/run/service/"+service)
}
