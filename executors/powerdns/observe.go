package powerdns

import (
	"context"
	"errors"
	"maps"
	"slices"

	"hostctl/planner"
)

// Observe implements executors.Observer: the zones that carry our instance, with every RRset in them, also those that
// nobody applied; sorted. A zone whose serial hasn't moved since it was read isn't read again, for a while.
func (e *Executor) Observe(ctx context.Context) ([]planner.Object, error) {
	r, err := e.newReader(ctx, 0, trustToObserve)
	if err != nil {
		return nil, err
	}
	if err := r.list(ctx); err != nil {
		return nil, err
	}
	zones := slices.Collect(maps.Values(r.listed))
	found := make([][]planner.Object, len(zones))
	errs := make([]error, len(zones))
	e.each(len(zones), func(i int) {
		if zones[i].instance() != e.o.Instance {
			return
		}
		z, err := r.read(ctx, zones[i].Name, nil)
		if errors.Is(err, errNotFound) {
			return // removed since it was listed
		}
		if errs[i] = err; err == nil {
			found[i], errs[i] = e.objectsOf(ctx, r, z)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []planner.Object
	for _, f := range found {
		out = append(out, f...)
	}
	slices.SortFunc(out, func(a, b planner.Object) int { return a.Ref().Compare(b.Ref()) })
	return out, nil
}

// objectsOf returns what a zone is to the planner: a catalog, or a zone with its RRsets.
func (e *Executor) objectsOf(ctx context.Context, r *reader, z zone) ([]planner.Object, error) {
	if z.Kind != kindProducer || e.o.External {
		return z.objects(e.o.Target), nil
	}
	o, err := e.catalogOf(ctx, r, z)
	return []planner.Object{o}, err
}
