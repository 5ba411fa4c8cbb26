package planner

import (
	"cmp"
	"slices"
)

// class is what becomes of a node in a plan. What is asked of a group asks the nodes of the first class first.
type class int

const (
	steady   class = iota // it is there and stays
	rolled                // it is there and will be replaced, in its turn
	fresh                 // it is made, and nothing speaks of it yet
	troubled              // it is gone, or in an unknown state: out of rotation, and made again
	down                  // it is there and can't be reached: out of rotation, and left alone
)

// renewed reports whether the container of a node that others speak of is made anew, and its filesystem lost.
func (c class) renewed() bool { return c == rolled || c == troubled }

// classify compares a node's container with the live one. The policy of all later decisions is in this one place.
func (x *expansion) classify(n *node, want Container) class {
	ref := want.Ref()
	why, dirty := x.live.Dirty[ref]
	have, there := x.live.State[ref]
	switch {
	case !there && !dirty && x.elsewhereAndWell(n):
		return rolled
	case !there && x.isElsewhere(n):
		return troubled
	case !there && !dirty && !x.index.occupied[n.name]:
		return fresh
	case !there || why.Gone:
		return troubled
	case dirty && why.Anew:
		return troubled
	case dirty && why.Pending != nil && (!InPlace(have, want) || !InPlace(why.Pending, want) || !InPlace(have, why.Pending)):
		return troubled
	case dirty && !x.agentThere(n): // its delete didn't finish
		return troubled
	case !InPlace(have, want) && (x.isDown(n.name) || !x.agentThere(n)):
		return troubled
	case !InPlace(have, want):
		return rolled
	case x.isDown(n.name):
		return down
	}
	return steady
}

// agentThere reports whether a node has its agent, or needs none.
func (x *expansion) agentThere(n *node) bool {
	ref := n.ready[0]
	return ref.Kind != KindAgent || x.live.State[ref] != nil && !x.live.Dirty[ref].Gone
}

func (x *expansion) isDown(node string) bool {
	_, is := x.live.Down[node]
	return is
}

// mayServe reports whether a node that is made again may be there all the same, and do what it did: what was to become of
// its container didn't finish, and nobody has seen that it is gone or doesn't answer.
func (x *expansion) mayServe(n *node) bool {
	if n.class != troubled || x.isDown(n.name) {
		return false
	}
	ref := Ref{KindContainer, n.host.Name, n.name}
	_, was := x.live.State[ref]
	return was && !x.live.Dirty[ref].Gone
}

// rank decides which nodes of a group count (a route needs its vhost on all of them): those that serve or are about to.
// Where there is none, those that will be made again, else all.
func (g *group) rank() {
	g.best = slices.Clone(g.nodes)
	slices.SortStableFunc(g.best, func(a, b *node) int { return cmp.Compare(a.class, b.class) })
	for _, worst := range []class{fresh, troubled, down} {
		for _, n := range g.nodes {
			if n.class <= worst {
				g.serving = append(g.serving, n)
			}
		}
		if len(g.serving) > 0 {
			break
		}
	}
	slices.SortFunc(g.serving, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}

// serves reports whether a node counts.
func (g *group) serves(n *node) bool { return slices.Contains(g.serving, n) }

// InContainer reports whether an object is in the filesystem of a node's container: it is gone when the container was
// deleted, replaced or made again. The inventory marks it absent in the transaction that ends such a change. What is on
// a volume or in a database stays: webroots, databases and Valkey instances with their users, zones, RRsets, the agent.
func InContainer(node string, o Object) bool {
	ref := o.Ref()
	return ref.Target == node && ref.Kind.inContainer()
}

func (k Kind) inContainer() bool {
	switch k {
	case KindSecret, KindUser, KindRuntime, KindVhost, KindCron, KindCert, KindBackend, KindServer, KindRoute:
		return true
	}
	return false
}
