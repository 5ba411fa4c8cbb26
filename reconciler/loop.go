package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Loop keeps a platform true to the watched branch: it reconciles when the branch moves, when something is seen to
// differ, and again after a failure. The newest commit wins: what was pushed meanwhile is skipped over.
type Loop struct {
	Reconciler *Reconciler
	Feed       *Feed
	LookEvery  time.Duration // between looks at the far sides; 0: DefaultLookEvery
	Backoff    time.Duration // after a first failure, doubled up to MaxBackoff; 0: DefaultBackoff

	mu     sync.Mutex
	status Status
	wake   chan struct{}
	handed chan handedOver
	look   bool // somebody asked for a look

	targets []planner.Target // of the last plan

	// Used by the loop alone:
	lastLook time.Time
	failures int
	told     string // last refusal, so that it is told once
}

// The defaults of a Loop's times.
const (
	DefaultLookEvery = 15 * time.Second
	DefaultBackoff   = 2 * time.Second
	MaxBackoff       = 2 * time.Minute
)

// Status is where a Loop stands.
type Status struct {
	Head        string    `json:"head,omitempty"`       // newest commit that was seen
	Applied     string    `json:"applied,omitempty"`    // newest commit that is wholly true
	Converged   bool      `json:"converged"`            // Head is Applied and nothing is known to differ
	Message     string    `json:"message,omitempty"`    // of the last failure or refusal
	Since       time.Time `json:"since,omitzero"`       // of Converged
	NextAttempt time.Time `json:"nextAttempt,omitzero"` // after a failure
	Runs        int       `json:"runs"`                 // since hostd started
	Failed      int       `json:"failed"`
}

// Status returns where the loop stands.
func (l *Loop) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Targets returns the far sides of the last plan.
func (l *Loop) Targets() []planner.Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.targets
}

func (l *Loop) setStatus(set func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.status.Converged
	set(&l.status)
	if was != l.status.Converged {
		l.status.Since = time.Now().UTC()
	}
}

func (l *Loop) wakeup() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{}, 1)
	}
	return l.wake
}

// Wake asks for a pass soon. It never blocks.
func (l *Loop) Wake() {
	select {
	case l.wakeup() <- struct{}{}:
	default:
	}
}

// Look asks for a look at the far sides and a pass soon. It never blocks.
func (l *Loop) Look() {
	l.mu.Lock()
	l.look = true
	l.mu.Unlock()
	l.Wake()
}

