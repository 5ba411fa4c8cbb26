package reconciler_test

import (
	"context"
	"errors"
	"testing"

	"hostctl/planner"
	"hostctl/reconciler"
)

// TestG06_OneThatLostTheLeadWritesNothing takes the lead from a reconciler before each thing that it writes.
func TestG06_OneThatLostTheLeadWritesNothing(t *testing.T) {
	w := newWorld(t)
	lost := errors.New("lost")
	var lead error
	w.rec.Inventory = reconciler.Led(w.store, func() error { return lead })
	id := w.applied(minimal(t))
	before := w.live()
	ctx := context.Background()
	next := w.plan(w.push(with(t, minimal(t), "www.acme.test", "web.acme.test")))
	lead = lost
	refs := []planner.Ref{before.State[w.ref(planner.KindVhost, "")].Ref()}
	for what, write := range map[string]func(reconciler.Inventory) error{
		"begin":   func(reconciler.Inventory) error { return w.rec.Apply(ctx, next, nil) },
		"gone":    func(i reconciler.Inventory) error { _, err := i.Gone(ctx, refs, "gone"); return err },
		"drifted": func(i reconciler.Inventory) error { _, err := i.Drifted(ctx, refs, "drifted"); return err },
		"set down": func(i reconciler.Inventory) error {
			_, err := i.SetDown(ctx, map[string]string{"web-1-0": "x"})
			return err
		},
		"set unmanaged": func(i reconciler.Inventory) error {
			_, err := i.SetUnmanaged(ctx, []string{"eu-1-dns"}, nil)
			return err
		},
		"set images": func(i reconciler.Inventory) error { return i.SetImages(ctx, map[string]string{"a": "b"}) },
	} {
		if err := write(w.rec.Inventory); !errors.Is(err, lost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now := w.live(); now.Version != before.Version || now.Commit != id {
		t.Errorf("the inventory moved from %s to %s", before.Version, now.Version)
	}
	if len(w.runs()) != 1 {
		t.Errorf("%d runs, want the first alone", len(w.runs()))
	}
}
