package reconciler_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// telling are nodes that make reports.
type telling struct {
	mu     sync.Mutex
	orders map[string][]executors.Orders
	tell   map[string]func(executors.Report)
	breaks map[string]context.CancelFunc
}

// tellingWorld is a sighted world whose nodes make reports, with a loop that looks only when it is asked to.
func tellingWorld(t testing.TB) (*world, *telling) {
	w := newWorld(t)
	n := &telling{orders: map[string][]executors.Orders{}, tell: map[string]func(executors.Report){}, breaks: map[string]context.CancelFunc{}}
	w.rec.Connect = func(t planner.Target, s reconciler.Session) (executors.Executor, error) {
		far, err := w.far.connect(t, s)
		if x, ok := far.(node); ok {
			return teller{sighted{x, nil}, n}, err
		}
		return far, err
	}
	return w, n
}

type teller struct {
	sighted
	n *telling
}

// Watch implements executors.Reporter.
func (t teller) Watch(ctx context.Context, o executors.Orders, tell func(executors.Report)) error {
	ctx, broken := context.WithCancel(ctx)
	defer broken()
	t.n.mu.Lock()
	t.n.orders[t.name] = append(t.n.orders[t.name], o)
	t.n.tell[t.name], t.n.breaks[t.name] = tell, broken
	t.n.mu.Unlock()
	tell(executors.Report{At: time.Now()})
	<-ctx.Done()
	return executors.Errorf(executors.Unreachable, "gone")
}

func (n *telling) of(name string) []executors.Orders {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.orders[name])
}

func (n *telling) say(name string, r executors.Report) {
	n.mu.Lock()
	tell := n.tell[name]
	n.mu.Unlock()
	tell(r)
}

// Each node is handed the drift policy, and again when it has changed.
func TestNodesAreHandedThePolicy(t *testing.T) {
	t.Parallel()
	w, n := tellingWorld(t)
	commit := w.push(minimal(t))
	l := run(t, w)
	l.converged(commit)
	for _, name := range []string{"web-1-0", "eu-1-lb-0", "eu-1-dns-0", "eu-1-db-0"} {
		until(t, name+" is watched", func() bool { return len(n.of(name)) > 0 })
		if o := n.of(name)[0]; o.Run == 0 || o.Policy.Of("vhost") != schema.DriftCorrect {
			t.Errorf("%s has orders %+v", name, o)
		}
	}
	next := w.push(with(t, minimal(t), "  hostmaster:", "  driftPolicy: {kinds: {vhost: report}}\n  hostmaster:"))
	l.converged(next)
	until(t, "web-1-0 knows the new policy", func() bool {
		o := n.of("web-1-0")
		return o[len(o)-1].Policy.Of("vhost") == schema.DriftReport && o[len(o)-1].Run > o[0].Run
	})
	until(t, "all nodes are known", func() bool { return len(l.Status().Nodes) == 4 })
}

// A node tells of drift that it didn't put right: hostd looks now, and not when it is time.
func TestNodesTellOfDrift(t *testing.T) {
	t.Parallel()
	w, n := tellingWorld(t)
	commit := w.push(minimal(t))
	l := run(t, w, func(l *reconciler.Loop) { l.ObserveEvery = time.Hour })
	l.converged(commit)
	until(t, "web-1-0 is watched", func() bool { return len(n.of("web-1-0")) > 0 })
	var lost planner.Ref
	for ref := range w.live().State {
		if ref.Kind == planner.KindVhost && ref.Target == "web-1-0" {
			lost = ref
		}
	}
	w.far.Lose(lost)
	n.say("web-1-0", executors.Report{At: time.Now(), Drift: []executors.NodeDrift{{Ref: lost, Gone: true, Why: "no room"}}})
	until(t, "it is put right", func() bool { return w.far.State()[lost] != nil })
}

// What isn't well on a node is in the status, until the node is gone.
func TestNodesTellOfHealth(t *testing.T) {
	t.Parallel()
	w, n := tellingWorld(t)
	commit := w.push(two(t))
	l := run(t, w)
	l.converged(commit)
	until(t, "web-1-1 is watched", func() bool { return len(n.of("web-1-1")) > 0 })
	n.say("web-1-1", executors.Report{At: time.Now(), Health: []executors.Part{{Name: "service/nginx", Message: "down"}, {Name: "memory", OK: true}}})
	sick := l.Status().Nodes["web-1-1"].Sick()
	if len(sick) != 1 || sick[0].Name != "service/nginx" {
		t.Errorf("the status tells of %+v", sick)
	}
	commit = w.push(with(t, two(t), "nodeCount: 2", "nodeCount: 1"))
	l.converged(commit)
	l.Wake() // the plan that removes a node still goes there; the next one doesn't
	until(t, "web-1-1 is forgotten", func() bool { _, is := l.Status().Nodes["web-1-1"]; return !is })
}

// A node whose reports end is looked at now: it may be gone.
func TestNodesFallSilent(t *testing.T) {
	t.Parallel()
	w, n := tellingWorld(t)
	commit := w.push(minimal(t))
	l := run(t, w)
	l.converged(commit)
	until(t, "web-1-0 is watched", func() bool { return len(n.of("web-1-0")) > 0 })
	w.far.silence("web-1-0")
	n.mu.Lock()
	n.breaks["web-1-0"]()
	n.mu.Unlock()
	until(t, "it is known to be down", func() bool { return strings.Contains(w.live().Down["web-1-0"], "no answer") })
}
