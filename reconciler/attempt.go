package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// attempt applies a plan and returns the time until the next pass.
func (l *Loop) attempt(ctx context.Context, plan planner.Plan) time.Duration {
	summary, err := l.run(ctx, plan, "", func(Event) {})
	if err != nil {
		return l.runFailed(ctx, plan, err)
	}
	return l.ranWell(plan, summary)
}

// ranWell tells how a run has ended that did all its plan says. A plan that leaves frozen tenants out is refused in part:
// what could be done is done, and the commit isn't wholly true.
func (l *Loop) ranWell(plan planner.Plan, summary string) time.Duration {
	if err := frozen(plan); err != nil && plan.Commit == l.head {
		l.noteApplied(plan.Commit)
		l.refused(plan.Commit, err)
		return l.every()
	}
	return l.settled(plan.Commit, summary)
}

// run applies a plan, by break-glass where it says why, and tells the followers of its commit, and also. The plan is told
// when its run has begun. What is to be told at its end is returned.
func (l *Loop) run(ctx context.Context, plan planner.Plan, why string, also func(Event)) (summary string, err error) {
	began := time.Now()
	var run int64
	log := l.Reconciler.Log.With("commit", short(plan.Commit))
	announce := sync.OnceFunc(func() {
		log.Info("planned", "changes", len(plan.Changes))
		l.publish(Event{Commit: plan.Commit, Kind: EventPlanned, Text: planText(plan), Run: run})
	})
	l.retryAt = time.Time{}
	l.setStatus(func(s *Status) { s.Converged, s.NextAttempt = false, time.Time{} })

	how := applying{why: why, began: func(id int64) { run = id }}
	err = l.Reconciler.apply(ctx, plan, how, func(e executors.Event) {
		announce()
		l.logChange(e)
		event := ChangeEventOf(plan, e)
		event.Run = run
		l.publish(event)
		also(event)
	})
	if waits(err) {
		return "", err
	}
	l.setStatus(func(s *Status) { s.Runs++ })
	if err != nil {
		return "", err
	}
	announce()
	took := time.Since(began)
	log.Info("applied", "changes", len(plan.Changes), "took", took)
	return fmt.Sprintf("applied %s: %d changes in %s", short(plan.Commit), len(plan.Changes), took.Round(time.Millisecond)), nil
}

// waits reports whether a run couldn't begin for what others do: it is planned again soon.
func waits(err error) bool {
	var locked *LockedError
	return errors.As(err, &locked) || errors.Is(err, ErrStale)
}

// wait tells once what a commit waits for.
func (l *Loop) wait(commit string, err error) time.Duration {
	l.retryAt = time.Now().Add(waitForRun)
	l.setStatus(func(s *Status) { s.Message = err.Error() })
	if last := l.Feed.last(commit); last.Kind != EventWaiting || last.Text != err.Error() {
		l.Reconciler.Log.Info("waiting", "for", err)
		l.publish(Event{Commit: commit, Kind: EventWaiting, Text: err.Error()})
	}
	return waitForRun
}

// settled notes that a commit is true, and tells the summary of the run that made it so; "" if it was so before.
func (l *Loop) settled(commit, summary string) time.Duration {
	l.noteApplied(commit)
	if summary != "" || l.Feed.last(commit).Kind != EventApplied {
		l.publish(Event{Commit: commit, Kind: EventApplied, Text: cmp.Or(summary, short(commit)+" is applied already")})
	}
	return l.every()
}

func (l *Loop) noteApplied(commit string) {
	l.failures, l.again, l.retryAt = 0, false, time.Time{}
	if commit == l.head {
		l.told = ""
	}
	away := outOfReach(l.down)
	l.setTroubles(func(t *Troubles) {
		t.Failed = awayTrouble(commit, l.down)
		if commit == l.head {
			t.Refused = nil
		}
	})
	l.setStatus(func(s *Status) {
		s.Applied, s.NextAttempt = commit, time.Time{}
		if commit == s.Head { // else it is refused, and its message stays
			s.Converged, s.Message = away == "", away
		}
	})
}

