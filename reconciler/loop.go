package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// Loop keeps a platform true to the watched branch: it reconciles when the branch moves, when something is seen to
// differ, and again after a failure. The newest commit wins: what was pushed meanwhile is skipped over. As long as the
// newest one is refused, the one that was applied last is kept true.
type Loop struct {
	Reconciler *Reconciler
	Feed       *Feed
	LookEvery  time.Duration // between looks at the engines, and whether nodes answer; 0: DefaultLookEvery
	Backoff    time.Duration // after a first failure, doubled up to MaxBackoff; 0: DefaultBackoff

	ObserveEvery time.Duration // between looks at all that the far sides hold; 0: DefaultObserveEvery

	mu      sync.Mutex
	status  Status
	wake    chan struct{}
	handed  chan *handedOver
	stopped chan struct{}      // closed when Run has returned
	look    bool               // somebody asked for a look
	retry   bool               // somebody asked not to wait for the next attempt
	targets []planner.Target   // of the last plan
	policy  schema.DriftPolicy // of its commit
	noticed chan struct{}      // a node tells of drift
	lookout lookout

	troubles Troubles
	nodes    nodes

	// Used by the loop alone:
	head     string    // newest commit that was seen
	failures int       // of it, one after the other
	retryAt  time.Time // nothing is tried before, unless there is a new reason
	again    bool      // the last attempt was made at once after a failure
	told     string    // last refusal, so that it is logged once
	lastLook time.Time
	down     map[string]string // nodes that the last look couldn't reach
}

// The defaults of a Loop's times.
const (
	DefaultLookEvery = 15 * time.Second
	DefaultBackoff   = 2 * time.Second
	MaxBackoff       = 2 * time.Minute
)

const (
	lookSpacing = time.Second // looks that are asked for don't follow each other more closely
	waitForRun  = time.Second // until the lock of somebody else's run is tried again
)

// Wake asks for a pass soon. It never blocks.
func (l *Loop) Wake() {
	select {
	case l.channels().wake <- struct{}{}:
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

// Retry is Look, and after a failure the next attempt isn't waited for: somebody has mended something. It never blocks.
func (l *Loop) Retry() {
	l.mu.Lock()
	l.retry = true
	l.mu.Unlock()
	l.Look()
}

type channels struct {
	wake    chan struct{}
	handed  chan *handedOver
	stopped chan struct{}
	noticed chan struct{}
}

// channels makes the loop's channels when one is first needed.
func (l *Loop) channels() channels {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake, l.handed, l.stopped = make(chan struct{}, 1), make(chan *handedOver), make(chan struct{})
		l.noticed = make(chan struct{}, 1)
	}
	return channels{l.wake, l.handed, l.stopped, l.noticed}
}

// Run reconciles until ctx is done; it may be called once. A run under way finishes the changes it has started.
func (l *Loop) Run(ctx context.Context) error {
	ch := l.channels()
	defer close(ch.stopped)
	watching, unwatch := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- l.Reconciler.Source.Watch(watching, l.Wake) }()
	drift := l.observing(watching)
	var nodes sync.WaitGroup
	defer nodes.Wait()
	defer unwatch()
	nodes.Go(func() { l.watching(watching) })
	for ctx.Err() == nil {
		pause := l.pass(ctx)
		select {
		case <-ctx.Done():
		case err := <-watched:
			return watchEnded(ctx, err)
		case h := <-ch.handed:
			h.done <- l.applyHandedOver(ctx, h)
		case d := <-drift:
			l.foundDrift(ctx, d)
		case <-ch.wake:
		case <-time.After(max(0, min(pause, l.untilLook()))):
		}
	}
	return <-watched
}

// watchEnded makes an error of a watch that has ended before ctx was done.
func watchEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if err == nil {
		err = errors.New("it is no longer told when it changes")
	}
	return fmt.Errorf("watch the repository: %w", err)
}

// pass brings the platform to the newest commit, once, and says how long to wait for the next pass without cause.
func (l *Loop) pass(ctx context.Context) time.Duration {
	followed := l.Feed.passBegins()
	defer l.Feed.passEnds()
	head, err := l.Reconciler.Source.Head(ctx)
	if errors.Is(err, ErrNoCommit) {
		return l.every()
	}
	if err != nil {
		return l.failed(ctx, "", fmt.Errorf("read the branch: %w", err))
	}
	pushed := l.arrived(head)
	l.tellSuperseded(ctx, head, followed)

	moved, asked := l.lookIfDue(ctx, pushed), l.takeRetry()
	if wait := time.Until(l.retryAt); wait > 0 && !moved && !asked {
		return wait
	}
	return l.reconcile(ctx, head)
}

