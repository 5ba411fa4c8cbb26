package reconciler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Adopter is the ability of an inventory to become that of an instance whose own one is lost; see record.Store.
type Adopter interface {
	Adopt(ctx context.Context, instance string, fence int64) error
}

// Fencer is the ability of an agent's executor to say the highest fencing number that the agent has seen.
type Fencer interface {
	Fence(ctx context.Context) (int64, error)
}

// Rebuilt is what a rebuild has found.
type Rebuilt struct {
	Objects     int                  // recorded
	Allocations []planner.Allocation // recorded
	Missing     []planner.Ref        // declared and not there: the next plan makes them
	Orphans     []planner.Ref        // there and not declared: nothing touches them
	Lost        []planner.Generated  // generated secrets: nodes have their values, and nobody else
	Fence       int64                // runs are numbered on from there
}

// Rebuild makes the inventory again from what the hosts and nodes of a commit really hold: objects, and with them the
// placements, addresses, ports and uids. Owners are those of the commit's own objects. The inventory must be empty and
// have the instance of the platform already. A host or node that can't be observed fails it, for what can't be read is
// never read as empty; nothing is recorded then.
func (r *Reconciler) Rebuild(ctx context.Context, tree schema.Tree, commit string) (Rebuilt, error) {
	manifest, err := schema.Load(tree, r.Cache)
	if err != nil {
		return Rebuilt{}, err
	}
	manifest.Commit = commit
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return Rebuilt{}, fmt.Errorf("read inventory: %w", err)
	}
	s := survey{r: r, session: Session{Instance: live.Instance, Blobs: tree}, there: planner.State{}}
	if err := s.all(ctx, hostTargets(manifest)); err != nil {
		return Rebuilt{}, err
	}
	if len(s.there) == 0 && len(manifest.Hosts) > 0 {
		return Rebuilt{}, fmt.Errorf("no host of this repository holds anything of instance %s; the label hostctl.instance of the platform's containers says which it is", live.Instance)
	}
	plan, err := r.planFrom(manifest, live, s.there)
	if err != nil {
		return Rebuilt{}, err
	}
	if err := s.all(ctx, s.nodes(plan.Targets)); err != nil {
		return Rebuilt{}, err
	}
	if len(s.there) == 0 {
		return Rebuilt{}, fmt.Errorf("nothing of instance %s is on the name servers of this repository; the account of the platform's zones says which it is", live.Instance)
	}
	if plan, err = r.planFrom(manifest, live, s.there); err != nil { // again: now the uids are known
		return Rebuilt{}, err
	}
	return r.recordRebuilt(ctx, plan, &s)
}

func hostTargets(m schema.Manifest) []planner.Target {
	ts := make([]planner.Target, len(m.Hosts))
	for i, h := range m.Hosts {
		ts[i] = planner.Target{Name: h.Name, Docker: &h.Docker}
	}
	return ts
}

// planFrom plans a manifest from nothing, but for the decisions that what is there shows.
func (r *Reconciler) planFrom(m schema.Manifest, live planner.Live, there planner.State) (planner.Plan, error) {
	live.Allocations = planner.Allocated(there)
	p, err := planner.New(m, live, r.Policy)
	if err != nil {
		return p, &PlanError{Err: err}
	}
	return p, nil
}

// survey is what was found at the far sides so far.
type survey struct {
	r       *Reconciler
	session Session

	mu    sync.Mutex
	there planner.State
	fence int64
}

