package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"time"

	"hostctl/agent/agentpb"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// Apply carries out a batch: what one executor takes goes to it in one call, in the batch's order. Batches wait for each
// other.
func (a *Agent) Apply(ctx context.Context, r *agentpb.ApplyRequest) (*agentpb.ApplyReply, error) {
	start := time.Now()
	errs := a.apply(ctx, r)
	reply := &agentpb.ApplyReply{Results: make([]*agentpb.Result, len(errs))}
	failed := 0
	for i, err := range errs {
		reply.Results[i] = result(err)
		if err != nil {
			failed++
		}
	}
	a.Log.Info("applied", "run", r.GetFence(), "changes", len(errs), "failed", failed, "took", time.Since(start).Round(time.Millisecond).String())
	return reply, nil
}

func (a *Agent) apply(ctx context.Context, r *agentpb.ApplyRequest) []error {
	n := len(r.GetChanges())
	if r.GetInstance() != a.Instance {
		return executors.All(n, executors.Errorf(executors.Conflict, "node %s belongs to instance %s, not %q", a.Node, a.Instance, r.GetInstance()))
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return executors.All(n, executors.NotTried(ctx))
	}

	if err := a.keepPolicy(r.GetFence(), r.GetPolicy()); err != nil {
		return executors.All(n, executors.Errorf(executors.Refused, "%w", err))
	}
	cs := make([]planner.Change, n)
	errs := make([]error, n)
	values := secrets.Values{}
	for i, c := range r.GetChanges() {
		cs[i], errs[i] = a.change(c)
		if s, ok := cs[i].New.(planner.Secret); ok && errs[i] == nil {
			values.Add(s, c.GetSecret())
		}
	}
	ctx = secrets.With(ctx, values)
	for part := range a.parts(cs, errs) {
		for i, err := range a.applyPart(ctx, r.GetFence(), part) {
			errs[part.index[i]] = err
		}
	}
	return errs
}

// part is changes of one batch that one executor takes in one call.
type part struct {
	executor executors.Executor
	index    []int // in the batch
	changes  []planner.Change
}

// parts cuts a batch where the executor changes, leaving out what has an error already.
func (a *Agent) parts(cs []planner.Change, errs []error) iter.Seq[part] {
	var ps []part
	for i, c := range cs {
		if errs[i] != nil {
			continue
		}
		e := a.Executors[c.Ref().Kind]
		if len(ps) == 0 || !same(ps[len(ps)-1].executor, e) {
			ps = append(ps, part{executor: e})
		}
		p := &ps[len(ps)-1]
		p.index, p.changes = append(p.index, i), append(p.changes, c)
	}
	return slices.Values(ps)
}

// same reports whether two executors are one. Those that can't be compared are taken for different ones.
func same(a, b executors.Executor) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// applyPart writes what is intended, acts, and writes how it ended.
func (a *Agent) applyPart(ctx context.Context, fence int64, p part) (errs []error) {
	n := len(p.changes)
	if ctx.Err() != nil {
		return executors.All(n, executors.NotTried(ctx))
	}
	if err := a.Store.Begin(fence, p.changes); err != nil {
		return executors.All(n, err)
	}
	errs = a.act(ctx, p)
	if err := a.Store.Finish(p.changes, errs); err != nil {
		return executors.All(n, fmt.Errorf("note what was applied: %w", err))
	}
	return errs
}

// act calls the executor. A panic in it is the error of every change.
func (a *Agent) act(ctx context.Context, p part) (errs []error) {
	n := len(p.changes)
	defer func() {
		var err error
		if a.recovered("apply "+string(p.changes[0].Ref().Kind), &err); err != nil {
			errs = executors.All(n, err)
		}
	}()
	errs = p.executor.Apply(ctx, p.changes)
	if len(errs) != n {
		return executors.All(n, fmt.Errorf("the executor of %s returned %d results for %d changes", p.changes[0].Ref().Kind, len(errs), n))
	}
	return errs
}

// change reads one change and checks that it is one, and for this node. What it holds the executors check.
func (a *Agent) change(m *agentpb.Change) (planner.Change, error) {
	c := planner.Change{ID: int(m.GetId()), Action: planner.Action(m.GetAction()), Expect: planner.Hash(m.GetExpect()), Force: m.GetForce(), Adopt: m.GetAdopt()}
	var err error
	if len(m.GetOld()) > 0 {
		if c.Old, err = planner.Decode(m.GetOld()); err != nil {
			return c, executors.Errorf(executors.Refused, "%w", err)
		}
	}
	if len(m.GetNew()) > 0 {
		if c.New, err = planner.Decode(m.GetNew()); err != nil {
			return c, executors.Errorf(executors.Refused, "%w", err)
		}
	}
	if err := wellFormed(c); err != nil {
		return c, executors.Errorf(executors.Refused, "%w", err)
	}
	ref := c.Ref()
	if a.Executors[ref.Kind] == nil {
		return c, executors.Errorf(executors.Refused, "%s: node %s (%s) doesn't serve kind %s", ref, a.Node, a.Role, ref.Kind)
	}
	if !a.serves(ref.Target) {
		return c, executors.Errorf(executors.Refused, "%s: this is node %s", ref, a.Node)
	}
	return c, nil
}

func wellFormed(c planner.Change) error {
	var ok bool
	switch c.Action {
	case planner.Create:
		ok = c.New != nil
	case planner.Update, planner.Replace:
		ok = c.New != nil && c.Old != nil && c.New.Ref() == c.Old.Ref()
	case planner.Delete:
		ok = c.New == nil && c.Old != nil
	}
	if !ok {
		return fmt.Errorf("change %d is no %q", c.ID, c.Action)
	}
	return nil
}

// result is an error as it travels.
func result(err error) *agentpb.Result {
	if err == nil {
		return &agentpb.Result{}
	}
	r := &agentpb.Result{Kind: string(executors.KindOf(err)), Message: err.Error()}
	var e *executors.Error
	if errors.As(err, &e) {
		r.Batch = e.Batch
	}
	return r
}

// received yields the messages of a stream up to its end.
func received[M any](stream interface{ Recv() (M, error) }) iter.Seq2[M, error] {
	return func(yield func(M, error) bool) {
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) || !yield(m, err) || err != nil {
				return
			}
		}
	}
}
