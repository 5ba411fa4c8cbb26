package reconciler

import (
	"context"
	"slices"
	"sync"
	"time"

	"hostctl/planner"
)

// EventKind is what an Event tells.
type EventKind string

// The kinds of events, in the order in which a commit meets them. A commit that failed is tried again by itself and then
// starts anew.
const (
	EventPlanned    EventKind = "planned" // Text is the plan
	EventWaiting    EventKind = "waiting" // Text says for what
	EventChange     EventKind = "change"
	EventRefused    EventKind = "refused"    // bad input, a guard; Text says where and what to do
	EventApplied    EventKind = "applied"    // Text is a summary
	EventFailed     EventKind = "failed"     // Text says what failed; it will be tried again
	EventSuperseded EventKind = "superseded" // Text says by what; it won't be tried itself any more
)

// Final reports whether the event ends what a push waits for.
func (k EventKind) Final() bool {
	switch k {
	case EventRefused, EventApplied, EventFailed, EventSuperseded:
		return true
	}
	return false
}

// Event is something that happened on the way of a commit.
type Event struct {
	Time   time.Time    `json:"time"`
	Commit string       `json:"commit"`
	Kind   EventKind    `json:"kind"`
	Text   string       `json:"text,omitempty"`
	Change *ChangeEvent `json:"change,omitempty"`
	Frozen []string     `json:"frozen,omitempty"` // of a refusal: tenants that were left out, and all else of the commit is true
	Run    int64        `json:"run,omitempty"`    // that it is part of; 0 for none, or before it has begun
}

// ChangeEvent is one step of one change.
type ChangeEvent struct {
	ID      int            `json:"id"`
	Of      int            `json:"of"` // changes in the plan
	Ref     planner.Ref    `json:"ref"`
	Action  planner.Action `json:"action"`
	Phase   string         `json:"phase"`            // started, finished, blocked, canceled
	Tenant  string         `json:"tenant,omitempty"` // whose the object is; "" for the platform's
	Error   string         `json:"error,omitempty"`
	Elapsed time.Duration  `json:"elapsed,omitempty"` // nanoseconds

	Stage   int `json:"stage,omitempty"`   // that is under way, counting from 1
	Stages  int `json:"stages,omitempty"`  // of the plan
	InStage int `json:"inStage,omitempty"` // changes of this stage
}

// Feed passes events on to whoever follows a commit. It remembers the last attempt at each of the newest commits, so that
// one who comes late misses nothing of it. The zero value is ready.
type Feed struct {
	mu       sync.Mutex
	stories  map[string]*story
	commits  []string       // that have a story, oldest first
	follows  map[string]int // followers of a commit
	attempts int
	begun    int // passes of the loop
	ended    int // of them
	moved    chan struct{}
	recent   []Event // the newest of all commits, oldest first
	count    int64   // of all events there ever were
}

// What a Feed remembers at most: commits, and events of each.
const (
	commitsRemembered = 16
	eventsRemembered  = 10_000
)

// story is one attempt to make a commit true.
type story struct {
	attempt int // no two stories of a Feed have the same
	events  []Event
	dropped int // events that followed the first one and are no longer remembered
}

func (s *story) last() Event {
	if len(s.events) == 0 {
		return Event{}
	}
	return s.events[len(s.events)-1]
}

// add appends an event. Of a very long story the first event, which is the plan, and the newest ones are kept.
func (s *story) add(e Event) {
	s.events = append(s.events, e)
	if len(s.events) > eventsRemembered {
		half := len(s.events) / 2
		s.events = append(s.events[:1:1], s.events[half:]...) // a new array: followers read the old one
		s.dropped += half - 1
	}
}

// from returns what follows the first seen events, as far as it is remembered.
func (s *story) from(seen int) []Event {
	if seen == 0 {
		return s.events
	}
	return s.events[min(len(s.events), max(1, seen-s.dropped)):]
}

