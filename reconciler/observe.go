package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Kinder is the ability of a node's executor to say which kinds of objects it observes. One without it observes all that
// aren't an engine's.
type Kinder interface {
	Kinds(ctx context.Context) ([]planner.Kind, error)
}

// ErrBusy says that a run is under way: what is there differs from what is recorded until it has ended.
var ErrBusy = errors.New("a run is under way; ask again when it has ended")

// observeTimeout is how long one far side may take to tell all that it holds.
const observeTimeout = 30 * time.Second

// Drift is Observe, and waits a while for a run to end.
func (r *Reconciler) Drift(ctx context.Context, targets []planner.Target) (Drift, error) {
	patience := time.After(driftWaits)
	for {
		d, err := r.Observe(ctx, targets)
		if !errors.Is(err, ErrBusy) {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-patience:
			return d, err
		case <-time.After(driftWaits / 100):
		}
	}
}

// Observe compares what targets really hold with the inventory, and writes nothing; without targets those that were
// applied last. A target that can't be read is in Unread, and nothing is said of what is there. It fails with ErrBusy
// where a run is under way, or was begun meanwhile.
func (r *Reconciler) Observe(ctx context.Context, targets []planner.Target) (Drift, error) {
	before, err := r.latest(ctx)
	if err != nil {
		return Drift{}, err
	}
	if running(before) {
		return Drift{}, ErrBusy
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return Drift{}, fmt.Errorf("read inventory: %w", err)
	}
	policy, err := r.policies(ctx, live, before.Commit)
	if err != nil {
		return Drift{}, err
	}
	live = live.LeaveAlone(policy.drift)
	if len(targets) > 0 {
		live.Targets = targets
	}
	s := r.observeAll(ctx, live, before.Commit)
	if ctx.Err() != nil {
		return Drift{}, ctx.Err()
	}
	after, err := r.latest(ctx)
	if err != nil {
		return Drift{}, err
	}
	if after.ID != before.ID {
		return Drift{}, ErrBusy
	}
	d := s.compare(live, policy)
	d.Looked, d.Commit, d.run = time.Now().UTC(), before.Commit, before.ID
	for i, f := range d.Found {
		d.Found[i].Fighting = r.drift.fightOf(f.Ref, f.declared)
	}
	return d, nil
}

// sight is what the far sides hold.
type sight struct {
	objects planner.State
	covered map[string]map[planner.Kind]bool // kinds that could be observed, by target
	unread  map[string]string
}

// observed is what one far side holds.
type observed struct {
	objects []planner.Object
	kinds   []planner.Kind
	err     error
}

// observeAll asks every engine, every node that has an agent, and what hostctl hasn't made.
func (r *Reconciler) observeAll(ctx context.Context, live planner.Live, commit string) sight {
	session, close := r.looking(ctx, live.Instance, commit, live.Targets)
	defer close()
	var (
		mu    sync.Mutex
		all   errgroup.Group
		seen  = map[string]observed{}
		there = agents(live, nil)
	)
	all.SetLimit(lookAtOnce)
	for _, t := range live.Targets {
		if t.Docker == nil && !t.External() && (t.Address == "" || !there[t.Name]) {
			continue
		}
		all.Go(func() error {
			o := r.observeOne(ctx, t, session)
			mu.Lock()
			defer mu.Unlock()
			seen[t.Name] = o
			return nil
		})
	}
	_ = all.Wait() // none returns an error
	return gather(live.Targets, seen)
}

// observeOne asks one far side what it holds, and of which kinds that is all.
func (r *Reconciler) observeOne(ctx context.Context, t planner.Target, s Session) observed {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	far, err := r.Connect(t, s)
	if err != nil {
		return observed{err: err}
	}
	defer done(far)
	observer, ok := far.(executors.Observer)
	if !ok {
		return observed{}
	}
	kinds, err := kindsOf(ctx, t, far)
	if err != nil || len(kinds) == 0 {
		return observed{err: err}
	}
	objects, err := observer.Observe(ctx)
	return observed{objects, kinds, err}
}

