package reconciler

// recentRemembered is how many of the newest events a Feed remembers of all commits together.
const recentRemembered = 4096

// rememberLocked adds an event to those of all commits. Of what is forgotten, half goes at once.
func (f *Feed) rememberLocked(e Event) {
	f.count++
	f.recent = append(f.recent, e)
	if len(f.recent) > recentRemembered {
		f.recent = append([]Event(nil), f.recent[len(f.recent)/2:]...) // a new array: readers have the old one
	}
}

// Recent returns the events of all commits that came after the first seen ones, as far as they are remembered, the number
// of the first of these, counting from 1, and what is closed when there are more. With seen below 0 it returns none, and
// first is that of the next event there will be.
func (f *Feed) Recent(seen int64) (events []Event, first int64, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved == nil {
		f.moved = make(chan struct{})
	}
	forgotten := f.count - int64(len(f.recent))
	if seen < 0 || seen > f.count {
		seen = f.count
	}
	seen = max(seen, forgotten)
	return f.recent[seen-forgotten:], seen + 1, f.moved
}