// Run reconciles until ctx is done. A run under way finishes the changes it has started.
func (l *Loop) Run(ctx context.Context) error {
	watched := make(chan error, 1)
	go func() { watched <- l.Reconciler.Source.Watch(ctx, l.Wake) }()
	wake, plans := l.wakeup(), l.plans()
	for {
		pause := l.pass(ctx)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return <-watched
		case err := <-watched:
			timer.Stop()
			return fmt.Errorf("watch the repository: %w", err)
		case h := <-plans:
			timer.Stop()
			l.applyHandedOver(ctx, h)
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pass brings the platform to the newest commit, once, and says how long to wait for the next pass without cause.
func (l *Loop) pass(ctx context.Context) time.Duration {
	commit, err := l.Reconciler.Source.Head(ctx)
	if errors.Is(err, ErrNoCommit) {
		return l.every()
	}
	if err != nil {
		return l.failed(ctx, commit, fmt.Errorf("read the branch: %w", err))
	}
	l.setStatus(func(s *Status) { s.Head = commit; s.Converged = s.Converged && s.Applied == commit })
	if err := l.Reconciler.newest(ctx, commit); err != nil {
		return l.refused(commit, err)
	}
	if l.lookDue() {
		if _, err := l.Reconciler.Look(ctx, l.Targets()); err != nil {
			l.Reconciler.Log.Error("look at the far sides", "error", err)
		}
	}
	plan, err := l.Reconciler.Plan(ctx, commit)
	if err != nil {
		return l.planFailed(ctx, commit, err)
	}
	l.setTargets(plan.Targets)
	if plan.Empty() && l.Status().Applied == commit {
		return l.settled(commit)
	}
	return l.apply(ctx, plan)
}

func (l *Loop) setTargets(t []planner.Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets = t
}

func (l *Loop) every() time.Duration {
	if l.LookEvery > 0 {
		return l.LookEvery
	}
	return DefaultLookEvery
}

// lookDue reports whether it is time for a look, and takes the request for one.
func (l *Loop) lookDue() bool {
	l.mu.Lock()
	asked := l.look
	l.look = false
	l.mu.Unlock()
	if l.Targets() == nil || (!asked && time.Since(l.lastLook) < l.every()) {
		return false
	}
	l.lastLook = time.Now()
	return true
}

func (l *Loop) apply(ctx context.Context, plan planner.Plan) time.Duration {
	began := time.Now()
	log := l.Reconciler.Log.With("commit", short(plan.Commit))
	if !plan.Empty() {
		log.Info("planned", "changes", len(plan.Changes))
	}
	l.publish(Event{Commit: plan.Commit, Kind: EventPlanned, Text: planText(plan)})
	l.setStatus(func(s *Status) { s.Converged = false })

	err := l.Reconciler.Apply(ctx, plan, func(e executors.Event) { l.progress(plan, e) })
	l.setStatus(func(s *Status) { s.Runs++ })
	if err != nil {
		return l.runFailed(ctx, plan, err)
	}
	took := time.Since(began)
	log.Info("applied", "changes", len(plan.Changes), "took", took)
	l.publish(Event{Commit: plan.Commit, Kind: EventApplied, Text: fmt.Sprintf("applied %s: %d changes in %s", short(plan.Commit), len(plan.Changes), took.Round(time.Millisecond))})
	l.lastLook = time.Now() // what was just applied need not be looked at
	return l.settled(plan.Commit)
}

// settled notes that a commit is wholly true.
func (l *Loop) settled(commit string) time.Duration {
	l.failures, l.told = 0, ""
	l.setStatus(func(s *Status) {
		s.Applied, s.Converged, s.Message, s.NextAttempt = commit, true, "", time.Time{}
	})
	return l.every()
}

// runFailed decides when to try again: at once where it has turned out that a node is down, for the next plan does
// without it; else after a while.
func (l *Loop) runFailed(ctx context.Context, plan planner.Plan, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	var locked *LockedError
	if errors.As(err, &locked) || errors.Is(err, ErrStale) {
		l.Reconciler.Log.Info("waiting", "for", err)
		return time.Second
	}
	moved, lookErr := l.Reconciler.Look(ctx, plan.Targets)
	if lookErr != nil {
		l.Reconciler.Log.Error("look at the far sides", "error", lookErr)
	}
	l.lastLook = time.Now()
	if moved && l.failures == 0 {
		l.failures++
		l.Reconciler.Log.Warn("run failed; planning again without what is down", "commit", short(plan.Commit), "error", err)
		return 0
	}
	return l.failed(ctx, plan.Commit, err)
}

func (l *Loop) planFailed(ctx context.Context, commit string, err error) time.Duration {
	if executors.KindOf(err) == executors.Unknown && !refusal(err) {
		return l.failed(ctx, commit, err)
	}
	return l.refused(commit, err)
}

// refused tells once that a commit can't be applied, and waits for another one.
func (l *Loop) refused(commit string, err error) time.Duration {
	l.setStatus(func(s *Status) { s.Converged, s.Message = false, err.Error() })
	if text := commit + err.Error(); text != l.told {
		l.told = text
		l.Reconciler.Log.Warn("refused", "commit", short(commit), "error", err)
		l.publish(Event{Commit: commit, Kind: EventRefused, Text: err.Error()})
	}
	return l.every()
}

// failed tells that something failed which another try may mend.
func (l *Loop) failed(ctx context.Context, commit string, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	pause := l.Backoff
	if pause == 0 {
		pause = DefaultBackoff
	}
	pause = min(pause<<min(l.failures, 10), MaxBackoff)
	l.failures++
	l.setStatus(func(s *Status) {
		s.Converged, s.Message, s.NextAttempt = false, err.Error(), time.Now().Add(pause).UTC()
		s.Failed++
	})
	l.Reconciler.Log.Error("failed", "commit", short(commit), "error", err, "next", pause)
	l.publish(Event{Commit: commit, Kind: EventFailed, Text: fmt.Sprintf("%s\nnext attempt in %s", err, pause)})
	return pause
}

func (l *Loop) publish(e Event) {
	e.Time = time.Now().UTC()
	l.Feed.Publish(e)
}

func (l *Loop) progress(plan planner.Plan, e executors.Event) {
	if e.Err != nil {
		l.Reconciler.Log.Warn("change", "ref", e.Change.Ref().String(), "action", e.Change.Action, "phase", e.Phase, "error", e.Err)
	}
	l.publish(ChangeEventOf(plan, e))
}

// ChangeEventOf tells a step of a run as an Event.
func ChangeEventOf(plan planner.Plan, e executors.Event) Event {
	c := ChangeEvent{ID: e.Change.ID, Of: len(plan.Changes), Ref: e.Change.Ref(), Action: e.Change.Action, Phase: string(e.Phase), Elapsed: e.Elapsed}
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