// arrived notes the newest commit and reports whether it is a new one. What an older one has failed at says nothing
// about it.
func (l *Loop) arrived(head string) (pushed bool) {
	if head != l.head {
		pushed = l.head != ""
		l.head, l.failures, l.retryAt, l.again, l.told = head, 0, time.Time{}, false, ""
	}
	l.setStatus(func(s *Status) { s.Head = head; s.Converged = s.Converged && s.Applied == head })
	return pushed
}

// takeRetry reports whether somebody asked not to wait, and takes the request.
func (l *Loop) takeRetry() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.retry
	l.retry = false
	return asked
}

// tellSuperseded tells those who follow a commit that the branch has left behind, and who would wait for it in vain.
func (l *Loop) tellSuperseded(ctx context.Context, head string, followed []string) {
	for _, commit := range followed {
		if k := l.Feed.last(commit).Kind; commit == head || k.Final() && k != EventFailed {
			continue
		}
		text := fmt.Sprintf("the branch is at %s, which doesn't contain commit %s", short(head), short(commit))
		switch relation, err := l.Reconciler.Source.Relation(ctx, commit, head); {
		case ctx.Err() != nil:
			return
		case err == nil && relation == Ahead:
			text = fmt.Sprintf("commit %s is part of %s, which was pushed meanwhile and is applied in its place", short(commit), short(head))
		}
		l.publish(Event{Commit: commit, Kind: EventSuperseded, Text: text})
	}
}

// reconcile plans the newest commit and applies it where that changes something.
func (l *Loop) reconcile(ctx context.Context, head string) time.Duration {
	var plan planner.Plan
	latest, err := l.Reconciler.latest(ctx)
	if err == nil {
		err = l.Reconciler.newest(ctx, head, latest)
	}
	if err == nil {
		err = l.Reconciler.Authorised(ctx, latest.Commit, head)
	}
	if err == nil {
		plan, err = l.Reconciler.Plan(ctx, head)
	}
	if err == nil && plan.Empty() {
		err = frozen(plan) // nothing is to be done, and the commit isn't wholly true
	}
	switch {
	case Refusal(err):
		l.refused(head, err)
		return l.keep(ctx, latest)
	case err != nil:
		return l.failed(ctx, head, err)
	}
	l.setTargets(plan)
	if plan.Empty() && latest.Commit == head && latest.State == Succeeded {
		return l.settled(head, "")
	}
	return l.attempt(ctx, plan)
}

// keep keeps the commit true that was tried last, while the newest one is refused: a mistake in a commit must not stop
// the mending of what breaks meanwhile.
func (l *Loop) keep(ctx context.Context, latest Run) time.Duration {
	if latest.Commit == "" || latest.Commit == l.head {
		return l.every()
	}
	plan, err := l.Reconciler.Plan(ctx, latest.Commit)
	if err != nil {
		l.Reconciler.Log.Warn("the commit before can't be planned either", "commit", short(latest.Commit), "error", err)
		return l.every()
	}
	l.setTargets(plan)
	if plan.Empty() {
		l.setTroubles(func(t *Troubles) { t.Failed = awayTrouble(latest.Commit, l.down) })
		return l.every()
	}
	return l.attempt(ctx, plan)
}

func (l *Loop) every() time.Duration { return cmp.Or(l.LookEvery, DefaultLookEvery) }

// untilLook returns the time until the next look is due: at once where somebody asked for one and the last one was a
// while ago.
func (l *Loop) untilLook() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.every()
	if l.look {
		next = min(next, lookSpacing)
	}
	return next - time.Since(l.lastLook)
}

// lookIfDue looks at the far sides if it is time, and reports whether that has changed the next plan. Somebody waits for
// a commit that was just pushed: the look can wait a little instead.
func (l *Loop) lookIfDue(ctx context.Context, pushed bool) bool {
	wait := l.untilLook()
	return wait <= 0 && (!pushed || wait < -l.every()) && l.lookNow(ctx)
}

// lookNow looks at the far sides, and reports whether that has changed the next plan.
func (l *Loop) lookNow(ctx context.Context) bool {
	l.setLook(false) // what happens from here on asks again
	seen, err := l.Reconciler.Look(ctx, l.Targets())
	if err != nil && ctx.Err() == nil {
		l.Reconciler.Log.Error("look at the far sides", "error", err)
	}
	l.lastLook = time.Now()
	switch {
	case seen.Busy:
		l.setLook(true)
	case err == nil:
		l.down = seen.Down
	}
	return seen.Moved
}

func (l *Loop) setLook(look bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look = look
}
