// Package runtimes is the executor of all runtimes of a web node: PHP's pools and the services of other sites, each by the
// executor that knows it.
package runtimes

import (
	"context"
	"maps"
	"slices"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
)

// Executor is what each of them is.
type Executor interface {
	executors.Executor
	executors.Observer
	executors.Reader
}

// Manager is the executor.
type Manager struct{ php, apps Executor }

// New returns the executor.
func New(php, apps Executor) *Manager { return &Manager{php: php, apps: apps} }

// of returns whose a runtime is, by its name: "<tenant>.<webroot>/<type>-<version>".
func (m *Manager) of(r planner.Ref) Executor {
	if _, kind, _ := strings.Cut(r.Name, "/"); strings.HasPrefix(kind, "php-") {
		return m.php
	}
	return m.apps
}

// Apply implements executors.Executor.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for _, e := range []Executor{m.php, m.apps} {
		var mine []planner.Change
		var index []int
		for i, c := range cs {
			if m.of(c.Ref()) == e {
				mine, index = append(mine, c), append(index, i)
			}
		}
		if len(mine) == 0 {
			continue
		}
		for i, err := range e.Apply(ctx, mine) {
			errs[index[i]] = err
		}
	}
	return errs
}

// Observe implements executors.Observer.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	pools, err := m.php.Observe(ctx)
	if err != nil {
		return nil, err
	}
	services, err := m.apps.Observe(ctx)
	return append(pools, services...), err
}

// Present implements executors.Reader.
func (m *Manager) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	all := map[planner.Ref]planner.Object{}
	for _, e := range []Executor{m.php, m.apps} {
		mine := slices.DeleteFunc(slices.Clone(refs), func(r planner.Ref) bool { return m.of(r) != e })
		found, err := e.Present(ctx, mine)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, found)
	}
	return all, nil
}
