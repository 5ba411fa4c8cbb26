package faults

import (
	"strings"
	"testing"
	"time"
)

// TestG04_HostdKilledAtEveryPointOfAnEdit does and undoes small edits. Each time hostd is killed at another point of the
// run, is started again, and must bring the edit to its end, with nobody else disturbed.
func TestG04_HostdKilledAtEveryPointOfAnEdit(t *testing.T) {
	t.Parallel()
	w := built(t)
	w.check("the first commit")
	load := w.startLoad()
	kills, known := 0, 0
	for _, e := range edits {
		do, undo := w.list(e)
		w.check(e.name)
		load.wantNone(w, e.name)
		known += len(do.points) + len(undo.points)
		for _, pair := range pairs(sample(e.name, do.points, e.points), sample("undo "+e.name, undo.points, e.points)) {
			id := w.nextID()
			for i, s := range []step{do, undo} {
				kills += w.killedAt(s, id, pair[i], load)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	load.end(w)
	t.Logf("hostd was killed %d times at %d known points of %d edits done and undone", kills, known, len(edits))
}

// pairs puts two lists side by side; the shorter one ends in "".
func pairs(a, b []string) [][2]string {
	out := make([][2]string, max(len(a), len(b)))
	for i := range out {
		if i < len(a) {
			out[i][0] = a[i]
		}
		if i < len(b) {
			out[i][1] = b[i]
		}
	}
	return out
}

// killedAt takes a step and kills hostd at a point of it; "" lets it run. It returns how often hostd was killed.
func (w *world) killedAt(s step, id, point string, load *load) int {
	w.t.Helper()
	if point == "" {
		s.take(w, id)
		w.settled()
		return 0
	}
	began := time.Now()
	point = strings.ReplaceAll(point, "ID", id)
	what := s.String() + ", hostd killed at: " + point
	w.hostd.arm(point)
	s.take(w, id)
	w.hostd.wait(point)
	w.restartHostd()
	if err := w.settling(w.hostd); err != nil {
		w.t.Fatalf("after %s: %v", what, err)
	}
	came := time.Since(began)
	w.check(what)
	load.wantNone(w, what)
	w.t.Logf("%s: right after %s, checked in %s", what, came.Round(time.Millisecond), (time.Since(began) - came).Round(time.Millisecond))
	return 1
}

// TestG04_HostdKilledAtEveryPointOfTheFirstRun kills hostd at each point that it comes to for the first time while it
// makes a platform: it gets one step further each time.
func TestG04_HostdKilledAtEveryPointOfTheFirstRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const anyNew = "*"
	w.hostd.arm(anyNew)
	w.commit("A platform with two tenants")
	chance, kills, passed := random(t.Name()), 0, 0
	for {
		err := w.settling(w.hostd)
		point, stands := w.hostd.reached()
		if err == nil && !stands {
			break
		}
		if !stands {
			t.Fatal(err)
		}
		passed++
		if !all && chance.IntN(4) != 0 {
			w.hostd.goOn()
			continue
		}
		kills++
		t.Logf("killed at: %s", point)
		w.KillHostd()
		w.hostd.goOn()
		w.startHostd()
	}
	w.hostd.disarm()
	w.look()
	w.check("all that")
	t.Logf("hostd was killed %d times at %d points", kills, passed)
}
