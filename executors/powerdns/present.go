package powerdns

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"hostctl/planner"
)

// Present implements executors.Reader: one request for each of a few RRsets of a zone, else one for the zone.
// Where the zones are many they are listed first, and those that aren't there aren't asked for. A zone that
// belongs to another inventory is shown too; Apply refuses to touch it.
func (e *Executor) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	asked := map[planner.Ref]bool{}
	byZone := map[string][]key{}
	present := map[planner.Ref]planner.Object{}
	for _, r := range refs {
		if zone, ok := isCDS(r); ok {
			if err := e.presentCDS(ctx, r, zone, present); err != nil {
				return nil, err
			}
			continue
		}
		zone, keys, ok := keysOf(r)
		if !ok {
			continue
		}
		asked[r] = true
		byZone[zone] = append(byZone[zone], keys...)
	}
	names := slices.Sorted(maps.Keys(byZone))
	reader, err := e.newReader(ctx, len(names), 0)
	if err != nil {
		return nil, err
	}
	found := make([][]planner.Object, len(names))
	errs := make([]error, len(names))
	e.each(len(names), func(i int) {
		keys := byZone[names[i]]
		if len(keys) > few {
			keys = nil
		}
		z, err := reader.read(ctx, absolute(names[i]), keys)
		if errors.Is(err, errNotFound) {
			return
		}
		if errs[i] = err; err == nil {
			found[i], errs[i] = e.objectsOf(ctx, reader, z)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, o := range slices.Concat(found...) {
		if asked[o.Ref()] {
			present[o.Ref()] = o
		}
	}
	return present, nil
}

// presentCDS adds the CDS of a zone, if it is there and signed.
func (e *Executor) presentCDS(ctx context.Context, ref planner.Ref, zone string, present map[planner.Ref]planner.Object) error {
	r, err := e.newReader(ctx, 1, 0)
	if err != nil {
		return err
	}
	o, ok, err := r.cds(ctx, zone)
	if errors.Is(err, errNotFound) {
		return nil
	}
	if ok {
		o.Target = ref.Target
		present[ref] = o
	}
	return err
}

// keysOf returns the zone of an object and the RRsets that it is made of.
func keysOf(r planner.Ref) (zone string, keys []key, ok bool) {
	switch r.Kind {
	case planner.KindZone:
		apex := absolute(r.Name)
		return r.Name, []key{{apex, "SOA"}, {apex, "NS"}}, checkDomain(r.Name) == nil
	case planner.KindCatalog:
		return r.Name, []key{{absolute(r.Name), "SOA"}}, checkDomain(r.Name) == nil
	case planner.KindRRset:
		zone, rest, _ := strings.Cut(r.Name, "/")
		end := strings.LastIndexByte(rest, '/')
		if end < 0 || checkDomain(zone) != nil {
			return "", nil, false
		}
		return zone, []key{{absolute(rest[:end]), rest[end+1:]}}, true
	}
	return "", nil, false
}
