package cron

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newRecord(t *testing.T) record {
	t.Helper()
	r := record(filepath.Join(t.TempDir(), "cron", "acme.shop.tidy"))
	if err := r.begin("web-1-0", "one", false); err != nil {
		t.Fatal(err)
	}
	return r
}

func taken(t *testing.T, r record, content string, due time.Time) bool {
	t.Helper()
	err := r.take(content, due)
	if not := notDueError(""); err != nil && !errors.As(err, &not) {
		t.Fatal(err)
	}
	return err == nil
}

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// However many nodes take a run for theirs, one of them begins it.
func TestOneTakesARun(t *testing.T) {
	r := newRecord(t)
	for i := range 20 {
		var won atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if taken(t, r, "one", noon.Add(time.Duration(i)*time.Minute)) {
					won.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("run %d was taken %d times", i, won.Load())
		}
	}
	if taken(t, r, "one", noon) {
		t.Error("a run before the last one is taken")
	}
	if taken(t, r, "another", noon.Add(time.Hour)) {
		t.Error("a run of what the job isn't any more is taken")
	}
}

// A time that was noted while a clock was wrong keeps no run from beginning.
func TestAClockThatWasWrong(t *testing.T) {
	r := newRecord(t)
	if !taken(t, r, "one", time.Now().AddDate(4, 0, 0)) || !taken(t, r, "one", time.Now()) {
		t.Error("runs wait for a time that was wrong")
	}
}

// A job that fails five times in a row isn't run any more, until it is another one or somebody wants it to.
func TestFailures(t *testing.T) {
	r := newRecord(t)
	due := noon
	run := func(why string) (ran bool) {
		t.Helper()
		due = due.Add(time.Minute)
		if ran = taken(t, r, "one", due); ran {
			if _, err := r.end("one", outcome{At: due, Error: why}); err != nil {
				t.Fatal(err)
			}
		}
		return ran
	}
	for _, why := range []string{"exit status 1", "exit status 1", "exit status 1", "exit status 1", "", "a", "b", "c", "d", "e"} {
		if !run(why) {
			t.Fatalf("not run before five failures in a row: %v", why)
		}
	}
	if run("") {
		t.Error("run after five failures in a row")
	}
	if e, err := r.read(); err != nil || !e.disabled() || e.Last.Error != "e" || e.told() == "" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, c := range []struct {
		what  string
		again func() error
	}{ // in this order: the node that it moved from isn't the one that has it
		{"moved", func() error { return r.begin("web-1-1", "one", false) }},
		{"the end of what it was once", func() error { _, err := r.end("before", outcome{}); return err }},
		{"forgotten by another's leave", func() error { return r.forget("web-1-0") }},
	} {
		if err := c.again(); err != nil {
			t.Fatal(err)
		}
		if run("") {
			t.Errorf("%s, and run", c.what)
		}
	}
	if err := r.begin("web-1-1", "one", true); err != nil {
		t.Fatal(err)
	}
	if !run("") {
		t.Error("not run, though somebody wants it to")
	}
	if err := r.forget("web-1-1"); err != nil {
		t.Fatal(err)
	}
	if e, err := r.read(); err != nil || e != (entry{}) {
		t.Errorf("after it was forgotten: %+v, %v", e, err)
	}
}

// What a machine that stopped has left of a record is as good as none.
func TestHalfARecord(t *testing.T) {
	r := newRecord(t)
	if err := os.WriteFile(string(r)+".json", []byte(`{"node":"web`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.begin("web-1-0", "one", false); err != nil {
		t.Fatal(err)
	}
	if !taken(t, r, "one", noon) {
		t.Error("no run is taken")
	}
}
