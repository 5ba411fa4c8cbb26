package powerdns

import (
	"context"
	"sync"
	"time"
)

// For how long a zone whose serial hasn't moved is taken to be as it was read. The API moves the serial with each change;
// what goes past the API may not, and is seen when the zone is read again.
const (
	trustToApply   = time.Minute // what Present has just read
	trustToObserve = 10 * time.Minute
)

// seen is what zones held when they were last read.
type seen struct {
	mu    sync.Mutex
	zones map[string]reading // by name, with trailing dot
}

// reading is a whole zone as it was at a time.
type reading struct {
	zone zone
	at   time.Time
}

func (s *seen) note(z zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.zones == nil {
		s.zones = map[string]reading{}
	}
	s.zones[z.Name] = reading{z, time.Now()}
}

func (s *seen) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zones, name)
}

// as returns a zone as it was read no longer ago than trust, if the list says that it still is the same.
func (s *seen) as(listed zone, trust time.Duration) (zone, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.zones[listed.Name]
	same := ok && r.zone.Serial == listed.Serial && r.zone.Account == listed.Account && r.zone.Kind == listed.Kind && r.zone.catalog() == listed.catalog()
	return r.zone, same && time.Since(r.at) < trust
}

// keep forgets the zones that aren't listed.
func (s *seen) keep(listed map[string]zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.zones {
		if _, ok := listed[name]; !ok {
			delete(s.zones, name)
		}
	}
}

// reader reads zones for one batch. Where they are more than a few, it lists all of them first, and asks only for those
// that are there and have changed.
type reader struct {
	*client
	seen   *seen
	listed map[string]zone // nil: not listed
	trust  time.Duration   // in what was seen before; 0 is none

	external bool // how zones are transferred is others' business
}

func (e *Executor) newReader(ctx context.Context, zones int, trust time.Duration) (*reader, error) {
	c, err := e.newClient(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{client: c, seen: &e.seen, trust: trust, external: e.o.External}
	if zones <= few {
		return r, nil
	}
	return r, r.list(ctx)
}

func (r *reader) list(ctx context.Context) error {
	all, err := r.zones(ctx)
	if err != nil {
		return err
	}
	r.listed = make(map[string]zone, len(all))
	for _, z := range all {
		r.listed[z.Name] = z
	}
	r.seen.keep(r.listed)
	return nil
}

// read returns a zone with all its RRsets, or with those of only; errNotFound where there is none.
func (r *reader) read(ctx context.Context, name string, only []key) (zone, error) {
	if r.listed != nil {
		l, ok := r.listed[name]
		if !ok {
			return zone{}, errNotFound
		}
		if z, ok := r.seen.as(l, r.trust); ok {
			return z, nil
		}
	}
	return r.readAnew(ctx, name, only)
}

// isListed reports whether a zone may be there, by its name without trailing dot.
func (r *reader) isListed(name string) bool {
	_, ok := r.listed[absolute(name)]
	return ok || r.listed == nil
}

// readAnew is read without what was seen before.
func (r *reader) readAnew(ctx context.Context, name string, only []key) (zone, error) {
	z, err := r.zone(ctx, name, only)
	if err == nil && !r.external && (z.Kind == kindPrimary || z.Kind == kindProducer) {
		z.meta, err = r.metadata(ctx, name)
	}
	if err == nil && len(only) == 0 {
		r.seen.note(z)
	}
	return z, err
}
