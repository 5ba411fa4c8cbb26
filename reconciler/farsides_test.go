package reconciler_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
)

// farSides are the engines and nodes of a platform, in memory. What is in a container goes with it, and a node answers
// only while its container is there.
type farSides struct {
	memory.Executor

	mu       sync.Mutex
	silent   map[string]bool // hosts and nodes that don't answer
	fenced   int64           // the highest number of a run that was seen
	applied  int             // changes that reached a far side
	looks    int             // observations of an engine
	closed   int             // executors that were closed
	opened   int
	broken   []string        // violations of a guarantee
	noImages map[string]bool // tags that no engine holds
	faults   func(memory.Point, planner.Change) error
	onApply  func(ctx context.Context, cs []planner.Change) // before a batch is applied
}

func newFarSides() *farSides {
	f := &farSides{silent: map[string]bool{}, noImages: map[string]bool{}}
	f.Fault = f.fault
	return f
}

func (f *farSides) fault(at memory.Point, c planner.Change) error {
	f.mu.Lock()
	faults := f.faults
	f.mu.Unlock()
	if faults == nil {
		return nil
	}
	return faults(at, c)
}

// fail sets what decides whether a change fails; nil: none does.
func (f *farSides) fail(faults func(memory.Point, planner.Change) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
}

// connect implements reconciler.Connect.
func (f *farSides) connect(t planner.Target, s reconciler.Session) (executors.Executor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	if s.Fence > 0 && s.Fence < f.fenced {
		f.broken = append(f.broken, fmt.Sprintf("run %d came to %s after run %d", s.Fence, t.Name, f.fenced))
	}
	f.fenced = max(f.fenced, s.Fence)
	side := farSide{f, t.Name}
	if t.Docker != nil {
		return engine{side}, nil
	}
	return node{side}, nil
}

func (f *farSides) silence(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.silent)
	for _, n := range names {
		f.silent[n] = true
	}
}

func (f *farSides) count(of *int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *of
}

// container returns the container of a node; nil where there is none.
func (f *farSides) container(name string) planner.Object {
	for ref, o := range f.State() {
		if ref.Kind == planner.KindContainer && ref.Name == name {
			return o
		}
	}
	return nil
}

// loseContainer is 'docker rm -f'.
func (f *farSides) loseContainer(name string) {
	if c := f.container(name); c != nil {
		f.Lose(c.Ref())
		f.empty(name)
	}
}

// empty takes away what was in the filesystem of a node's container.
func (f *farSides) empty(name string) {
	for ref, o := range f.State() {
		if planner.InContainer(name, o) {
			f.Lose(ref)
		}
	}
}

// loseVolume takes away a volume, the containers that it is mounted in, and what was on it, as a disk that fails does.
func (f *farSides) loseVolume(name string) {
	var gone []planner.Ref
	for ref, o := range f.State() {
		switch o := o.(type) {
		case planner.Container:
			if slices.ContainsFunc(o.Mounts, func(m planner.Mount) bool { return m.Volume == name }) {
				f.loseContainer(o.Name)
			}
		case planner.Volume:
			if o.Name == name {
				gone = append(gone, ref)
			}
		}
	}
	for _, ref := range append(planner.OnVolumes(f.State(), gone), gone...) {
		f.Lose(ref)
	}
}

// farSide is one target.
type farSide struct {
	f    *farSides
	name string
}

func (s farSide) answers() error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.f.silent[s.name] {
		return executors.Errorf(executors.Unreachable, "%s: no answer", s.name)
	}
	return nil
}

func (s farSide) note(ctx context.Context, cs []planner.Change) {
	s.f.mu.Lock()
	s.f.applied += len(cs)
	hook := s.f.onApply
	s.f.mu.Unlock()
	if hook != nil {
		hook(ctx, cs)
	}
}

// Close implements io.Closer.
func (s farSide) Close() error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.closed++
	return nil
}

// engine is a Docker host.
type engine struct{ farSide }

// Apply implements executors.Executor.
func (e engine) Apply(ctx context.Context, cs []planner.Change) []error {
	if err := e.answers(); err != nil {
		return executors.All(len(cs), err)
	}
	e.note(ctx, cs)
	errs := make([]error, len(cs))
	for i, c := range cs {
		there := e.f.State()[c.Ref()]
		if c.Action == planner.Update && there != nil && !planner.InPlace(there, c.New) {
			errs[i] = executors.Errorf(executors.Conflict, "%s: what runs can't be changed in place", c.Ref())
			continue
		}
		before := planner.HashOf(there)
		errs[i] = e.f.Apply(ctx, cs[i:i+1])[0]
		after := planner.HashOf(e.f.State()[c.Ref()])
		if c.Ref().Kind == planner.KindContainer && c.Action != planner.Update && after != before {
			e.f.empty(c.Ref().Name)
		}
	}
	return errs
}

// Observe implements executors.Observer.
func (e engine) Observe(ctx context.Context) ([]planner.Object, error) {
	e.f.mu.Lock()
	e.f.looks++
	e.f.mu.Unlock()
	if err := e.answers(); err != nil {
		return nil, err
	}
	all, err := e.f.Observe(ctx)
	return slices.DeleteFunc(all, func(o planner.Object) bool { return o.Ref().Target != e.name }), err
}

