package notify

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hostctl/reconciler"
)

// Whatever happens: nobody hears more often than once in spacing that something is wrong, each end follows a beginning, and
// once things stay as they are, what was told last is so.
func TestNobodyIsFlooded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var (
			state told
			now   = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
			news  []time.Time // when somebody was told that something is wrong
			ends  int
			was   *reconciler.Trouble
			open  bool
		)
		hear := func(trouble *reconciler.Trouble) {
			what, about := state.next(now, trouble)
			switch what {
			case begun, passed:
				if open {
					r.Fatalf("%s: it lasts already", what)
				}
			case over, changed:
				if !open {
					r.Fatalf("%s: nobody was told that it had begun", what)
				}
			}
			switch what {
			case begun, changed, passed:
				news, open = append(news, now), what != passed
				if about == nil {
					r.Fatalf("%s of nothing", what)
				}
			case over:
				ends, open = ends+1, false
			}
		}
		for range rapid.IntRange(1, 200).Draw(r, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 300).Draw(r, "seconds")) * time.Second)
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0:
				was = nil
			case 1:
				was = &reconciler.Trouble{Commit: fmt.Sprint(rapid.IntRange(1, 4).Draw(r, "commit")), Items: []reconciler.TroubleItem{{Tenant: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "tenant")}}}
			}
			hear(was)
		}
		for range 2 * int(spacing/window) { // it stays so
			now = now.Add(window)
			hear(was)
		}
		for i := 1; i < len(news); i++ {
			if gap := news[i].Sub(news[i-1]); gap < spacing {
				r.Fatalf("told twice within %s", gap)
			}
		}
		if ends > len(news) {
			r.Fatalf("%d ends of %d beginnings", ends, len(news))
		}
		if open != (was != nil) || state.due(was) != nothing {
			r.Fatalf("they believe that it lasts: %t; it does: %t; to be told: %q", open, was != nil, state.due(was))
		}
	})
}

func TestWhatIsToldOfATrouble(t *testing.T) {
	start := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	acme := &reconciler.Trouble{Commit: "1", Items: []reconciler.TroubleItem{{Tenant: "acme", Text: "timeout after 3.1s"}}}
	again := &reconciler.Trouble{Commit: "1", Items: []reconciler.TroubleItem{{Tenant: "acme", Text: "timeout after 3.2s"}}}
	more := &reconciler.Trouble{Commit: "1", Items: []reconciler.TroubleItem{{Tenant: "acme"}, {Tenant: "beta"}}}
	var state told
	for i, c := range []struct {
		at      time.Duration
		trouble *reconciler.Trouble
		want    step
	}{
		{0, acme, nothing}, // it may be over, or there may be more of it, in a moment
		{window, acme, begun},
		{window + time.Minute, again, nothing}, // the same in other words
		{window + 2*time.Minute, more, nothing},
		{window + 9*time.Minute, more, nothing},
		{window + spacing, more, changed},
		{time.Hour, acme, nothing}, // less of it
		{time.Hour + time.Minute, nil, nothing},
		{time.Hour + time.Minute + window, nil, over},
		{2 * time.Hour, acme, nothing},
		{2*time.Hour + 5*time.Second, nil, nothing}, // told at once that it was
		{2*time.Hour + window, nil, passed},
		{3 * time.Hour, nil, nothing},
	} {
		if got, _ := state.next(start.Add(c.at), c.trouble); got != c.want {
			t.Fatalf("%d, after %s: %q, want %q", i, c.at, got, c.want)
		}
	}
}