// nodes returns the agents of the containers that are there, and what hostctl hasn't made.
func (s *survey) nodes(all []planner.Target) []planner.Target {
	up := map[string]bool{}
	for ref := range s.there {
		if ref.Kind == planner.KindContainer {
			up[ref.Name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(t planner.Target) bool { return !t.External() && (t.Address == "" || !up[t.Name]) })
}

// surveyAtOnce is how many far sides are observed at a time.
const surveyAtOnce = 16

// all observes targets, some at a time.
func (s *survey) all(ctx context.Context, targets []planner.Target) error {
	errs := make([]error, len(targets))
	var g errgroup.Group
	g.SetLimit(surveyAtOnce)
	for i, t := range targets {
		g.Go(func() error {
			if err := s.one(ctx, t); err != nil {
				errs[i] = fmt.Errorf("%s can't be observed: %w; mend it, then rebuild again", t.Name, err)
			}
			return nil
		})
	}
	_ = g.Wait() // none returns an error
	return errors.Join(errs...)
}

func (s *survey) one(ctx context.Context, t planner.Target) error {
	far, err := s.r.Connect(t, s.session)
	if err != nil {
		return err
	}
	if c, ok := far.(io.Closer); ok {
		defer func() { _ = c.Close() }() // only read
	}
	o, ok := far.(executors.Observer)
	if !ok {
		return errors.New("it can't tell what it holds")
	}
	objects, err := o.Observe(ctx)
	if err != nil {
		return err
	}
	var fence int64
	if f, ok := far.(Fencer); ok {
		if fence, err = f.Fence(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		s.there[o.Ref()] = o
	}
	s.fence = max(s.fence, fence)
	return nil
}

// recordRebuilt records what is there, as a run that found all of it done.
func (r *Reconciler) recordRebuilt(ctx context.Context, planned planner.Plan, s *survey) (Rebuilt, error) {
	out := Rebuilt{Fence: s.fence}
	wanted := planner.State{}
	for _, c := range planned.Changes {
		if c.New != nil {
			wanted[c.New.Ref()] = c.New
		}
	}
	p := planner.Plan{Format: planner.PlanFormat, Instance: planned.Instance, Commit: planned.Commit, Targets: planned.Targets, Remember: planned.Remember}
	images, recorded := map[string]string{}, planner.State{}
	for _, ref := range sortedRefs(s.there) {
		o := s.there[ref]
		if c, ok := o.(planner.Container); ok {
			images[c.Image] = c.ImageID
		}
		want, ok := wanted[ref]
		if !ok {
			out.Orphans = append(out.Orphans, ref)
			continue
		}
		o, err := planner.Owned(o, want)
		if err != nil {
			return out, err
		}
		recorded[ref] = o
		p.Changes = append(p.Changes, planner.Change{ID: len(p.Changes) + 1, Action: planner.Create, New: o, Why: "was there"})
	}
	for _, ref := range sortedRefs(wanted) {
		if _, ok := s.there[ref]; !ok {
			out.Missing = append(out.Missing, ref)
		}
	}
	p.Allocations = planner.Allocated(s.there)
	out.Objects, out.Allocations = len(p.Changes), p.Allocations
	generations := planner.GenerationsOf(recorded)
	out.Lost = slices.SortedFunc(maps.Keys(generations), func(a, b planner.Generated) int { return strings.Compare(a.String(), b.String()) })
	return out, r.writeRebuilt(ctx, p, s.fence, images, generations)
}

// writeRebuilt fills the inventory by a run that touches nothing.
func (r *Reconciler) writeRebuilt(ctx context.Context, p planner.Plan, fence int64, images map[string]string, generations map[planner.Generated]int) error {
	a, ok := r.Inventory.(Adopter)
	if !ok {
		return errors.New("this inventory can't be made again")
	}
	if err := a.Adopt(ctx, p.Instance, fence); err != nil {
		return err
	}
	if err := r.keepLost(ctx, generations); err != nil {
		return err
	}
	if err := r.Inventory.SetImages(ctx, images); err != nil {
		return err
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return err
	}
	p.Base = live.Version
	j, err := r.Inventory.Begin(ctx, p, r.Holder)
	if err != nil {
		return err
	}
	err = note(ctx, j, p.Changes)
	return errors.Join(err, end(ctx, j, err))
}

// keepLost notes that there are generated secrets, though their values are lost: another one isn't made unless it is asked
// for, and those that nodes have stay.
func (r *Reconciler) keepLost(ctx context.Context, generations map[planner.Generated]int) error {
	if len(generations) == 0 {
		return nil
	}
	k, ok := r.Inventory.(SecretKeeper)
	if !ok {
		return errors.New("this inventory can't keep generated secrets")
	}
	for g, n := range generations {
		if _, err := k.KeepSecret(ctx, GeneratedSecret{Tenant: g.Tenant, Name: g.Name, Generation: n}); err != nil {
			return err
		}
	}
	return nil
}

// note records changes as done: containers before all else, for what is noted of one that was made says that nothing is
// in it yet.
func note(ctx context.Context, j Journal, cs []planner.Change) error {
	var containers, others []planner.Change
	for _, c := range cs {
		if c.Ref().Kind == planner.KindContainer {
			containers = append(containers, c)
			continue
		}
		others = append(others, c)
	}
	for _, batch := range [][]planner.Change{containers, others} {
		if len(batch) == 0 {
			continue
		}
		if err := j.Started(ctx, batch); err != nil {
			return err
		}
		if err := j.Finished(ctx, batch, executors.All(len(batch), nil)); err != nil {
			return err
		}
	}
	return nil
}

func sortedRefs(s planner.State) []planner.Ref {
	refs := make([]planner.Ref, 0, len(s))
	for r := range s {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, planner.Ref.Compare)
	return refs
}
