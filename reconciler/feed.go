package reconciler

import (
	"context"
	"sync"
	"time"

	"hostctl/planner"
)

// EventKind is what an Event tells.
type EventKind string

// The kinds of events, in the order in which a commit meets them. Refused, Applied and Abandoned are final for now: a
// failed run is tried again by itself, and tells more then.
const (
	EventPlanned EventKind = "planned" // Text is the plan
	EventChange  EventKind = "change"
	EventRefused EventKind = "refused" // bad input, a guard; Text says where and what to do
	EventApplied EventKind = "applied" // Text is a summary
	EventFailed  EventKind = "failed"  // Text says what failed; it will be tried again
)

// Final reports whether the event ends what a push waits for.
func (k EventKind) Final() bool { return k == EventRefused || k == EventApplied || k == EventFailed }

// Event is something that happened on the way of a commit.
type Event struct {
	Time   time.Time    `json:"time"`
	Commit string       `json:"commit"`
	Kind   EventKind    `json:"kind"`
	Text   string       `json:"text,omitempty"`
	Change *ChangeEvent `json:"change,omitempty"`
}

// ChangeEvent is one step of one change.
type ChangeEvent struct {
	ID      int            `json:"id"`
	Of      int            `json:"of"` // changes in the plan
	Ref     planner.Ref    `json:"ref"`
	Action  planner.Action `json:"action"`
	Phase   string         `json:"phase"` // started, finished, failed, blocked
	Error   string         `json:"error,omitempty"`
	Elapsed time.Duration  `json:"elapsed,omitempty"` // nanoseconds
}

// Feed passes events on to whoever follows a commit. It remembers those of the newest commits, so that one who comes
// late misses nothing. The zero value is ready.
type Feed struct {
	mu      sync.Mutex
	events  map[string][]Event
	commits []string // oldest first
	moved   chan struct{}
}

// remembered is how many commits a Feed keeps the events of.
const remembered = 32

// Publish adds an event. A commit that is planned again starts anew.
func (f *Feed) Publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.events == nil {
		f.events = map[string][]Event{}
	}
	if _, ok := f.events[e.Commit]; !ok {
		f.commits = append(f.commits, e.Commit)
		if len(f.commits) > remembered {
			delete(f.events, f.commits[0])
			f.commits = f.commits[1:]
		}
	}
	f.events[e.Commit] = append(f.events[e.Commit], e)
	f.wakeLocked()
}

func (f *Feed) wakeLocked() {
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}

// Follow calls fn for every event of a commit, those of before included, until fn returns false or ctx is done. It waits
// for a commit that nothing is known of yet.
func (f *Feed) Follow(ctx context.Context, commit string, fn func(Event) bool) error {
	for seen := 0; ; {
		events, moved := f.since(commit, seen)
		for _, e := range events {
			if !fn(e) {
				return nil
			}
		}
		seen += len(events)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

func (f *Feed) since(commit string, seen int) ([]Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved == nil {
		f.moved = make(chan struct{})
	}
	events := f.events[commit]
	return events[min(seen, len(events)):], f.moved
}
