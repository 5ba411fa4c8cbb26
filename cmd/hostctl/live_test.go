package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"hostctl/planner"
	"hostctl/reconciler"
)

// screen is as much of a terminal as live writes to: lines of text, CR, LF, CUU, ED and SGR. It wraps at its width, and
// what has scrolled away stays in lines.
type screen struct {
	width int
	lines []string
	y, x  int
	sgr   int // how many were seen
	t     *testing.T
}

func (s *screen) Write(b []byte) (int, error) {
	for text := string(b); text != ""; {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexAny(rest, "ABCDHJKm")
			n, err := strconv.Atoi(rest[:end])
			switch {
			case rest[end] == 'm':
				s.sgr++
			case rest[end] == 'A' && err == nil && n <= s.y:
				s.y -= n
			case rest[end] == 'J' && end == 0 && s.x == 0:
				s.lines = s.lines[:s.y]
			default:
				s.t.Errorf("the screen doesn't know %q at line %d", rest[:end+1], s.y)
			}
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\n':
			s.y, s.x = s.y+1, 0
		case '\r':
			s.x = 0
		default:
			if s.x == s.width {
				s.y, s.x = s.y+1, 0
			}
			for len(s.lines) <= s.y {
				s.lines = append(s.lines, "")
			}
			if s.x != len([]rune(s.lines[s.y])) {
				s.t.Errorf("%q is written over line %d", r, s.y)
			}
			s.lines[s.y] += string(r)
			s.x++
		}
	}
	return len(b), nil
}

// told is a progress on a screen, with a clock that is moved by hand.
type told struct {
	*progress
	*screen
	clock time.Time
}

func newTold(t *testing.T, columns, rows int, colour bool) *told {
	s := &screen{t: t, width: columns}
	w := &told{screen: s, clock: time.Unix(0, 0), progress: &progress{w: s}}
	w.live = &live{w: s, size: func() (int, int) { return columns, rows }, now: func() time.Time { return w.clock }, colour: colour}
	w.tick, w.over = time.NewTicker(time.Hour), make(chan struct{})
	t.Cleanup(w.close)
	return w
}

func (w *told) step(phase, ref, err string, stage int) {
	r, parseErr := planner.ParseRef(ref)
	if parseErr != nil {
		w.t.Fatal(parseErr)
	}
	id := 0
	for _, b := range []byte(ref) {
		id = id*31 + int(b)
	}
	w.event(reconciler.Event{Kind: reconciler.EventChange, Change: &reconciler.ChangeEvent{
		ID: id, Of: 16, Ref: r, Action: planner.Create, Phase: phase, Error: err, Stage: stage, Stages: 3, InStage: []int{0, 2, 12, 2}[stage],
	}})
}

// after moves the clock and paints.
func (w *told) after(d time.Duration) {
	w.clock = w.clock.Add(d)
	w.live.paint("")
}

func (w *told) want(want string) {
	w.t.Helper()
	got := strings.Join(w.lines, "\n") + "\n"
	if got != want[1:] {
		w.t.Errorf("the terminal shows\n%s\nwant\n%s", got, want[1:])
	}
}

