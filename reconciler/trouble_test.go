package reconciler_test

import (
	"errors"
	"strings"
	"testing"

	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

func TestTroublesBeginAndEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.far.fail(func(_ memory.Point, c planner.Change) error {
		if c.Ref().Kind == planner.KindVhost {
			return errors.New("no room")
		}
		return nil
	})
	l := run(t, w)
	if s := l.Troubles(); s.Tried || s.Failed != nil {
		t.Errorf("before the first attempt: %+v", s)
	}
	commit := w.push(minimal(t))
	l.follow(commit)
	s := l.Troubles()
	if !s.Tried || s.Failed == nil || s.Refused != nil || s.Failed.Commit != commit || len(s.Failed.Items) == 0 {
		t.Fatalf("a run that failed: %+v", s)
	}
	for _, i := range s.Failed.Items { // those that came after it aren't told
		if i.Tenant != "acme" || !strings.HasPrefix(i.Object, "vhost/") || !strings.Contains(i.Text, "no room") {
			t.Errorf("%+v", i)
		}
	}
	w.far.fail(nil)
	l.Retry()
	until(t, "the failure is over", func() bool { return l.Troubles() == reconciler.Troubles{Tried: true} })

	mistake := w.push(bad(t))
	l.follow(mistake)
	if s = l.Troubles(); s.Failed != nil || s.Refused == nil || s.Refused.Commit != mistake || !strings.Contains(s.Refused.Items[0].Text, "webrots") {
		t.Fatalf("a commit that is refused: %+v", s)
	}
	well := w.push(two(t))
	l.follow(well)
	l.converged(well)
	if s = l.Troubles(); s.Failed != nil || s.Refused != nil {
		t.Errorf("all is well: %+v", s)
	}
}

func TestAudienceIsThatOfACommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := with(t, minimal(t), "  hostmaster:", "  notifications:\n    - {name: mail, type: email, from: a@hosting.test, to: [b@hosting.test], smtp: {server: \"mail.hosting.test:587\"}}\n  hostmaster:")
	first, second := w.applied(told), w.push(minimal(t))
	for commit, want := range map[string]int{first: 1, second: 0} {
		for range 2 { // as it was read, and as it is remembered
			a, err := w.rec.Audience(t.Context(), commit)
			if err != nil || len(a.Notifications) != want {
				t.Fatalf("%s: %+v, %v", commit, a, err)
			}
			if want > 0 && (a.Platform == "" || a.Notifications[0].Mail.TLS != schema.MailStartTLS || len(a.Notifications[0].Events) != 4) {
				t.Errorf("%+v", a)
			}
		}
	}
}