// runFailed decides when to try again: at once, but not twice in a row, where it has turned out that a node is down or
// something is gone, for the next plan does without it; else after a while.
func (l *Loop) runFailed(ctx context.Context, plan planner.Plan, err error) time.Duration {
	if ctx.Err() != nil {
		l.publish(Event{Commit: plan.Commit, Kind: EventFailed, Text: fmt.Sprintf("%s\nhostd stops; it goes on from there when it starts again", err)})
		return 0
	}
	if waits(err) {
		return l.wait(plan.Commit, err)
	}
	if l.lookNow(ctx) && !l.again {
		l.again = true
		l.Reconciler.Log.Warn("run failed; planning again with what was found", "commit", short(plan.Commit), "error", err)
		return 0
	}
	l.again = false
	return l.failed(ctx, plan.Commit, err)
}

// refused tells that a commit can't be applied; only another commit, or another state of things, can change that.
func (l *Loop) refused(commit string, err error) {
	l.setStatus(func(s *Status) { s.Converged, s.Message, s.NextAttempt = false, err.Error(), time.Time{} })
	l.setTroubles(func(t *Troubles) { t.Refused = refusedTrouble(commit, err) })
	if text := commit + err.Error(); text != l.told {
		l.told = text
		l.Reconciler.Log.Warn("refused", "commit", short(commit), "error", err)
	}
	if last := l.Feed.last(commit); last.Kind != EventRefused || last.Text != err.Error() {
		l.publish(Event{Commit: commit, Kind: EventRefused, Text: err.Error(), Frozen: tenants(err)})
	}
}

// failed tells that something failed which another try may mend, and returns the time until then. Without a commit there
// is nobody to tell.
func (l *Loop) failed(ctx context.Context, commit string, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	pause := min(cmp.Or(l.Backoff, DefaultBackoff)<<min(l.failures, 10), MaxBackoff)
	next := time.Now().Add(pause)
	l.failures++
	l.told = ""
	l.setStatus(func(s *Status) {
		s.Converged, s.Message, s.NextAttempt = false, err.Error(), next.UTC()
		s.Failed++
	})
	l.setTroubles(func(t *Troubles) { t.Failed = failedTrouble(commit, err) })
	l.Reconciler.Log.Error("failed", "commit", short(commit), "error", err, "next", pause)
	if commit != "" {
		l.retryAt = next
		l.publish(Event{Commit: commit, Kind: EventFailed, Text: fmt.Sprintf("%s\nnext attempt in %s", err, pause)})
	}
	return pause
}

func (l *Loop) publish(e Event) {
	e.Time = time.Now().UTC()
	l.Feed.Publish(e)
}

// logChange logs a change that was tried in vain. Those that come after it are told of by the run.
func (l *Loop) logChange(e executors.Event) {
	if e.Phase == executors.PhaseFinished && e.Err != nil {
		l.Reconciler.Log.Warn("change", "ref", e.Change.Ref().String(), "action", e.Change.Action, "error", e.Err)
	}
}

// ChangeEventOf tells a step of a run as an Event.
func ChangeEventOf(plan planner.Plan, e executors.Event) Event {
	c := ChangeEvent{ID: e.Change.ID, Of: len(plan.Changes), Ref: e.Change.Ref(), Action: e.Change.Action, Phase: string(e.Phase), Tenant: e.Change.Owner().Tenant, Elapsed: e.Elapsed,
		Stage: e.Stage, Stages: e.Stages, InStage: e.InStage}
	if e.Err != nil {
		c.Error = e.Err.Error()
	}
	return Event{Commit: plan.Commit, Kind: EventChange, Change: &c}
}

func planText(p planner.Plan) string {
	var b strings.Builder
	_ = p.Text(&b, false) // a strings.Builder takes all
	return b.String()
}

func short(commit string) string { return commit[:min(12, len(commit))] }
