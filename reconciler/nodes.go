package reconciler

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	watchAgain    = time.Second      // after the watch of a node has ended, doubled up to watchAtLeast
	watchAtLeast  = 15 * time.Second // a node that doesn't answer is asked that often
	ordersSpacing = time.Second      // between two looks at what nodes there are, where nobody tells
)

// nodes is what a Loop knows of the nodes by their own reports.
type nodes struct {
	mu      sync.Mutex
	reports map[string]executors.Report
}

// NodeReports returns what each node that is watched has told last. What is in them must not be changed.
func (l *Loop) NodeReports() map[string]executors.Report {
	l.nodes.mu.Lock()
	defer l.nodes.mu.Unlock()
	return maps.Clone(l.nodes.reports)
}

// watch is one node that is followed, with what it was told.
type watch struct {
	target planner.Target
	policy schema.DriftPolicy
	end    context.CancelFunc
}

// watching follows every node of the last plan, and load balancers that hostctl hasn't made, until ctx is done: it hands each the drift policy of that plan's commit,
// and takes what it tells. It returns when no watch is left.
func (l *Loop) watching(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	watched := map[string]watch{}
	for {
		targets, policy := l.orders()
		there := map[string]planner.Target{}
		for _, t := range targets {
			if t.Address != "" || t.HAProxy != nil {
				there[t.Name] = t
			}
		}
		for name, w := range watched {
			if t, ok := there[name]; !ok || !sameSide(t, w.target) || !w.policy.Equal(policy) {
				w.end()
				delete(watched, name)
				l.forgetNode(name, ok)
			}
		}
		for name, t := range there {
			if _, ok := watched[name]; ok {
				continue
			}
			one, end := context.WithCancel(ctx)
			watched[name] = watch{t, policy, end}
			all.Go(func() { l.watchNode(one, t, policy) })
		}
		select {
		case <-ctx.Done():
			for _, w := range watched {
				w.end()
			}
			return
		case <-time.After(ordersSpacing):
		}
	}
}

// sameSide reports whether two targets of a name are one far side.
func sameSide(a, b planner.Target) bool {
	if a.HAProxy == nil || b.HAProxy == nil {
		return a.Address == b.Address && a.HAProxy == b.HAProxy
	}
	return *a.HAProxy == *b.HAProxy
}

// orders returns the targets of the last plan, and what becomes of drift there.
func (l *Loop) orders() ([]planner.Target, schema.DriftPolicy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.targets, l.policy
}

// watchNode follows one node, again and again: agents are restarted, and nodes replaced. A node that was heard and is so no
// more is looked at soon.
func (l *Loop) watchNode(ctx context.Context, t planner.Target, p schema.DriftPolicy) {
	pause := watchAgain
	for ctx.Err() == nil {
		heard, err := l.followNode(ctx, t, p)
		switch {
		case errors.Is(err, errNoReports):
			return
		case ctx.Err() != nil:
			return
		case heard:
			pause = watchAgain
			l.Reconciler.Log.Info("a node's reports have ended", "node", t.Name, "error", err)
			l.Look()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, watchAtLeast)
	}
}

// errNoReports says that a far side tells nothing by itself.
var errNoReports = errors.New("it makes no reports")

// followNode hands a node its orders and takes its reports until they end; heard is whether there was one.
func (l *Loop) followNode(ctx context.Context, t planner.Target, p schema.DriftPolicy) (heard bool, err error) {
	latest, err := l.Reconciler.latest(ctx)
	if err != nil {
		return false, err
	}
	instance, err := l.Reconciler.Inventory.Instance(ctx)
	if err != nil {
		return false, err
	}
	far, err := l.Reconciler.Connect(t, Session{Instance: instance})
	if err != nil {
		return false, err
	}
	defer done(far)
	reporter, ok := far.(executors.Reporter)
	if !ok {
		return false, errNoReports
	}
	var told atomic.Bool
	err = reporter.Watch(ctx, executors.Orders{Run: latest.ID, Policy: p}, func(r executors.Report) {
		told.Store(true)
		l.nodeTold(t.Name, r)
	})
	return told.Load(), err
}

// nodeTold takes a node's report. What the node couldn't put right, or was told not to, is looked at now.
func (l *Loop) nodeTold(node string, r executors.Report) {
	l.nodes.mu.Lock()
	before := l.nodes.reports[node]
	if l.nodes.reports == nil {
		l.nodes.reports = map[string]executors.Report{}
	}
	l.nodes.reports[node] = r
	l.nodes.mu.Unlock()

	l.tellHealth(node, before, r)
	known := map[planner.Ref]executors.NodeDrift{}
	for _, d := range before.Drift {
		known[d.Ref] = d
	}
	for _, d := range r.Drift {
		found := DriftDiffers
		if d.Gone {
			found = DriftGone
		}
		switch {
		case d.Healed:
			l.Reconciler.Log.Info("drift was put right by its node", "node", node, "ref", d.Ref.String(), "found", string(found))
		case known[d.Ref] != d:
			l.notice()
		}
	}
}

// tellHealth logs what has become of a node's parts.
func (l *Loop) tellHealth(node string, before, now executors.Report) {
	was := map[string]executors.Part{}
	for _, p := range before.Sick() {
		was[p.Name] = p
	}
	for _, p := range now.Health {
		_, sick := was[p.Name]
		switch {
		case !p.OK && !sick:
			l.Reconciler.Log.Warn("a part of a node isn't well", "node", node, "part", p.Name, "why", p.Message)
		case p.OK && sick:
			l.Reconciler.Log.Info("a part of a node is well again", "node", node, "part", p.Name)
		}
	}
}

// notice asks for a look at all that the far sides hold soon. It never blocks.
func (l *Loop) notice() {
	select {
	case l.channels().noticed <- struct{}{}:
	default:
	}
}

// forgetNode forgets what a node has told that is no longer there.
func (l *Loop) forgetNode(node string, there bool) {
	if there {
		return
	}
	l.nodes.mu.Lock()
	defer l.nodes.mu.Unlock()
	delete(l.nodes.reports, node)
}
