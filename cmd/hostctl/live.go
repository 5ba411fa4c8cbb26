package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// live is the last lines of a terminal while a run goes on, painted again and again: how far it is, and a line for each
// change that runs, below its target. What is printed meanwhile stands above it and stays.
type live struct {
	w      io.Writer
	size   func() (columns, rows int)
	now    func() time.Time
	colour bool

	began         time.Time
	done, total   int
	stage, stages int
	ended         int // of the stage
	inStage       int
	running       []runningChange // in the order of their starts
	painted       []int           // widths of the lines that stand on the terminal
}

type runningChange struct {
	id    int
	ref   planner.Ref
	sign  string
	since time.Time
}

const (
	stageBarFrom = 10 // a stage of so many changes has a bar of its own
	perTarget    = 4  // lines of one target; more are counted
	barWidth     = 24
	leastColumns = 16
)

// event takes a step of a change into account.
func (l *live) event(c reconciler.ChangeEvent) {
	if l.began.IsZero() {
		l.began = l.now()
	}
	if c.Stage != l.stage {
		l.stage, l.stages, l.inStage, l.ended = c.Stage, c.Stages, c.InStage, 0
	}
	l.total = c.Of
	if c.Phase == string(executors.PhaseStarted) {
		l.running = append(l.running, runningChange{c.ID, c.Ref, sign(c.Action), l.now()})
		return
	}
	l.done++
	l.ended++
	l.running = slices.DeleteFunc(l.running, func(r runningChange) bool { return r.id == c.ID })
}

// paint writes text that stays, and the lines below it anew.
func (l *live) paint(text string) {
	columns, rows := l.size()
	var b bytes.Buffer
	l.erase(&b, columns)
	b.WriteString(text)
	lines := l.frame(columns, rows)
	for _, line := range lines {
		l.painted = append(l.painted, lipgloss.Width(line))
		b.WriteString(line + "\n")
	}
	_, _ = l.w.Write(b.Bytes()) // there is nobody to tell where that fails
}

// clear takes the lines away.
func (l *live) clear() {
	columns, _ := l.size()
	var b bytes.Buffer
	l.erase(&b, columns)
	_, _ = l.w.Write(b.Bytes())
}

// erase goes back to where the lines began, and clears from there on (ECMA-48 8.3.22 CUU, 8.3.39 ED). A terminal that was
// made narrower meanwhile has broken them into more.
func (l *live) erase(b *bytes.Buffer, columns int) {
	rows := 0
	for _, width := range l.painted {
		rows += max(1, (width+columns-1)/columns)
	}
	if rows > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", rows)
	}
	l.painted = l.painted[:0]
}

// frame returns the lines, each narrower than the terminal, and no more than it has rows.
func (l *live) frame(columns, rows int) []string {
	if l.total == 0 {
		return nil
	}
	columns, rows = max(columns, leastColumns), max(rows, 3)
	lines := []string{l.bar(columns, l.done, l.total, "changes", since(l.now(), l.began))}
	if l.inStage >= stageBarFrom {
		lines = append(lines, l.bar(columns, l.ended, l.inStage, fmt.Sprintf("in step %d of %d", l.stage, l.stages), ""))
	}
	lines = append(lines, l.tree()...)
	if most := rows - 1; len(lines) > most {
		lines = append(lines[:most-1], "  …")
	}
	for i := range lines {
		lines[i] = l.fit(lines[i], columns-1)
	}
	return lines
}

// bar is "12 of 55 changes [███░░░] 4.2s". What there is no room for is left out, the words first.
func (l *live) bar(columns, done, of int, what, elapsed string) string {
	head := fmt.Sprintf("%d of %d", done, of)
	tail := ""
	if elapsed != "" {
		tail = " " + elapsed
	}
	if room := columns - 1 - len(head) - len(what) - len(tail) - 4; room >= barWidth/2 {
		head += " " + what
	}
	width := min(barWidth, columns-1-len(head)-len(tail)-3)
	if width < 4 {
		return head + tail
	}
	full := width * done / max(of, 1)
	return fmt.Sprintf("%s [%s%s]%s", head, l.paintIn("2", strings.Repeat("█", full)), strings.Repeat("░", width-full), tail)
}

// tree lists what runs, below its targets.
func (l *live) tree() []string {
	var targets []string
	on := map[string][]runningChange{}
	for _, r := range l.running {
		if on[r.ref.Target] == nil {
			targets = append(targets, r.ref.Target)
		}
		on[r.ref.Target] = append(on[r.ref.Target], r)
	}
	slices.SortFunc(targets, func(a, b string) int {
		return cmp.Or(on[a][0].since.Compare(on[b][0].since), cmp.Compare(a, b))
	})
	var lines []string
	for _, t := range targets {
		lines = append(lines, planner.Printable(t))
		all := on[t]
		shown := all
		if len(all) > perTarget {
			shown = all[:perTarget-1]
		}
		for _, r := range shown {
			lines = append(lines, fmt.Sprintf("  %s %s %s  %s", r.sign, r.ref.Kind, planner.Printable(r.ref.Name), since(l.now(), r.since)))
		}
		if n := len(all) - len(shown); n > 0 {
			lines = append(lines, fmt.Sprintf("  and %d more", n))
		}
	}
	return lines
}

// fit cuts a line to a width. A running change keeps its elapsed time, which is what changes.
func (l *live) fit(line string, width int) string {
	if lipgloss.Width(line) <= width {
		return line
	}
	tail := ""
	if i := strings.LastIndex(line, "  "); i > 0 && strings.HasPrefix(line, "  ") {
		line, tail = line[:i], line[i:]
	}
	room := max(1, width-lipgloss.Width(tail)-1)
	return lipgloss.NewStyle().MaxWidth(room).Render(line) + "…" + tail
}

func (l *live) paintIn(color, text string) string {
	if !l.colour || text == "" {
		return text
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(color)).Render(text)
}

// since is an elapsed time as it is shown while it grows: to the tenth of a second.
func since(now, then time.Time) string {
	d := max(0, now.Sub(then))
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
