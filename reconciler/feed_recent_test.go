package reconciler_test

import (
	"testing"

	"hostctl/reconciler"
)

func TestFeedRecent(t *testing.T) {
	f := &reconciler.Feed{}
	events, first, moved := f.Recent(-1)
	if len(events) > 0 || first != 1 {
		t.Errorf("of nothing there are %d events from %d on", len(events), first)
	}
	f.Publish(reconciler.Event{Commit: "a", Kind: reconciler.EventPlanned})
	select {
	case <-moved:
	default:
		t.Error("nobody is told of an event")
	}
	f.Publish(reconciler.Event{Commit: "b", Kind: reconciler.EventPlanned})
	if events, first, _ = f.Recent(0); len(events) != 2 || first != 1 || events[1].Commit != "b" {
		t.Errorf("from the beginning: %+v from %d on", events, first)
	}
	if events, first, _ = f.Recent(1); len(events) != 1 || first != 2 || events[0].Commit != "b" {
		t.Errorf("after the first: %+v from %d on", events, first)
	}
	const many = 10_000
	for range many {
		f.Publish(reconciler.Event{Commit: "c", Kind: reconciler.EventPlanned})
	}
	events, first, _ = f.Recent(0)
	if len(events) < 2000 || len(events) > 4096 || first+int64(len(events)) != many+3 {
		t.Errorf("after many: %d events from %d on", len(events), first)
	}
	if events, first, _ = f.Recent(2 * many); len(events) != 0 || first != many+3 {
		t.Errorf("after more than there are: %d events from %d on", len(events), first)
	}
}
