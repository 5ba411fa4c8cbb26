package reconciler

import (
	"fmt"
	"testing"
)

func planned(commit string) Event { return Event{Commit: commit, Kind: EventPlanned, Text: "the plan"} }

func change(commit string, id int) Event {
	return Event{Commit: commit, Kind: EventChange, Change: &ChangeEvent{ID: id}}
}

// A feed remembers so many commits and so many events of each, and the plan of each.
func TestFeedIsBounded(t *testing.T) {
	var f Feed
	followed := f.join("commit 0")
	for n := range 3 * commitsRemembered {
		f.Publish(planned(fmt.Sprintf("commit %d", n)))
	}
	if len(f.stories) > commitsRemembered || len(f.stories) != len(f.commits) {
		t.Errorf("%d stories of %d commits are remembered", len(f.stories), len(f.commits))
	}
	if events, _ := followed.next(); len(events) != 1 {
		t.Errorf("a commit that somebody follows was forgotten: %v", events)
	}
	followed.leave()

	f.Publish(planned("long"))
	for id := range 5 * eventsRemembered {
		f.Publish(change("long", id))
		if n := len(f.stories["long"].events); n > eventsRemembered {
			t.Fatalf("%d events are remembered", n)
		}
	}
	events, _ := f.join("long").next()
	if events[0].Kind != EventPlanned {
		t.Error("the plan was forgotten")
	}
	if last := events[len(events)-1]; last.Change.ID != 5*eventsRemembered-1 {
		t.Errorf("the newest event is that of change %d", last.Change.ID)
	}
}

// One who reads on misses nothing, however long the story gets.
func TestFeedTellsAllToWhoReadsOn(t *testing.T) {
	var f Feed
	w := f.join("c")
	f.Publish(planned("c"))
	seen := 0
	for id := range 3 * eventsRemembered {
		f.Publish(change("c", id))
		if id%100 != 99 {
			continue
		}
		events, _ := w.next()
		for _, e := range events {
			if e.Change != nil && e.Change.ID != seen {
				t.Fatalf("change %d is told after %d", e.Change.ID, seen-1)
			}
			if e.Change != nil {
				seen++
			}
		}
	}
	if seen != 3*eventsRemembered {
		t.Errorf("%d changes were told", seen)
	}
	for id := range 3 * eventsRemembered { // one who was away goes on with what is remembered
		f.Publish(change("c", id))
	}
	if events, _ := w.next(); len(events) == 0 || events[len(events)-1].Change.ID != 3*eventsRemembered-1 {
		t.Errorf("%d events are told after a long time", len(events))
	}
}

func TestFeedForgetsWhoHasLeft(t *testing.T) {
	var f Feed
	a, b := f.join("c"), f.join("c")
	a.leave()
	if got := f.passBegins(); len(got) != 1 {
		t.Errorf("followed are %v", got)
	}
	b.leave()
	if got := f.passBegins(); len(got) != 0 {
		t.Errorf("followed are %v", got)
	}
}

// An attempt that has ended is told to one who comes later when a pass that began after that has started no other.
func TestFeedHoldsBackWhatMayBeOutdated(t *testing.T) {
	end := func(f *Feed) { f.Publish(planned("c")); f.Publish(Event{Commit: "c", Kind: EventApplied}) }
	reads := func(w *follower) int { events, _ := w.next(); return len(events) }

	var f Feed
	f.passBegins()
	end(&f)
	w := f.join("c")
	f.passEnds()
	if reads(w) != 0 {
		t.Error("a pass that had begun before is taken for the last word")
	}
	f.passBegins()
	if reads(w) != 0 {
		t.Error("a pass that only begins is taken for the last word")
	}
	f.passEnds()
	if reads(w) != 2 {
		t.Error("a pass that is over isn't taken for the last word")
	}

	w = f.join("c")
	f.passBegins()
	f.Publish(Event{Commit: "c", Kind: EventRefused})
	if events, _ := w.next(); len(events) != 1 || events[0].Kind != EventRefused {
		t.Errorf("want the new story alone, got %v", events)
	}
}
