package git_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hostctl/reconciler/git"
)

// watch starts a Watch and returns its hints. It is ended with the test, and must then return nil.
func watch(t testing.TB, s *git.Source) <-chan time.Time {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	hints, ended := make(chan time.Time, 1000), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func() { hints <- time.Now() }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	await(t, hints) // the first one says that it watches
	return hints
}

func await(t testing.TB, hints <-chan time.Time) time.Time {
	t.Helper()
	select {
	case at := <-hints:
		return at
	case <-time.After(10 * time.Second):
		t.Fatal("no hint")
		return time.Time{}
	}
}

// awaitHead waits for hints until the branch is where it should be.
func awaitHead(t testing.TB, s *git.Source, hints <-chan time.Time, want string) {
	t.Helper()
	for {
		await(t, hints)
		if got, err := s.Head(t.Context()); err == nil && got == want {
			return
		}
	}
}

func TestWatch(t *testing.T) {
	r := newRepo(t)
	s := r.source()
	hints := watch(t, s)
	for i := range 5 {
		r.write("a.yaml", fmt.Sprint(i))
		want := r.commit("change")
		r.push("--force", "HEAD:main")
		awaitHead(t, s, hints, want)
		if i == 2 {
			run(t, r.bare, "gc", "--quiet")
		}
	}
	run(t, r.bare, "update-ref", "refs/heads/main", "main~2")
	awaitHead(t, s, hints, run(t, r.bare, "rev-parse", "main"))
}

// A branch whose folders come and go.
func TestWatchNestedBranch(t *testing.T) {
	r := newRepo(t)
	s, err := git.Open(r.bare, "env/live/eu")
	if err != nil {
		t.Fatal(err)
	}
	hints := watch(t, s)
	for range 3 {
		want := r.commit("change")
		r.push("HEAD:env/live/eu")
		awaitHead(t, s, hints, want)
		run(t, r.bare, "pack-refs", "--all", "--prune")
	}
}

// Work on other branches, and in the work tree, wakes nobody.
func TestWatchIsQuiet(t *testing.T) {
	r := newRepo(t)
	r.commit("first")
	s, err := git.Open(r.work, "main")
	if err != nil {
		t.Fatal(err)
	}
	hints := watch(t, s)
	run(t, r.work, "branch", "other")
	r.write("a.yaml", "not committed")
	run(t, r.work, "add", ".")
	want := r.commit("second")
	first := await(t, hints)
	if got, err := s.Head(t.Context()); err != nil || got != want {
		t.Errorf("at the first hint (%s) Head = %s, %v; want %s", first, got, err, want)
	}
}
