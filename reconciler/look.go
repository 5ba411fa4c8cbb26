package reconciler

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hostctl/executors"
	"hostctl/planner"
)

// Pinger is the ability of an agent's executor to say that the agent answers.
type Pinger interface {
	Ping(ctx context.Context) error
}

const (
	lookTimeout = 5 * time.Second // how long one far side is waited for
	lookAtOnce  = 16              // far sides that are asked at a time
)

// Seen is what a look at the far sides has found.
type Seen struct {
	Busy  bool              // a run was under way, which is a difference by itself: nothing was recorded
	Moved bool              // something was recorded that changes the next plan
	Down  map[string]string // nodes that can't be reached, with the reason
}

// Look compares what the targets really hold with the inventory and records the difference: containers that are gone,
// nodes that don't answer. Without targets it looks at those that were applied last.
func (r *Reconciler) Look(ctx context.Context, targets []planner.Target) (Seen, error) {
	before, err := r.latest(ctx)
	if err != nil || running(before) {
		return Seen{Busy: true}, err
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return Seen{}, fmt.Errorf("read inventory: %w", err)
	}
	if len(targets) == 0 {
		targets = live.Targets
	}
	held := r.observeEngines(ctx, live.Instance, targets)
	found := compareEngines(live, held)
	down := r.probe(ctx, live, targets, held)
	if ctx.Err() != nil {
		return Seen{}, ctx.Err() // nobody answers one who has stopped asking
	}
	after, err := r.latest(ctx)
	if err != nil || after.ID != before.ID {
		return Seen{Busy: true}, err
	}
	return r.record(ctx, r.correctable(ctx, live, before.Commit, found), down)
}

// latest returns the run that was begun last, the zero Run where there was none.
func (r *Reconciler) latest(ctx context.Context) (Run, error) {
	runs, err := r.Inventory.Runs(ctx, 1)
	if err != nil {
		return Run{}, fmt.Errorf("read the latest run: %w", err)
	}
	if len(runs) == 0 {
		return Run{}, nil
	}
	return runs[0], nil
}

func running(r Run) bool { return r.State == Running && r.Deadline.After(time.Now()) }

