package web

import (
	"net/netip"
	"sync"
	"time"
)

// What one source may send: so many at once, and so many a second.
const (
	sourceBurst = 60
	sourceRate  = 5
	maxSources  = 4096 // that are remembered
)

// limiter bounds how often each source is served: a bucket of tokens for each, an IPv6 network of 64 bits being one.
type limiter struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter() *limiter { return &limiter{sources: map[netip.Prefix]*bucket{}} }

// allow takes a token of the source of a connection; it is false where there is none left.
func (l *limiter) allow(remote string) bool {
	source, now := sourceOf(remote), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.sources[source]
	if b == nil {
		l.forgetLocked(now)
		b = &bucket{tokens: sourceBurst, at: now}
		l.sources[source] = b
	}
	b.refill(now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) refill(now time.Time) {
	b.tokens = min(sourceBurst, b.tokens+sourceRate*now.Sub(b.at).Seconds())
	b.at = now
}

// forgetLocked makes room for one more source: those go that have sent nothing for a while, or else any.
func (l *limiter) forgetLocked(now time.Time) {
	if len(l.sources) < maxSources {
		return
	}
	for source, b := range l.sources {
		if b.refill(now); b.tokens == sourceBurst {
			delete(l.sources, source)
		}
	}
	for source := range l.sources {
		if len(l.sources) < maxSources {
			return
		}
		delete(l.sources, source)
	}
}

// sourceOf returns what an address and port are counted as; what is no address is counted together.
func sourceOf(remote string) netip.Prefix {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := a.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	source, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return source
}

// recent remembers keys for a while, the newest ones if there are too many.
type recent struct {
	window time.Duration
	most   int

	mu    sync.Mutex
	at    map[string]time.Time
	order []string // oldest first
}

func newRecent(window time.Duration, most int) *recent {
	return &recent{window: window, most: most, at: map[string]time.Time{}}
}

// add notes a key; it is false where that is known.
func (r *recent) add(key string) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && (len(r.order) >= r.most || now.Sub(r.at[r.order[0]]) > r.window) {
		delete(r.at, r.order[0])
		r.order = r.order[1:]
	}
	if _, known := r.at[key]; known {
		return false
	}
	r.at[key] = now
	r.order = append(r.order, key)
	return true
}