// ImageIDs implements reconciler.ImageResolver.
func (e engine) ImageIDs(_ context.Context, tags []string) (map[string]string, error) {
	if err := e.answers(); err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, t := range tags {
		if !e.f.noImages[t] {
			ids[t] = "sha256:" + t
		}
	}
	return ids, nil
}

// node is the agent of a node.
type node struct{ farSide }

func (n node) answers() error {
	if n.f.container(n.name) == nil {
		return executors.Errorf(executors.Unreachable, "%s: connection refused", n.name)
	}
	return n.farSide.answers()
}

// Apply implements executors.Executor.
func (n node) Apply(ctx context.Context, cs []planner.Change) []error {
	if err := n.answers(); err != nil {
		return executors.All(len(cs), err)
	}
	n.note(ctx, cs)
	return n.f.Apply(ctx, cs)
}

// Present implements executors.Reader.
func (n node) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	if err := n.answers(); err != nil {
		return nil, err
	}
	return n.f.Present(ctx, refs)
}

// Ping implements reconciler.Pinger.
func (n node) Ping(context.Context) error { return n.answers() }

// twice returns what of the far sides is there twice: addresses, published ports, uids, routes of a name.
func (f *farSides) twice() []string {
	taken := map[string]string{}
	var out []string
	take := func(what string, by planner.Ref) {
		if other, ok := taken[what]; ok {
			out = append(out, fmt.Sprintf("%s is %s's and %s's", what, other, by))
		}
		taken[what] = by.String()
	}
	state := f.State()
	for _, ref := range slices.SortedFunc(maps.Keys(state), planner.Ref.Compare) {
		switch o := state[ref].(type) {
		case planner.Container:
			take("container "+o.Name, ref)
			take("address "+o.Address, ref)
			for _, p := range o.Ports {
				take(fmt.Sprintf("port %s:%d/%s", p.Address, p.Host, p.Protocol), ref)
			}
		case planner.User:
			take(fmt.Sprintf("uid %d on %s", o.UID, ref.Target), ref)
		case planner.Vhost:
			for _, h := range o.Hostnames {
				take("host name "+h+" on "+ref.Target, ref)
			}
		}
	}
	return out
}

// differences compares what is recorded with what is there.
func (f *farSides) differences(live planner.Live) []string {
	var out []string
	real := f.State()
	for ref, o := range real {
		switch {
		case live.State[ref] == nil:
			out = append(out, fmt.Sprintf("%s is there and not recorded", ref))
		case planner.HashOf(o) != planner.HashOf(live.State[ref]):
			out = append(out, fmt.Sprintf("%s is there, but not as recorded", ref))
		}
	}
	for ref := range live.State {
		if real[ref] == nil {
			out = append(out, fmt.Sprintf("%s is recorded and not there", ref))
		}
	}
	for ref, why := range live.Dirty {
		out = append(out, fmt.Sprintf("%s is dirty: %s", ref, why.Text))
	}
	slices.Sort(out)
	return out
}

// errDead is what the inventory says to a reconciler that was killed.
var errDead = errors.New("killed")

// mortal is an inventory whose reconciler is killed after some steps of its run: from then on nothing is recorded.
type mortal struct {
	reconciler.Inventory
	mu   sync.Mutex
	left int
	die  func() // called once
}

// Begin implements reconciler.Inventory.
func (m *mortal) Begin(ctx context.Context, p planner.Plan, by reconciler.Holder) (reconciler.Journal, error) {
	j, err := m.Inventory.Begin(ctx, p, by)
	if err != nil {
		return nil, err
	}
	return &mortalJournal{j, m}, nil
}

// step counts a step. dead is what to return without doing it; after that nothing is done any more.
func (m *mortal) step() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left--
	if m.left == 0 {
		m.die()
	}
	if m.left <= 0 {
		return errDead
	}
	return nil
}

func (m *mortal) dead() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left <= 0 {
		return errDead
	}
	return nil
}

type mortalJournal struct {
	reconciler.Journal
	m *mortal
}

// Started implements executors.Recorder. It counts as two steps: killed before it is recorded, and after.
func (j *mortalJournal) Started(ctx context.Context, cs []planner.Change) error {
	if err := j.m.step(); err != nil {
		return err
	}
	err := j.Journal.Started(ctx, cs)
	return cmp.Or(err, j.m.step())
}

// Finished implements executors.Recorder.
func (j *mortalJournal) Finished(ctx context.Context, cs []planner.Change, errs []error) error {
	if err := j.m.step(); err != nil {
		return err
	}
	return j.Journal.Finished(ctx, cs, errs)
}

func (j *mortalJournal) Extend(ctx context.Context) error {
	return cmp.Or(j.m.dead(), j.Journal.Extend(ctx))
}

func (j *mortalJournal) End(ctx context.Context, s reconciler.RunState, message string) error {
	return cmp.Or(j.m.dead(), j.Journal.End(ctx, s, message))
}
