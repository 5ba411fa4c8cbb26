// Package memory is a far side in memory, for tests: an executor of all kinds and targets that can be told to refuse, to
// fail before or after it has done a change, and to crash.
package memory

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"

	"hostctl/executors"
	"hostctl/planner"
)

// Point is when a fault strikes: before a change has had its effect, or after.
type Point string

// The points.
const (
	Before Point = "before"
	After  Point = "after"
)

// ErrCrash is a fault that takes the far side down, as kill -9 does: that change, the rest of its batch and everything
// after it fail until Restart.
var ErrCrash = errors.New("crashed")

// Executor holds objects and does what it is told to them. The zero value is empty and works. The functions are called
// with the executor locked and must not call it.
type Executor struct {
	// Kinds are those it takes; nil means all.
	Kinds []planner.Kind
	// Fault, where set, is asked at both points of each change. An error fails the change there; after the effect the
	// effect stays.
	Fault func(Point, planner.Change) error
	// Refuse, where set, is asked about each object that is to be made. An error is a refusal of its content.
	Refuse func(planner.Object) error
	// Whole makes one refused object refuse its whole batch, as servers with transactions do.
	Whole bool
	// Effect, where set, sees each change that had its effect, with what is there now. It must not keep or change the
	// state.
	Effect func(planner.Change, planner.State)

	mu    sync.Mutex
	state planner.State
	down  bool
}

// Apply implements executors.Executor.
func (e *Executor) Apply(ctx context.Context, cs []planner.Change) []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Whole && ctx.Err() == nil && !e.down {
		for _, c := range cs {
			if err := e.check(c); err != nil {
				return executors.RefuseBatch(len(cs), err)
			}
		}
	}
	return executors.Each(e.apply).Apply(ctx, cs)
}

func (e *Executor) apply(_ context.Context, c planner.Change) error {
	if e.down {
		return executors.Errorf(executors.Unreachable, "%s: %w", c.Ref(), ErrCrash)
	}
	if err := e.check(c); err != nil {
		return err
	}
	if err := e.fault(Before, c); err != nil {
		return err
	}
	e.effect(c)
	return e.fault(After, c)
}

// check returns why a change is refused.
func (e *Executor) check(c planner.Change) error {
	r := c.Ref()
	if e.Kinds != nil && !slices.Contains(e.Kinds, r.Kind) {
		return executors.Errorf(executors.Refused, "%s: objects of kind %s don't belong here", r, r.Kind)
	}
	if c.New == nil {
		if _, there := e.state[r]; holdsData(c.Old) && (there || r.Kind != planner.KindVolume) {
			return executors.Errorf(executors.Refused, "%s holds data and is never deleted", r)
		}
		return nil
	}
	if e.Refuse != nil {
		if err := e.Refuse(c.New); err != nil {
			return executors.Errorf(executors.Refused, "%s: %w", r, err)
		}
	}
	return nil
}

func holdsData(o planner.Object) bool {
	switch o := o.(type) {
	case planner.Volume:
		return o.Data && !o.Kept
	case planner.Database:
		return o.Source == nil // a copy of what is elsewhere
	case planner.Valkey:
		return o.Source == nil
	case planner.Webroot:
		return true
	}
	return false
}

func (e *Executor) fault(p Point, c planner.Change) error {
	if e.Fault == nil {
		return nil
	}
	err := e.Fault(p, c)
	if errors.Is(err, ErrCrash) {
		e.down = true
	}
	return err
}

func (e *Executor) effect(c planner.Change) {
	e.set(c.Ref(), c.New)
	if e.Effect != nil {
		e.Effect(c, e.state)
	}
}

func (e *Executor) set(r planner.Ref, o planner.Object) {
	if e.state == nil {
		e.state = planner.State{}
	}
	if o == nil {
		delete(e.state, r)
		return
	}
	e.state[r] = o
}

// Observe implements executors.Observer.
func (e *Executor) Observe(ctx context.Context) ([]planner.Object, error) {
	if ctx.Err() != nil {
		return nil, executors.NotTried(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return nil, executors.Errorf(executors.Unreachable, "observe: %w", ErrCrash)
	}
	var os []planner.Object
	for _, r := range slices.SortedFunc(maps.Keys(e.state), planner.Ref.Compare) {
		o, err := bare(e.state[r])
		if err != nil {
			return nil, err
		}
		os = append(os, o)
	}
	return os, nil
}

// Present implements executors.Reader.
func (e *Executor) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	if ctx.Err() != nil {
		return nil, executors.NotTried(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return nil, executors.Errorf(executors.Unreachable, "read: %w", ErrCrash)
	}
	found := map[planner.Ref]planner.Object{}
	for _, r := range refs {
		if e.state[r] == nil {
			continue
		}
		o, err := bare(e.state[r])
		if err != nil {
			return nil, err
		}
		found[r] = o
	}
	return found, nil
}

// bare returns an object without owner and needs, as a far side knows it.
func bare(o planner.Object) (planner.Object, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(planner.Encode(o), &fields); err != nil {
		return nil, err
	}
	delete(fields, "owner")
	delete(fields, "needs")
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return planner.Decode(b)
}

// State returns what is there, with owners and needs as they were applied.
func (e *Executor) State() planner.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.state)
}

// Put makes an object appear, or change, behind everyone's back.
func (e *Executor) Put(o planner.Object) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set(o.Ref(), o)
}

// Lose makes an object disappear behind everyone's back.
func (e *Executor) Lose(r planner.Ref) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set(r, nil)
}

// Restart brings it up again after ErrCrash, with everything that was there.
func (e *Executor) Restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = false
}