func kindsOf(ctx context.Context, t planner.Target, far executors.Executor) ([]planner.Kind, error) {
	if t.Docker != nil {
		return []planner.Kind{planner.KindNetwork, planner.KindVolume, planner.KindContainer, planner.KindAgent}, nil
	}
	if t.PowerDNS != nil {
		return []planner.Kind{planner.KindZone, planner.KindRRset}, nil
	}
	if t.HAProxy != nil {
		return []planner.Kind{planner.KindBackend, planner.KindServer, planner.KindRoute}, nil
	}
	if k, ok := far.(Kinder); ok {
		return k.Kinds(ctx)
	}
	return slices.DeleteFunc(slices.Clone(planner.Ladder), func(k planner.Kind) bool { return engineHolds(k) || k == planner.KindAgent }), nil
}

// gather puts together what far sides hold. What several nodes share is taken from the first of them that could be read.
func gather(targets []planner.Target, seen map[string]observed) sight {
	s := sight{objects: planner.State{}, covered: map[string]map[planner.Kind]bool{}, unread: map[string]string{}}
	for _, t := range targets {
		nodes := t.AnyOf
		if len(nodes) == 0 {
			nodes = []string{t.Name}
		}
		for _, n := range nodes {
			o, asked := seen[n]
			if !asked {
				continue
			}
			if o.err != nil {
				s.unread[n] = o.err.Error()
				continue
			}
			s.add(t.Name, o)
			break
		}
	}
	return s
}

func (s sight) add(target string, o observed) {
	s.covered[target] = map[planner.Kind]bool{}
	for _, k := range o.kinds {
		s.covered[target][k] = true
	}
	for _, x := range o.objects {
		if ref := x.Ref(); ref.Target == target && s.covered[target][ref.Kind] {
			s.objects[ref] = x
		}
	}
}

// compare compares what is there with what was applied. What is dirty is the next plan's business already.
func (s sight) compare(live planner.Live, p policies) Drift {
	d, policy := Drift{Found: []Finding{}, Unread: s.unread}, p.drift
	for ref, have := range live.State {
		mode := policy.Of(string(ref.Kind))
		if planner.IsUnmanaged(have) {
			d.recorded = true
			continue
		}
		if _, dirty := live.Dirty[ref]; dirty || mode == schema.DriftOff || !s.tells(ref) {
			continue
		}
		d.Objects++
		found := s.objects[ref]
		if found == nil || planner.HashOf(found) != planner.HashOf(have) {
			d.Found = append(d.Found, finding(have, found, mode))
		}
	}
	for ref, found := range s.objects {
		_, dirty := live.Dirty[ref]
		if f, ok := s.orphan(live, found, p); ok && (live.State[ref] == nil && !dirty || f.planned) {
			d.Found = append(d.Found, f)
		}
	}
	d.zonesSeen = s.seenOf(planner.KindRRset)
	s.addStored(&d, live, policy)
	slices.SortFunc(d.Found, func(a, b Finding) int { return a.Ref.Compare(b.Ref) })
	return d
}

// addStored adds what was stored on volumes that are gone, where nobody was left to tell of it.
func (s sight) addStored(d *Drift, live planner.Live, policy schema.DriftPolicy) {
	var gone []planner.Ref
	for _, f := range d.Found {
		if f.State == DriftGone {
			gone = append(gone, f.Ref)
		}
	}
	for _, ref := range storedOn(live, gone) {
		mode := policy.Of(string(ref.Kind))
		if _, dirty := live.Dirty[ref]; !dirty && mode != schema.DriftOff && !s.tells(ref) {
			d.Found = append(d.Found, finding(live.State[ref], nil, mode))
		}
	}
}

// tells reports whether an object would have been seen if it were there. The agent of a container that isn't up can't be
// seen, and is on a volume all the same.
func (s sight) tells(ref planner.Ref) bool {
	if ref.Kind == planner.KindAgent && s.objects[planner.Ref{Kind: planner.KindContainer, Target: ref.Target, Name: ref.Name}] == nil {
		return false
	}
	return s.covered[ref.Target][ref.Kind]
}
