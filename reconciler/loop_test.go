package reconciler_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// looping is a world with a loop that runs.
type looping struct {
	*world
	*reconciler.Loop
	stop  context.CancelFunc
	ended chan error
}

// run starts a loop that looks only when it is asked to.
func run(t testing.TB, w *world, set ...func(*reconciler.Loop)) *looping {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &looping{
		world: w, stop: stop, ended: make(chan error, 1),
		Loop: &reconciler.Loop{Reconciler: w.rec, Feed: &reconciler.Feed{}, LookEvery: time.Hour, Backoff: time.Minute},
	}
	for _, f := range set {
		f(l.Loop)
	}
	go func() { l.ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := l.wait(); err != nil {
			t.Errorf("the loop ended: %v", err)
		}
	})
	return l
}

// wait waits until the loop has ended.
func (l *looping) wait() error {
	select {
	case err := <-l.ended:
		l.ended <- err
		return err
	case <-time.After(patience):
		return errors.New("it didn't end")
	}
}

// converged waits until a commit is wholly true.
func (l *looping) converged(commit string) {
	l.Helper()
	until(l, "commit "+commit+" is wholly true", func() bool {
		s := l.Status()
		return s.Converged && s.Applied == commit && s.Head == commit
	})
}

// follow follows a commit to its final event and returns all of them.
func (l *looping) follow(commit string) []reconciler.Event {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var events []reconciler.Event
	err := l.Follow(ctx, commit, func(e reconciler.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		l.Errorf("follow %s: %v; so far %v", commit, err, kinds(events))
	}
	return events
}

// following follows a commit meanwhile; what it returns waits for the events.
func (l *looping) following(commit string) func() []reconciler.Event {
	events := make(chan []reconciler.Event, 1)
	go func() { events <- l.follow(commit) }()
	return func() []reconciler.Event { return <-events }
}

// kinds tells events in short, without the single changes.
func kinds(events []reconciler.Event) string {
	var ks []string
	for _, e := range events {
		if e.Kind != reconciler.EventChange {
			ks = append(ks, string(e.Kind))
		}
	}
	return strings.Join(ks, " ")
}

func wantKinds(t testing.TB, what string, events []reconciler.Event, want string) {
	t.Helper()
	if got := kinds(events); got != want {
		t.Errorf("%s: events are %q, want %q", what, got, want)
	}
}

func last(events []reconciler.Event) string {
	if len(events) == 0 {
		return ""
	}
	return events[len(events)-1].Text
}

// gate lets changes wait.
type gate struct {
	once    sync.Once
	reached chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) pass(context.Context, []planner.Change) {
	g.once.Do(func() { close(g.reached) })
	<-g.open
}

// bad is a tree with a mistake in a tenant's file.
func bad(t testing.TB) schema.MapTree { return with(t, minimal(t), "webroots: 2", "webrots: 2") }

func two(t testing.TB) schema.MapTree { return with(t, minimal(t), "nodeCount: 1", "nodeCount: 2") }

func TestLoopAppliesWhatIsPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	first := w.push(minimal(t))
	events := l.follow(first)
	wantKinds(t, "the first push", events, "planned applied")
	if changes := slices.ContainsFunc(events, func(e reconciler.Event) bool { return e.Change != nil }); !changes {
		t.Error("no change is told")
	}
	l.converged(first)
	second := w.push(two(t))
	wantKinds(t, "the second push", l.follow(second), "planned applied")
	same := w.push(two(t))
	wantKinds(t, "a push that changes nothing", l.follow(same), "planned applied")
	l.converged(same)
	w.wantTrue(same)
	wantKinds(t, "following later", l.follow(second), "planned applied")
	wantKinds(t, "following later still", l.follow(same), "planned applied")
}

// A program that starts again begins no run where all is well, and tells those who follow so.
func TestLoopStartsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	l := run(t, w)
	wantKinds(t, "follow", l.follow(commit), "applied")
	l.converged(commit)
	if n := len(w.runs()); n != 1 {
		t.Errorf("there were %d runs", n)
	}
}

// What broke while nobody looked is found before the first plan.
func TestLoopLooksAsItStarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(two(t))
	w.far.loseContainer("web-1-0")
	l := run(t, w)
	l.converged(commit)
	w.wantTrue(commit)
}

func TestLoopRefusesAMistakeOnceAndTakesTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	first := w.push(minimal(t))
	l.follow(first)
	mistake := w.push(bad(t))
	events := l.follow(mistake)
	wantKinds(t, "the mistake", events, "refused")
	if !strings.Contains(last(events), "platform/plans/small.yaml:") {
		t.Errorf("the refusal doesn't say where: %s", last(events))
	}
	for range 3 {
		wantKinds(t, "following the mistake later", l.follow(mistake), "refused")
	}
	if s := l.Status(); s.Converged || s.Head != mistake || !strings.Contains(s.Message, "webrots") {
		t.Errorf("the status is %+v", s)
	}
	mended := w.push(minimal(t))
	wantKinds(t, "the mended commit", l.follow(mended), "planned applied")
	l.converged(mended)
}

// A mistake that was pushed doesn't keep what breaks meanwhile from being mended.
func TestLoopMendsWhileTheNewestCommitIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	first := w.push(two(t))
	l.follow(first)
	mistake := w.push(bad(t))
	l.follow(mistake)
	w.far.loseContainer("web-1-0")
	l.Look()
	until(t, "the container is made again", func() bool {
		runs := w.runs()
		return len(runs) > 1 && runs[0].State == reconciler.Succeeded
	})
	w.wantTrue(first)
	if s := l.Status(); s.Converged || s.Head != mistake || !strings.Contains(s.Message, "webrots") {
		t.Errorf("the status is %+v", s)
	}
}

