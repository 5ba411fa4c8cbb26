package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
	"hostctl/schema"
)

// source is a repository in memory.
type source struct {
	mu      sync.Mutex
	commits []commit
	head    int // of commits, counting from 1; 0: none
	changed func()
	err     error // of Head
	closed  int   // trees
}

type commit struct {
	tree   schema.MapTree
	parent int
	allow  []string // its Allow-Destroy trailers
}

// closableTree counts that it was closed.
type closableTree struct {
	schema.MapTree
	s *source
}

func (t closableTree) Close() error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.closed++
	return nil
}

func commitID(n int) string { return fmt.Sprintf("%040x", n) }

// push adds a commit on top of the branch and returns its id.
func (s *source) push(tree schema.MapTree, allow ...string) string {
	s.mu.Lock()
	s.commits = append(s.commits, commit{tree, s.head, allow})
	n := len(s.commits)
	s.mu.Unlock()
	s.move(n)
	return commitID(n)
}

// move sets the branch to a commit, as a forced push does.
func (s *source) move(n int) {
	s.mu.Lock()
	s.head = n
	changed := s.changed
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) Head(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case s.err != nil:
		return "", s.err
	case s.head == 0:
		return "", reconciler.ErrNoCommit
	}
	return commitID(s.head), nil
}

func (s *source) Resolve(_ context.Context, rev string) (string, error) { return rev, nil }

func (s *source) number(id string) int {
	for n := range s.commits {
		if commitID(n+1) == id {
			return n + 1
		}
	}
	return 0
}

func (s *source) Tree(_ context.Context, id string) (schema.Tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.number(id); n > 0 {
		return closableTree{s.commits[n-1].tree, s}, nil
	}
	return nil, fmt.Errorf("no commit %s", id)
}

func (s *source) Relation(ctx context.Context, a, b string) (reconciler.Relation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch x, y := s.number(a), s.number(b); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case a == b:
		return reconciler.Same, nil
	case s.contains(y, x):
		return reconciler.Ahead, nil
	case s.contains(x, y):
		return reconciler.Behind, nil
	}
	return reconciler.Diverged, nil
}

// contains reports whether the history of commit n contains commit a.
func (s *source) contains(n, a int) bool {
	for ; n > 0 && a > 0; n = s.commits[n-1].parent {
		if n == a {
			return true
		}
	}
	return false
}

// Trailers implements reconciler.Trailers.
func (s *source) Trailers(_ context.Context, _, a, b string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for n := s.number(b); n > 0 && n != s.number(a); n = s.commits[n-1].parent {
		all = append(all, s.commits[n-1].allow...)
	}
	return all, nil
}

func (s *source) Watch(ctx context.Context, changed func()) error {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	changed()
	<-ctx.Done()
	return nil
}

// world is a platform: a repository, an inventory on disk, far sides in memory, and the reconciler between them.
type world struct {
	testing.TB
	*source
	far   *farSides
	store *inventory.Store
	rec   *reconciler.Reconciler
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldIn(t, t.TempDir())
}

func worldIn(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{TB: t, source: &source{}, far: newFarSides()}
	w.open(filepath.Join(dir, "inventory.db"))
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

// open opens the inventory, as a reconciler that starts does.
func (w *world) open(file string) {
	w.Helper()
	store, err := inventory.Open(context.Background(), file)
	w.must(err)
	w.store = store
	w.rec = &reconciler.Reconciler{
		Source: w.source, Inventory: store, Connect: w.far.connect,
		Policy: planner.Policy{
			AgentBinary:  "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
			AllowDestroy: []string{"Tenant/*", "Shard/*", "Host/*", "*/Zone/*", "route/*", "rrset/*", "webroot/*", "container/*"},
		},
		Holder: reconciler.Holder{Name: "test"},
		Log:    slog.New(slog.DiscardHandler),
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) live() planner.Live {
	w.Helper()
	live, err := w.store.Live(context.Background())
	w.must(err)
	return live
}

func (w *world) plan(commit string) planner.Plan {
	w.Helper()
	p, err := w.rec.Plan(context.Background(), commit)
	w.must(err)
	return p
}

// apply plans a commit and applies the plan.
func (w *world) apply(commit string) error {
	w.Helper()
	return w.rec.Apply(context.Background(), w.plan(commit), nil)
}

// applied pushes a tree and applies it.
func (w *world) applied(tree schema.MapTree) string {
	w.Helper()
	id := w.push(tree)
	w.must(w.apply(id))
	return id
}

func (w *world) runs() []reconciler.Run {
	w.Helper()
	runs, err := w.store.Runs(context.Background(), 1000)
	w.must(err)
	return runs
}

// look looks at the far sides, those that were applied last by default, and returns what it saw.
func (w *world) look(at ...planner.Target) reconciler.Seen {
	w.Helper()
	seen, err := w.rec.Look(context.Background(), at)
	w.must(err)
	return seen
}

// wantTrue checks that all is as the commit says: an empty plan, and the far sides as recorded, with nothing there twice.
func (w *world) wantTrue(commit string) {
	w.Helper()
	if p := w.plan(commit); !p.Empty() {
		w.Errorf("the plan isn't empty:\n%s", text(p))
	}
	for _, d := range append(w.far.differences(w.live()), w.far.twice()...) {
		w.Error(d)
	}
}

// patience is how long anything may take.
const patience = 20 * time.Second

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func text(p planner.Plan) string {
	s := ""
	for _, c := range p.Changes {
		s += fmt.Sprintf("%d/%d %s %s after %v (%s)\n", c.Stage, c.ID, c.Action, c.Ref(), c.After, c.Why)
	}
	return s
}

func asType[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}
