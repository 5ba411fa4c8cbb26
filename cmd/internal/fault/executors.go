//go:build faults

package fault

import (
	"context"
	"fmt"

	"hostctl/executors"
	"hostctl/planner"
)

// Executors returns a node's executors with a fault point before and one after each of their batches: the agent has noted
// what it intends, and has not yet noted how it ended.
func Executors(node string, es map[planner.Kind]executors.Executor) map[planner.Kind]executors.Executor {
	wrapped := map[executors.Executor]*stopping{}
	out := make(map[planner.Kind]executors.Executor, len(es))
	for k, e := range es {
		if wrapped[e] == nil {
			wrapped[e] = &stopping{node: node, far: e}
		}
		out[k] = wrapped[e]
	}
	return out
}

type stopping struct {
	node string
	far  executors.Executor
}

// Apply implements executors.Executor.
func (s *stopping) Apply(ctx context.Context, cs []planner.Change) []error {
	Point("apply on " + s.node + " " + Title(cs))
	errs := s.far.Apply(ctx, cs)
	Point("applied on " + s.node + " " + Title(cs))
	return errs
}

// Observe implements executors.Observer.
func (s *stopping) Observe(ctx context.Context) ([]planner.Object, error) {
	if o, ok := s.far.(executors.Observer); ok {
		return o.Observe(ctx)
	}
	return nil, nil
}

// Title names changes by their first one and how many there are.
func Title(cs []planner.Change) string {
	return fmt.Sprintf("%s %s of %d", cs[0].Action, cs[0].Ref(), len(cs))
}