// A push of an older commit is refused, also to one who follows and whose commit was applied well before.
func TestLoopRefusesAnOlderCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := run(t, w)
	first := w.push(minimal(t))
	l.follow(first)
	second := w.push(two(t))
	l.follow(second)
	w.move(1)
	events := l.follow(first)
	wantKinds(t, "the older commit", events, "refused")
	if !strings.Contains(last(events), "git revert") {
		t.Errorf("the refusal has no way out: %s", last(events))
	}
	w.wantTrue(second)
}

// One who follows a commit that another push has overtaken is told so.
func TestLoopTellsWhatIsSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	w.far.onApply = g.pass
	l := run(t, w)
	first := w.push(minimal(t))
	running := l.following(first)
	<-g.reached
	overtaken := w.push(two(t))
	waiting := l.following(overtaken)
	newest := w.push(minimal(t))
	close(g.open)
	wantKinds(t, "the commit that was running", running(), "planned applied")
	events := waiting()
	wantKinds(t, "the commit that was overtaken", events, "superseded")
	if !strings.Contains(last(events), newest[:12]) {
		t.Errorf("it isn't said by what: %s", last(events))
	}
	wantKinds(t, "the newest commit", l.follow(newest), "planned applied")
	wantKinds(t, "a commit that nobody knows", l.follow(strings.Repeat("ab", 20)), "superseded")
}

// Another program's run is waited for, and that is told once. Meanwhile the loop answers, and takes what is newer (G14).
func TestG14_WaitingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.push(minimal(t))
	j, err := w.store.Begin(t.Context(), w.plan(commit), reconciler.Holder{Name: "hostctl"})
	w.must(err)
	l := run(t, w)
	following := l.following(commit)
	until(t, "the loop waits", func() bool { return strings.Contains(l.Status().Message, "run 1 of hostctl") })
	newer := w.push(two(t))
	wantKinds(t, "the older commit", following(), "waiting superseded")
	until(t, "the newer commit waits", func() bool {
		s := l.Status()
		return s.Head == newer && strings.Contains(s.Message, "run 1 of hostctl")
	})
	if s := l.Status(); s.Converged || s.Runs > 0 {
		t.Errorf("while another run is under way: %+v", s)
	}
	w.must(j.End(t.Context(), reconciler.Failed, ""))
	l.converged(newer)
	wantKinds(t, "the newer commit", l.follow(newer), "planned applied")
}

func TestLoopSeesTheBranchAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fail(errors.New("the disk is away"))
	l := run(t, w)
	until(t, "the failure is told", func() bool { return strings.Contains(l.Status().Message, "the disk is away") })
	w.fail(nil)
	commit := w.push(minimal(t))
	wantKinds(t, "the push", l.follow(commit), "planned applied")
	l.converged(commit)
}

// SIGTERM in the middle of a run: what has begun ends, nothing more begins, followers are told, and the next start goes on.
func TestLoopIsStoppedDuringARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	w.far.onApply = g.pass
	l := run(t, w)
	commit := w.push(minimal(t))
	following := l.following(commit)
	<-g.reached
	l.stop()
	close(g.open)
	w.must(l.wait())
	events := following()
	wantKinds(t, "the commit that was running", events, "planned failed")
	if !strings.Contains(last(events), "hostd stops") {
		t.Errorf("the end says: %s", last(events))
	}
	if r := w.runs()[0]; r.State != reconciler.Interrupted || r.Done == 0 {
		t.Errorf("the run is recorded as %+v", r)
	}
	if err := l.Follow(t.Context(), strings.Repeat("0", 40), func(reconciler.Event) error { return nil }); !errors.Is(err, reconciler.ErrStopped) {
		t.Errorf("following after the end: %v", err)
	}
	w.far.onApply = nil
	again := run(t, w)
	again.converged(commit)
	w.wantTrue(commit)
}

// stubborn is a repository whose watch ends by itself.
type stubborn struct {
	*source
	err error
}

func (s stubborn) Watch(context.Context, func()) error { return s.err }

func TestLoopEndsWhenTheRepositoryCannotBeWatched(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("too many watches")} {
		w := newWorld(t)
		w.rec.Source = stubborn{w.source, err}
		loop := &reconciler.Loop{Reconciler: w.rec, Feed: &reconciler.Feed{}}
		if got := loop.Run(t.Context()); got == nil || err != nil && !errors.Is(got, err) {
			t.Errorf("watch ended with %v, the loop with %v", err, got)
		}
	}
}

func TestLoopLogsARefusalOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log lines
	w.rec.Log = slog.New(slog.NewTextHandler(&log, nil))
	l := run(t, w)
	mistake := w.push(bad(t))
	for range 5 {
		l.follow(mistake)
	}
	if n := strings.Count(log.String(), "msg=refused"); n != 1 {
		t.Errorf("the refusal is logged %d times:\n%s", n, log.String())
	}
}

// lines is a log that several goroutines may write.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A loop that has ended leaves no goroutine behind: not its watch, not a run's, not a follower's.
func TestLoopLeavesNothingBehind(t *testing.T) { // not in parallel: others have such goroutines
	w := newWorld(t)
	l := run(t, w)
	commit := w.push(minimal(t))
	following := l.following(strings.Repeat("0", 40))
	l.follow(commit)
	following()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.Follow(ctx, commitID(99), func(reconciler.Event) error { return nil }) // one who goes away, or was told before
	l.stop()
	w.must(l.wait())
	until(t, "all goroutines of the loop have ended", func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "hostctl/reconciler.(")
	})
}