func TestLiveShowsWhatRuns(t *testing.T) {
	w := newTold(t, 80, 24, false)
	w.event(reconciler.Event{Kind: reconciler.EventWaiting, Text: "something to know"})
	w.step("started", "container/host-1/eu-1-lb-0", "", 1)
	w.step("started", "container/host-2/web-1-0", "", 1)
	w.after(2300 * time.Millisecond)
	w.want(`
something to know
0 of 16 changes [░░░░░░░░░░░░░░░░░░░░░░░░] 2.3s
host-1
  + container eu-1-lb-0  2.3s
host-2
  + container web-1-0  2.3s
`)
	w.step("finished", "container/host-2/web-1-0", "the engine\x1b[31m doesn't hold\nthe image", 1)
	w.after(time.Second)
	w.want(`
something to know
  ! create container/host-2/web-1-0: the engine�[31m doesn't hold
1 of 16 changes [█░░░░░░░░░░░░░░░░░░░░░░░] 3.3s
host-1
  + container eu-1-lb-0  3.3s
`)
	w.step("finished", "container/host-1/eu-1-lb-0", "", 1)
	for i := range 12 {
		w.step("started", fmt.Sprintf("route/eu-1-lb-0/www.t%d.test", i), "", 2)
	}
	for i := range 6 {
		w.step("finished", fmt.Sprintf("route/eu-1-lb-0/www.t%d.test", i), "", 2)
	}
	w.after(59 * time.Second)
	w.want(`
something to know
  ! create container/host-2/web-1-0: the engine�[31m doesn't hold
8 of 16 changes [████████████░░░░░░░░░░░░] 1m2s
6 of 12 in step 2 of 3 [████████████░░░░░░░░░░░░]
eu-1-lb-0
  + route www.t6.test  59.0s
  + route www.t7.test  59.0s
  + route www.t8.test  59.0s
  and 3 more
`)
	w.close()
	w.event(reconciler.Event{Kind: reconciler.EventWaiting, Text: "said afterwards"})
	w.want(`
something to know
  ! create container/host-2/web-1-0: the engine�[31m doesn't hold
said afterwards
`)
	if w.sgr > 0 {
		t.Errorf("%d colours where none are wanted", w.sgr)
	}
}

func TestLiveFitsIntoFortyColumns(t *testing.T) {
	w := newTold(t, 40, 8, true)
	for i := range 3 {
		w.step("started", fmt.Sprintf("rrset/eu-1-dns/acme.test/a-long-name-of-a-host-%d.acme.test/AAAA", i), "", 2)
		w.step("started", fmt.Sprintf("vhost/web-1-%d/acme.shop", i), "", 2)
	}
	w.step("finished", "vhost/web-1-2/acme.shop", "", 2)
	w.after(100 * time.Millisecond)
	w.after(1100 * time.Millisecond) // painted over, not below
	w.want(`
1 of 16 changes [█░░░░░░░░░░░░░░░] 1.2s
1 of 12 in step 2 of 3 [█░░░░░░░░░░░░░]
eu-1-dns
  + rrset acme.test/a-long-name-…  1.2s
  + rrset acme.test/a-long-name-…  1.2s
  + rrset acme.test/a-long-name-…  1.2s
  …
`)
	if w.sgr == 0 {
		t.Error("no colours on a terminal that has them")
	}
}

// A frame fits whatever the size is, and however it changes.
func TestLiveFollowsItsWindow(t *testing.T) {
	columns, rows := 100, 30
	w := newTold(t, 200, 100, false)
	w.live.size = func() (int, int) { return columns, rows }
	for i := range 40 {
		w.step("started", fmt.Sprintf("container/host-%d/web-%d-with-a-name-that-is-long", i%7, i), "", 2)
	}
	for _, size := range [][2]int{{100, 30}, {40, 30}, {16, 5}, {20, 3}, {200, 100}, {1, 1}} {
		columns, rows = size[0], size[1]
		lines := w.live.frame(columns, rows)
		if len(lines) == 0 || len(lines) >= max(rows, 3) {
			t.Errorf("%d lines in %d rows", len(lines), rows)
		}
		for _, l := range lines {
			if n := lipgloss.Width(l); n >= max(columns, leastColumns) {
				t.Errorf("%d columns for %q, want fewer than %d", n, l, columns)
			}
		}
	}
	// Lines of 60 columns that were broken into two each by a window that is narrower now are all erased.
	columns, rows = 31, 30
	w.live.painted = []int{60, 10, 31}
	var b bytes.Buffer
	w.live.erase(&b, columns)
	if b.String() != "\x1b[4A\r\x1b[J" {
		t.Errorf("it erases with %q, want 4 rows up", b.String())
	}
}