// Publish adds an event. A plan begins a new attempt at its commit, and so does whatever happens after the last one has
// ended.
func (f *Feed) Publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.storyLocked(e.Commit)
	if e.Kind == EventPlanned || s.last().Kind.Final() || s.attempt == 0 {
		f.attempts++
		*s = story{attempt: f.attempts}
	}
	s.add(e)
	f.rememberLocked(e)
	f.wakeLocked()
}

func (f *Feed) storyLocked(commit string) *story {
	if s := f.stories[commit]; s != nil {
		return s
	}
	if f.stories == nil {
		f.stories = map[string]*story{}
	}
	f.stories[commit] = &story{}
	f.commits = append(f.commits, commit)
	if len(f.commits) > commitsRemembered {
		f.forgetLocked()
	}
	return f.stories[commit]
}

// forgetLocked forgets the oldest commit that nobody follows, the newest one excepted.
func (f *Feed) forgetLocked() {
	i := slices.IndexFunc(f.commits[:len(f.commits)-1], func(c string) bool { return f.follows[c] == 0 })
	if i >= 0 {
		delete(f.stories, f.commits[i])
		f.commits = slices.Delete(f.commits, i, i+1)
	}
}

func (f *Feed) wakeLocked() {
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}

// last returns the newest event of a commit, the zero Event where there is none.
func (f *Feed) last(commit string) Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.stories[commit]; s != nil {
		return s.last()
	}
	return Event{}
}

// passBegins notes that the loop begins a pass, and returns the commits that are followed by then, sorted.
func (f *Feed) passBegins() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	commits := make([]string, 0, len(f.follows))
	for c := range f.follows {
		commits = append(commits, c)
	}
	slices.Sort(commits)
	return commits
}

// passEnds notes that the loop's pass is over: an attempt that had ended before it, and wasn't followed by another one,
// is still the last word.
func (f *Feed) passEnds() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = f.begun
	f.wakeLocked()
}

// follower is somebody who reads a commit's story, and how far they are.
type follower struct {
	feed    *Feed
	commit  string
	attempt int
	seen    int
	held    bool // the attempt had ended when they came: first a pass must say that it is the last word
	since   int  // passes begun when they came
}

// join makes somebody a follower of a commit until leave is called.
func (f *Feed) join(commit string) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.follows == nil {
		f.follows = map[string]int{}
	}
	f.follows[commit]++
	w := &follower{feed: f, commit: commit, since: f.begun}
	if s := f.stories[commit]; s != nil && s.last().Kind.Final() {
		w.held, w.attempt = true, s.attempt
	}
	return w
}

func (w *follower) leave() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	if w.feed.follows[w.commit]--; w.feed.follows[w.commit] == 0 {
		delete(w.feed.follows, w.commit)
	}
}

// Follow calls fn for every event of a commit's present attempt, those of before included, and of the attempts after it
// until a final event. It fails with fn's error, when ctx is done, and with ErrStopped.
//
// An attempt that ended before is the present one only if a pass that begins now starts no other: the commit may have
// been pushed again since, and be refused this time.
func (l *Loop) Follow(ctx context.Context, commit string, fn func(Event) error) error {
	w := l.Feed.join(commit)
	defer w.leave()
	l.Wake()
	stopped := l.channels().stopped
	for {
		events, moved := w.next()
		for _, e := range events {
			if err := fn(e); err != nil || e.Kind.Final() {
				return err
			}
		}
		select {
		case <-moved:
			continue
		default:
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-stopped:
			return ErrStopped
		}
	}
}

// next returns the events that weren't read yet, and what is closed when there may be more.
func (w *follower) next() ([]Event, <-chan struct{}) {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved == nil {
		f.moved = make(chan struct{})
	}
	s := f.stories[w.commit]
	if s == nil || w.held && s.attempt == w.attempt && f.ended <= w.since {
		return nil, f.moved
	}
	if w.held || s.attempt != w.attempt {
		w.held, w.attempt, w.seen = false, s.attempt, 0
	}
	events := s.from(w.seen)
	w.seen = len(s.events) + s.dropped
	return events, f.moved
}
