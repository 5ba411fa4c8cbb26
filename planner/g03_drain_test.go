package planner_test

import (
	"testing"

	"hostctl/planner"
)

// A route waits until the nodes that can't have its vhost are out of rotation: where the load balancer doesn't take them out,
// the name isn't led to them.
func TestG03_RouteWaitsForADrain(t *testing.T) {
	out := planner.Ref{Kind: planner.KindServer, Target: "eu-1-lb-0", Name: "web-1/web-1-1"}
	route := planner.Ref{Kind: planner.KindRoute, Target: "eu-1-lb-0", Name: "b.z.test"}
	w, wish := newWorld(), firstWish()
	carryOut(t, w, &wish, 1, nil)
	wish.names["b.z.test"] = [2]string{"acme", "blog"}
	w.live.Down["web-1-1"] = "no answer"
	carryOut(t, w, &wish, 2, map[planner.Ref]fault{out: failsBefore})
	if w.real[route] != nil {
		t.Errorf("%s is there while the node that lacks its vhost is in rotation", route)
	}
	carryOut(t, w, &wish, 3, nil)
	if w.real[route] == nil {
		t.Errorf("%s isn't made when the node is out of rotation", route)
	}
}

// A node that leaves while the one that stays is made again, and comes into rotation only when names have moved from it: the
// node goes after its servers did.
func TestG03_NodeLeavesAfterItsServers(t *testing.T) {
	w, wish := newWorld(), firstWish()
	wish.nodes["web-2"] = 1
	carryOut(t, w, &wish, 1, nil)
	wish.home["acme"] = "web-2"
	wish.nodes["web-1"] = 1
	w.kill("web-1-0")
	carryOut(t, w, &wish, 2, nil)
	if p := plan(t, w, wish.manifest(2)); !p.Empty() {
		t.Errorf("not empty:\n%s", describe(p))
	}
}
