package reconciler

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"hostctl/schema"
)

// DefaultObserveEvery is the time between two looks at all that the far sides hold.
const DefaultObserveEvery = time.Minute

const (
	observeAgain   = 2 * time.Second  // after a look that a run made void
	observeSpacing = time.Second      // looks that nodes ask for don't follow each other more closely
	driftWaits     = 30 * time.Second // how long one who asks for drift waits for a run to end
)

// lookout is what a Loop has found by observing.
type lookout struct {
	mu   sync.Mutex
	last Drift
	told map[string]bool // findings that are only reported and were logged
}

// observing observes all far sides again and again until ctx is done, beside the loop, so that nobody who has pushed
// waits for it. The loop takes what was found when no run is under way.
func (l *Loop) observing(ctx context.Context) <-chan Drift {
	found := make(chan Drift)
	noticed := l.channels().noticed
	go func() {
		every := cmp.Or(l.ObserveEvery, DefaultObserveEvery)
		for pause := every / 4; every > 0; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			case <-noticed: // a node tells of drift: what one look costs is waited for, no more
				select {
				case <-ctx.Done():
					return
				case <-time.After(min(pause, observeSpacing)):
				}
			}
			pause = every - every/10 + rand.N(every/5+1) // several hostds don't ask in step
			l.inspect(ctx)
			d, err := l.Reconciler.Observe(ctx, l.Targets())
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, ErrBusy):
				pause = min(pause, observeAgain)
				continue
			case err != nil:
				l.Reconciler.Log.Warn("look for drift", "error", err)
				continue
			}
			select {
			case found <- d:
			case <-ctx.Done():
				return
			}
		}
	}()
	return found
}

// foundDrift takes what a look has found: what is to be corrected is marked for the next plan.
func (l *Loop) foundDrift(ctx context.Context, d Drift) {
	if _, err := l.Reconciler.correct(ctx, &d); err != nil && ctx.Err() == nil {
		l.Reconciler.Log.Error("record drift", "error", err)
	}
	l.lookout.mu.Lock()
	l.lookout.last = d
	news := l.lookout.news(d)
	l.lookout.mu.Unlock()
	for _, f := range news {
		l.Reconciler.Log.Warn("drift is reported, not corrected", "ref", f.Ref.String(), "found", string(f.State), "differences", f.Differences)
	}
	summary := d.Summary()
	l.setStatus(func(s *Status) { s.Drift = &summary })
}

// news returns the findings that are only reported and weren't logged yet, and forgets those that are over.
func (o *lookout) news(d Drift) []Finding {
	var news []Finding
	told := map[string]bool{}
	for _, f := range d.Found {
		if f.Mode == schema.DriftCorrect {
			continue
		}
		key := f.Ref.String() + " " + string(f.State) + " " + string(f.Found)
		if !o.told[key] {
			news = append(news, f)
		}
		told[key] = true
	}
	o.told = told
	return news
}

// LastDrift returns what the latest look on schedule has found.
func (l *Loop) LastDrift() Drift {
	l.lookout.mu.Lock()
	defer l.lookout.mu.Unlock()
	return l.lookout.last
}

// Drift looks at all far sides now. It records nothing, and corrects nothing before the next look on schedule does.
func (l *Loop) Drift(ctx context.Context) (Drift, error) {
	return l.Reconciler.Drift(ctx, l.Targets())
}
