package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Pinger is the ability of an agent's executor to say that the agent answers.
type Pinger interface {
	Ping(ctx context.Context) error
}

// lookTimeout bounds how long one far side is waited for.
const lookTimeout = 5 * time.Second

// Look compares what the targets really hold with the inventory and records the difference: containers that are gone,
// nodes that don't answer. It reports whether the next plan will differ for it. While a run is under way it does nothing,
// for a run is a difference.
func (r *Reconciler) Look(ctx context.Context, targets []planner.Target) (bool, error) {
	if busy, err := r.running(ctx); busy || err != nil {
		return false, err
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return false, fmt.Errorf("read inventory: %w", err)
	}
	moved, gone, err := r.lookAtEngines(ctx, live, targets)
	if err != nil {
		return moved, err
	}
	changed, err := r.Inventory.SetDown(ctx, r.probe(ctx, live, targets, gone))
	if err != nil {
		return moved, fmt.Errorf("record nodes that are down: %w", err)
	}
	return moved || changed, nil
}

func (r *Reconciler) running(ctx context.Context) (bool, error) {
	runs, err := r.Inventory.Runs(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("read the latest run: %w", err)
	}
	return len(runs) == 1 && runs[0].State == Running && runs[0].Deadline.After(time.Now()), nil
}

// lookAtEngines marks what Docker engines no longer hold. It returns the nodes whose container is gone.
func (r *Reconciler) lookAtEngines(ctx context.Context, live planner.Live, targets []planner.Target) (moved bool, gone map[string]bool, err error) {
	gone = map[string]bool{}
	for _, t := range targets {
		if t.Docker == nil {
			continue
		}
		held, err := r.observe(ctx, t, live.Instance)
		if err != nil {
			r.Log.Warn("engine can't be observed", "host", t.Name, "error", err)
			continue // what can't be read is never read as empty
		}
		missing, differing := compareHeld(live, t.Name, held)
		for _, ref := range missing {
			if ref.Kind == planner.KindContainer {
				gone[ref.Name] = true
			}
		}
		n, err := r.Inventory.Gone(ctx, missing, "not on the host any more")
		if err != nil {
			return moved, gone, fmt.Errorf("record what is gone: %w", err)
		}
		d, err := r.Inventory.Drifted(ctx, differing, "differs on the host")
		if err != nil {
			return moved, gone, fmt.Errorf("record drift: %w", err)
		}
		if n+d > 0 {
			moved = true
			r.Log.Info("drift", "host", t.Name, "gone", names(missing), "differing", names(differing))
		}
	}
	return moved, gone, nil
}

func (r *Reconciler) observe(ctx context.Context, t planner.Target, instance string) (planner.State, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	far, err := r.Connect(t, Session{Instance: instance})
	if err != nil {
		return nil, err
	}
	defer closeFar(far)
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

// compareHeld returns what live has on a Docker host that isn't held there, and what is held differently. Objects that
// a change left unfinished are the next plan's business already.
func compareHeld(live planner.Live, host string, held planner.State) (missing, differing []planner.Ref) {
	for ref, o := range live.State {
		if _, dirty := live.Dirty[ref]; dirty || ref.Target != host || !engineHolds(ref.Kind) {
			continue
		}
		switch there, ok := held[ref]; {
		case !ok:
			missing = append(missing, ref)
		case ref.Kind == planner.KindContainer && planner.HashOf(there) != planner.HashOf(o):
			differing = append(differing, ref)
		}
	}
	slices.SortFunc(missing, planner.Ref.Compare)
	slices.SortFunc(differing, planner.Ref.Compare)
	return missing, differing
}

func engineHolds(k planner.Kind) bool {
	return k == planner.KindNetwork || k == planner.KindVolume || k == planner.KindContainer
}

// probe asks every node's agent for a sign of life and returns those that give none. A node without a container is not
// down but gone: the next plan makes it.
func (r *Reconciler) probe(ctx context.Context, live planner.Live, targets []planner.Target, gone map[string]bool) map[string]string {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		down = map[string]string{}
	)
	there := agents(live)
	for _, t := range targets {
		if t.Address == "" || gone[t.Name] || !there[t.Name] {
			continue
		}
		wg.Go(func() {
			if err := r.ping(ctx, t, live.Instance); err != nil {
				mu.Lock()
				defer mu.Unlock()
				down[t.Name] = err.Error()
			}
		})
	}
	wg.Wait()
	return down
}

// agents returns the nodes on which an agent was put and is not known to be gone.
func agents(live planner.Live) map[string]bool {
	nodes := map[string]bool{}
	for ref := range live.State {
		if ref.Kind == planner.KindAgent && !live.Dirty[ref].Gone && !live.Dirty[planner.Ref{Kind: planner.KindContainer, Target: ref.Target, Name: ref.Name}].Gone {
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
	defer closeFar(far)
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
