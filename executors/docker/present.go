package docker

import (
	"context"
	"errors"
	"sync"

	"hostctl/executors"
	"hostctl/planner"
)

// Present implements executors.Reader: each object is inspected by its name. A container that doesn't run isn't there, as
// for Observe. Of an agent it is the program that counts; whether it answers, Observe tells.
func (e *Executor) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	if ctx.Err() != nil {
		return nil, executors.NotTried(ctx)
	}
	found := make([]planner.Object, len(refs))
	errs := make([]error, len(refs))
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, r := range refs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			found[i], errs[i] = e.present(ctx, r)
			if executors.KindOf(errs[i]) == executors.Conflict { // somebody else's
				found[i], errs[i] = executors.Altered{Is: r, How: errs[i].Error()}, nil
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, executors.Errorf(kind(err), "read what is on %s: %w", e.o.Target, err)
	}
	present := map[planner.Ref]planner.Object{}
	for i, o := range found {
		if o != nil {
			present[refs[i]] = o
		}
	}
	return present, nil
}

// present returns what is there of one object, nil for nothing.
func (e *Executor) present(ctx context.Context, r planner.Ref) (planner.Object, error) {
	m := planner.Meta{Target: r.Target, Name: r.Name}
	switch r.Kind {
	case planner.KindNetwork:
		n, err := e.findNetwork(ctx, r)
		if err != nil || n == nil {
			return nil, err
		}
		return planner.Network{Meta: m, Subnet: subnet(*n)}, nil
	case planner.KindVolume:
		return e.presentVolume(ctx, r, m)
	case planner.KindContainer:
		c, err := e.findContainer(ctx, r)
		if err != nil || c == nil || !isUp(*c) {
			return nil, err
		}
		return e.observeContainer(ctx, *c)
	case planner.KindAgent:
		return e.presentAgent(ctx, r, m)
	}
	return nil, nil
}

func (e *Executor) presentVolume(ctx context.Context, r planner.Ref, m planner.Meta) (planner.Object, error) {
	v, err := e.findVolume(ctx, r)
	if err != nil || v == nil {
		return nil, err
	}
	kept, err := e.isKept(ctx, r)
	return planner.Volume{Meta: m, Data: holdsData(*v), Kept: kept}, err
}

func (e *Executor) presentAgent(ctx context.Context, r planner.Ref, m planner.Meta) (planner.Object, error) {
	c, err := e.findContainer(ctx, planner.Ref{Kind: planner.KindContainer, Target: r.Target, Name: r.Name})
	if err != nil || c == nil || !isUp(*c) || e.stateVolume(*c) == "" {
		return nil, err
	}
	there, err := e.sum(ctx, c.ID, agentProgram)
	if err != nil || there == "" {
		return nil, err
	}
	return planner.Agent{Meta: m, Binary: there, Volume: e.stateVolume(*c)}, nil
}