// observeEngines returns what each Docker host holds. One that can't be observed isn't in the answer: what can't be read
// is never read as empty.
func (r *Reconciler) observeEngines(ctx context.Context, instance string, targets []planner.Target) map[string]planner.State {
	var (
		mu   sync.Mutex
		all  errgroup.Group
		held = map[string]planner.State{}
	)
	all.SetLimit(lookAtOnce)
	for _, t := range targets {
		if t.Docker == nil {
			continue
		}
		all.Go(func() error {
			state, err := r.observe(ctx, t, instance)
			if err != nil {
				r.Log.Warn("engine can't be observed", "host", t.Name, "error", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			held[t.Name] = state
			return nil
		})
	}
	_ = all.Wait() // none returns an error
	return held
}

// difference is what was found on one Docker host.
type difference struct {
	host      string
	missing   []planner.Ref
	differing []planner.Ref // an engine can change it back
	altered   []planner.Ref // it has to be made anew
}

// compareEngines compares every host that could be observed with the inventory, in the order of their names.
func compareEngines(live planner.Live, held map[string]planner.State) []difference {
	var found []difference
	for _, host := range slices.Sorted(maps.Keys(held)) {
		found = append(found, compareHeld(live, host, held[host]))
	}
	return found
}

// record writes down what a look has found.
func (r *Reconciler) record(ctx context.Context, found []difference, down map[string]string) (Seen, error) {
	seen := Seen{Down: down}
	for _, d := range found {
		gone, err := r.Inventory.Gone(ctx, d.missing, "not on the host any more")
		if err != nil {
			return seen, fmt.Errorf("record what is gone: %w", err)
		}
		altered, err := r.Inventory.Gone(ctx, d.altered, whyAltered)
		if err != nil {
			return seen, fmt.Errorf("record what has to be made anew: %w", err)
		}
		drifted, err := r.Inventory.Drifted(ctx, d.differing, "differs on the host")
		if err != nil {
			return seen, fmt.Errorf("record drift: %w", err)
		}
		if gone+altered+drifted > 0 {
			seen.Moved = true
			r.Log.Info("drift", "host", d.host, "gone", names(d.missing), "altered", names(d.altered), "differing", names(d.differing))
		}
	}
	changed, err := r.Inventory.SetDown(ctx, down)
	if err != nil {
		return seen, fmt.Errorf("record nodes that are down: %w", err)
	}
	seen.Moved = seen.Moved || changed
	return seen, nil
}

func (r *Reconciler) observe(ctx context.Context, t planner.Target, instance string) (planner.State, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	far, err := r.Connect(t, Session{Instance: instance})
	if err != nil {
		return nil, err
	}
	defer done(far)
	observer, ok := far.(executors.Observer)
	if !ok {
		return nil, fmt.Errorf("target %s can't be observed", t.Name)
	}
	objects, err := observer.Observe(ctx)
	if err != nil {
		return nil, err
	}
	held := make(planner.State, len(objects))
	for _, o := range objects {
		held[o.Ref()] = o
	}
	return held, nil
}

// compareHeld returns what live has on a Docker host that isn't held there, with what was stored on a volume that isn't,
// and what is held differently. Objects that a change left unfinished are the next plan's business already, unless that
// change can't be made.
func compareHeld(live planner.Live, host string, held planner.State) difference {
	d := difference{host: host}
	for ref, o := range live.State {
		if ref.Target != host || !engineHolds(ref.Kind) {
			continue
		}
		why, dirty := live.Dirty[ref]
		switch there, ok := held[ref]; {
		case dirty && (!ok || why.Gone || planner.InPlace(there, o) || why.Pending != nil && planner.InPlace(there, why.Pending)):
		case !ok:
			d.missing = append(d.missing, ref)
		case ref.Kind != planner.KindContainer:
		case !planner.InPlace(there, o):
			d.altered = append(d.altered, ref)
		case planner.HashOf(there) != planner.HashOf(o):
			d.differing = append(d.differing, ref)
		}
	}
	d.missing = append(d.missing, storedOn(live, d.missing)...)
	for _, refs := range [][]planner.Ref{d.missing, d.altered, d.differing} {
		slices.SortFunc(refs, planner.Ref.Compare)
	}
	d.missing = slices.Compact(d.missing)
	return d
}

// storedOn returns what live has on the volumes among what is missing, as far as it isn't known to be gone.
func storedOn(live planner.Live, missing []planner.Ref) []planner.Ref {
	volumes := slices.DeleteFunc(slices.Clone(missing), func(ref planner.Ref) bool { return ref.Kind != planner.KindVolume })
	return slices.DeleteFunc(planner.OnVolumes(live.State, volumes), func(ref planner.Ref) bool { return live.Dirty[ref].Gone })
}

func engineHolds(k planner.Kind) bool {
	return k == planner.KindNetwork || k == planner.KindVolume || k == planner.KindContainer
}

// probe asks every node's agent for a sign of life and returns those that give none. A node without a container is not
// down but gone: the next plan makes it. A node that was down before keeps its reason, so that the inventory doesn't move
// with every turn of phrase.
func (r *Reconciler) probe(ctx context.Context, live planner.Live, targets []planner.Target, held map[string]planner.State) map[string]string {
	var (
		mu   sync.Mutex
		all  errgroup.Group
		down = map[string]string{}
	)
	all.SetLimit(lookAtOnce)
	there := agents(live, held)
	for _, t := range targets {
		if t.Address == "" || !there[t.Name] {
			continue
		}
		all.Go(func() error {
			err := r.ping(ctx, t, live.Instance)
			if err == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			down[t.Name] = cmp.Or(live.Down[t.Name], err.Error())
			return nil
		})
	}
	_ = all.Wait() // none returns an error
	return down
}

// agents returns the nodes on which an agent was put, and whose container is not known to be gone: not held by its engine,
// whether a change left it unfinished or not.
func agents(live planner.Live, held map[string]planner.State) map[string]bool {
	nodes := map[string]bool{}
	for ref := range live.State {
		if ref.Kind != planner.KindAgent || live.Dirty[ref].Gone {
			continue
		}
		container := planner.Ref{Kind: planner.KindContainer, Target: ref.Target, Name: ref.Name}
		engine, observed := held[ref.Target]
		if !live.Dirty[container].Gone && (!observed || engine[container] != nil) {
			nodes[ref.Name] = true
		}
	}
	return nodes
}

func (r *Reconciler) ping(ctx context.Context, t planner.Target, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	far, err := r.Connect(t, Session{Instance: instance})
	if err != nil {
		return err
	}
	defer done(far)
	if p, ok := far.(Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func names(refs []planner.Ref) string {
	s := make([]string, len(refs))
	for i, r := range refs {
		s[i] = r.String()
	}
	return strings.Join(s, " ")
}
