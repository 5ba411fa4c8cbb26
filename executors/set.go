package executors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"hostctl/planner"
)

// Lookup finds the executor of a target, or of a node. Its error is taken for Unreachable unless it has a kind.
type Lookup func(target string) (Executor, error)

// Set is an Executor for many targets: it hands each change to the executor of its target. It asks for each executor
// once, when it is first needed, and closes those that are io.Closers.
type Set struct {
	lookup Lookup

	mu      sync.Mutex
	entries map[string]*entry
	closed  bool
}

// entry is one target's executor; its own lock lets slow look-ups of different targets go on side by side.
type entry struct {
	mu       sync.Mutex
	executor Executor
}

// NewSet returns a Set that finds executors by lookup.
func NewSet(lookup Lookup) *Set { return &Set{lookup: lookup, entries: map[string]*entry{}} }

// Executor returns the executor of a target. A look-up that failed is tried again by the next call.
func (s *Set) Executor(target string) (Executor, error) {
	e, err := s.entry(target)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.executor != nil {
		return e.executor, nil
	}
	x, err := s.lookup(target)
	if err != nil {
		return nil, unreachable(target, err)
	}
	e.executor = x
	return x, nil
}

func (s *Set) entry(target string) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, Errorf(Unreachable, "target %s: the set of executors is closed", target)
	}
	e := s.entries[target]
	if e == nil {
		e = &entry{}
		s.entries[target] = e
	}
	return e, nil
}

// Apply implements Executor. Changes of several targets are applied target by target.
func (s *Set) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for _, at := range byTarget(cs) {
		part := make([]planner.Change, len(at))
		for i, j := range at {
			part[i] = cs[j]
		}
		for i, err := range s.applyTo(ctx, part) {
			errs[at[i]] = err
		}
	}
	return errs
}

// byTarget returns the indexes of the changes of each target, targets in order of their first change.
func byTarget(cs []planner.Change) [][]int {
	var out [][]int
	place := map[string]int{}
	for i, c := range cs {
		t := c.Ref().Target
		p, ok := place[t]
		if !ok {
			p, out = len(out), append(out, nil)
			place[t] = p
		}
		out[p] = append(out[p], i)
	}
	return out
}

// applyTo applies changes of one target and returns as many errors.
func (s *Set) applyTo(ctx context.Context, cs []planner.Change) []error {
	if ctx.Err() != nil {
		return All(len(cs), NotTried(ctx))
	}
	target := cs[0].Ref().Target
	e, err := s.Executor(target)
	if err != nil {
		return All(len(cs), err)
	}
	errs := e.Apply(ctx, cs)
	if len(errs) != len(cs) {
		return All(len(cs), Errorf(Unknown, "target %s: the executor answered %d changes with %d errors; this is a bug in it", target, len(cs), len(errs)))
	}
	return errs
}

// Close closes the executors that were found, and finds no more.
func (s *Set) Close() error {
	s.mu.Lock()
	s.closed = true
	entries := s.entries
	s.entries = map[string]*entry{}
	s.mu.Unlock()
	var errs []error
	for target, e := range entries {
		e.mu.Lock()
		if c, ok := e.executor.(io.Closer); ok {
			if err := c.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", target, err))
			}
		}
		e.executor = nil
		e.mu.Unlock()
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// AnyOf is the Executor of a target that several nodes share, such as a web shard's files: changes go to the first node
// that answers. Only where every change of a batch is Unreachable the next node is tried, so that nothing is done twice.
func AnyOf(nodes []string, lookup Lookup) Executor { return anyOf{nodes, lookup} }

type anyOf struct {
	nodes  []string
	lookup Lookup
}

// Apply implements Executor.
func (a anyOf) Apply(ctx context.Context, cs []planner.Change) []error {
	if len(cs) == 0 {
		return nil
	}
	var tried []error
	for _, node := range a.nodes {
		if ctx.Err() != nil {
			return All(len(cs), NotTried(ctx))
		}
		e, err := a.lookup(node)
		if err != nil {
			tried = append(tried, unreachable(node, err))
			continue
		}
		errs := e.Apply(ctx, cs)
		if !allUnreachable(errs) {
			return errs
		}
		tried = append(tried, fmt.Errorf("%s: %w", node, errs[0]))
	}
	if len(tried) == 0 {
		return All(len(cs), Errorf(Unreachable, "no node serves %s", cs[0].Ref().Target))
	}
	return All(len(cs), Errorf(Unreachable, "no node of %s answers: %w", strings.Join(a.nodes, ", "), errors.Join(tried...)))
}

func allUnreachable(errs []error) bool {
	return len(errs) > 0 && !slices.ContainsFunc(errs, func(err error) bool { return KindOf(err) != Unreachable })
}

// unreachable gives the error of a look-up a kind.
func unreachable(target string, err error) error {
	if KindOf(err) != Unknown {
		return err
	}
	return Errorf(Unreachable, "%s: %w", target, err)
}
