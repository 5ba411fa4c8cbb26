package notify

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/durable"
)

const (
	window  = 30 * time.Second // what happens within it is told at once
	spacing = 10 * time.Minute // at least, between two messages that something is wrong
)

// step is what is to be told of a topic.
type step string

const (
	nothing step = ""
	begun   step = "begun"
	changed step = "changed" // there is more of it
	over    step = "over"
	passed  step = "passed" // it was, and is over already
)

// told is what somebody was told of a topic.
type told struct {
	Open  bool      `json:"open,omitempty"`  // they believe that it lasts
	Items []string  `json:"items,omitempty"` // what they were told of, sorted
	At    time.Time `json:"at,omitzero"`     // when they were last told that it is so
	Since time.Time `json:"since,omitzero"`  // when it was first seen

	seen   time.Time           // when there was something to tell; zero where there isn't
	missed *reconciler.Trouble // what they weren't told of yet
}

// next says what is to be told now, and notes that it is. Somebody who is told of it last knows how things stand; that
// something is wrong they hear at most once in spacing.
func (t *told) next(now time.Time, trouble *reconciler.Trouble) (step, *reconciler.Trouble) {
	what := t.due(trouble)
	if what == nothing {
		t.seen, t.missed = time.Time{}, nil
		return nothing, nil
	}
	if trouble != nil && !t.Open {
		t.missed = trouble
	}
	if t.seen.IsZero() {
		t.seen = now
	}
	due := t.seen.Add(window)
	if next := t.At.Add(spacing); what != over && !t.At.IsZero() && next.After(due) {
		due = next
	}
	if now.Before(due) {
		return nothing, nil
	}
	if what == passed {
		trouble = t.missed
	}
	t.note(what, now, trouble)
	return what, trouble
}

// due is what there is to tell, whenever that may be.
func (t *told) due(trouble *reconciler.Trouble) step {
	switch {
	case trouble != nil && !t.Open:
		return begun
	case trouble != nil && slices.ContainsFunc(itemsOf(trouble), func(i string) bool { _, known := slices.BinarySearch(t.Items, i); return !known }):
		return changed
	case trouble == nil && t.Open:
		return over
	case trouble == nil && t.missed != nil:
		return passed
	}
	return nothing
}

func (t *told) note(what step, now time.Time, trouble *reconciler.Trouble) {
	if what == begun || what == passed {
		t.Since = t.seen
	}
	t.Open = what == begun || what == changed
	t.seen, t.missed, t.Items = time.Time{}, nil, nil
	if what != over {
		t.At = now
	}
	if t.Open {
		t.Items = itemsOf(trouble)
	}
}

// maxItems bounds what is remembered of a trouble.
const maxItems = 200

// itemsOf tells a trouble from others: by its commit, and whose and which objects it is about. What is said of them isn't
// in it, for it may be different each time.
func itemsOf(t *reconciler.Trouble) []string {
	items := []string{"commit " + t.Commit}
	for _, i := range t.Items {
		items = append(items, i.Tenant+" "+i.Object)
	}
	slices.Sort(items)
	items = slices.Compact(items)
	return items[:min(len(items), maxItems)]
}

// memory is what is remembered of whom was told what. It survives hostd.
type memory struct {
	Commit string           `json:"commit,omitempty"` // that was applied last
	Told   map[string]*told `json:"told,omitempty"`   // by notification and topic

	mu    sync.Mutex // of latest
	last  string     // Commit, for others
	saved string
}

func (m *memory) load(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	m.saved = string(data)
	m.publish()
	return err
}

// commit is the commit that was applied last, for whoever isn't Run.
func (m *memory) commit() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

func (m *memory) publish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = m.Commit
}

func (m *memory) of(key string) *told {
	if t := m.Told[key]; t != nil {
		return t
	}
	return &told{}
}

func (m *memory) set(key string, t told) {
	if m.Told == nil {
		m.Told = map[string]*told{}
	}
	m.Told[key] = &t
}

// save writes what has changed since the last time.
func (m *memory) save(file string) error {
	m.publish()
	data, err := json.Marshal(m)
	if err != nil || string(data) == m.saved {
		return err
	}
	if err := durable.WriteFile(file, data); err != nil {
		return err
	}
	m.saved = string(data)
	return nil
}
