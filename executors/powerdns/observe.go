package powerdns

import (
	"context"
	"errors"
	"slices"

	"hostctl/planner"
)

// Observe implements executors.Observer: the zones that carry our instance, with every RRset in them, also those that
// nobody applied; sorted.
func (e *Executor) Observe(ctx context.Context) ([]planner.Object, error) {
	c, err := e.newClient()
	if err != nil {
		return nil, err
	}
	zones, err := c.zones(ctx)
	if err != nil {
		return nil, err
	}
	found := make([][]planner.Object, len(zones))
	errs := make([]error, len(zones))
	e.each(len(zones), func(i int) {
		if zones[i].Account != e.o.Instance {
			return
		}
		z, err := c.zone(ctx, zones[i].Name, nil)
		if errors.Is(err, errNotFound) {
			return // removed since it was listed
		}
		if errs[i] = err; err == nil {
			found[i] = z.objects(e.o.Target)
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
