package wire

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/haproxy"
	"hostctl/executors/retry"
	"hostctl/planner"
	"hostctl/reconciler"
)

// upWithin is how long a server that is back in rotation may take until it passes its checks.
const upWithin = 10 * time.Second

// haproxy opens an HAProxy that hostctl hasn't made. The keys of its certificates are kept as a node keeps them, in the state
// folder.
func (f *farSides) haproxy(t planner.Target, s reconciler.Session) (executors.Executor, error) {
	h := t.HAProxy
	folder, err := secrets.Open(filepath.Join(f.config.State, "external", t.Name, "secrets"))
	if err != nil {
		return nil, executors.Errorf(executors.Unreachable, "%s: %w", t.Name, err)
	}
	turn, _ := f.turns.LoadOrStore(h.Socket, &sync.Mutex{})
	far := balancer{
		External: haproxy.NewExternal(haproxy.ExternalOptions{
			Target: t.Name, Instance: s.Instance, Socket: h.Socket, Map: h.Map, Rules: h.Rules, CrtList: h.CrtList, Adopt: h.Adopt,
			Key: folder.Value, Turn: turn.(*sync.Mutex), Up: upWithin,
		}),
		keys: secrets.New(secrets.Options{Node: t.Name, Folder: folder}), values: newRevealer(f.config, s.Blobs, f.keeper),
	}
	if s.Fence == 0 {
		return far, nil // wants to know at once
	}
	return retry.New(checked.New(far), patience), nil
}

// balancer is an HAProxy that hostctl hasn't made, with the secrets that are put beside it.
type balancer struct {
	*haproxy.External
	keys   *secrets.Manager
	values executors.Secrets
}

// Apply implements executors.Executor.
func (b balancer) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	var kept, other []int
	for i, c := range cs {
		if c.Ref().Kind == planner.KindSecret {
			kept = append(kept, i)
		} else {
			other = append(other, i)
		}
	}
	of := func(places []int) (part []planner.Change) {
		for _, i := range places {
			part = append(part, cs[i])
		}
		return part
	}
	b.applyKeys(ctx, cs, kept, errs)
	if len(other) > 0 {
		for i, err := range b.External.Apply(ctx, of(other)) {
			errs[other[i]] = err
		}
	}
	return errs
}

// applyKeys applies those changes of a batch that are of secrets.
func (b balancer) applyKeys(ctx context.Context, cs []planner.Change, places []int, errs []error) {
	for _, i := range places {
		var values secrets.Values
		if s, ok := cs[i].New.(planner.Secret); ok {
			value, err := b.values.Reveal(ctx, s)
			if err != nil {
				errs[i] = err
				continue
			}
			values.Add(s, value)
		}
		errs[i] = b.keys.Apply(secrets.With(ctx, values), cs[i:i+1])[0]
	}
}

// Observe implements executors.Observer.
func (b balancer) Observe(ctx context.Context) ([]planner.Object, error) {
	keys, err := b.keys.Observe(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := b.External.Observe(ctx)
	return append(keys, objects...), err
}

// Present implements executors.Reader.
func (b balancer) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	kept := slices.DeleteFunc(slices.Clone(refs), func(r planner.Ref) bool { return r.Kind != planner.KindSecret })
	other := slices.DeleteFunc(slices.Clone(refs), func(r planner.Ref) bool { return r.Kind == planner.KindSecret })
	found := map[planner.Ref]planner.Object{}
	if len(kept) > 0 {
		keys, err := b.keys.Present(ctx, kept)
		if err != nil {
			return nil, err
		}
		for ref, o := range keys {
			found[ref] = o
		}
	}
	if len(other) > 0 {
		objects, err := b.External.Present(ctx, other)
		if err != nil {
			return nil, err
		}
		for ref, o := range objects {
			found[ref] = o
		}
	}
	return found, nil
}
