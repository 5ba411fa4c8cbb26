package planner

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MarkdownLimit is how many bytes a forge takes as a comment.
const MarkdownLimit = 65_536

// Markdown writes a plan for a forge's comment: a summary, and for each tenant and resource of the platform a block that
// unfolds, with its changes and what differs of each. What takes something away is unfolded already.
//
// All that people wrote stands in fenced code, or as entities within <code>, so none of it is a link, a mention or markup
// (GitHub Flavored Markdown 4.5, 4.6).
//
// With a limit it is at most so many bytes: what takes something away is shown first, and the last line says how much
// isn't shown. A limit below minMarkdown counts as that; 0 is none.
func (p Plan) Markdown(w io.Writer, limit int) error {
	if limit > 0 {
		limit = max(limit, minMarkdown)
	}
	m := &markdown{limit: limit}
	m.head(p)
	if blocks := p.blocks(); !m.all(blocks) {
		m.some(blocks)
	}
	_, err := w.Write(m.out.Bytes())
	return err
}

const (
	minMarkdown = 1024
	cutReserve  = 320 // for the end of a block and the line that says what was cut
	longLine    = 500 // characters of one line
)

// markdown is a comment that grows up to its limit.
type markdown struct {
	out   bytes.Buffer
	limit int
}

// head writes the summary.
func (m *markdown) head(p Plan) {
	s := p.Summary()
	if p.Empty() {
		m.out.WriteString("**No changes.**\n")
		return
	}
	fmt.Fprintf(&m.out, "**Plan: %d to create, %d to update, %d to replace, %d to delete.**\n", s.Create, s.Update, s.Replace, s.Delete)
}

// all writes every block, or nothing where they don't fit.
func (m *markdown) all(blocks []block) bool {
	var text strings.Builder
	for _, b := range blocks {
		b.write(&text, b.lines)
	}
	if m.limit > 0 && m.out.Len()+text.Len() > m.limit {
		return false
	}
	m.out.WriteString(text.String())
	return true
}

// some writes as much as fits, and how much doesn't.
func (m *markdown) some(blocks []block) {
	slices.SortStableFunc(blocks, func(a, b block) int { return a.rank() - b.rank() })
	left := 0
	for i, b := range blocks {
		lines := b.first()
		for len(lines) > 0 && m.out.Len()+b.size(lines)+cutReserve > m.limit {
			lines = lines[:len(lines)*3/4]
		}
		if len(lines) > 0 {
			b.write(&m.out, lines)
		}
		if left = len(b.lines) - len(lines); left > 0 {
			for _, other := range blocks[i+1:] {
				left += len(other.lines)
			}
			break
		}
	}
	fmt.Fprintf(&m.out, "\n**Cut here, to %d bytes: %d lines aren't shown.** `hostctl plan` shows all of them.\n", m.limit, left)
}

// block is one part that unfolds.
type block struct {
	kind, name string // of the title
	counts     string
	language   string // of the code: diff paints lines that begin with + and -
	lines      []blockLine
	loses      bool // something is taken away
	open       bool
}

type blockLine struct {
	text  string
	loses bool
}

// blocks are what a plan says, in order: what it can't do, what it decided, and its changes.
func (p Plan) blocks() []block {
	var out []block
	for _, f := range p.Frozen {
		out = append(out, block{kind: "not changed until it is mended: tenant", name: f.Tenant, language: "text", lines: blockLines(f.Errors), open: true})
	}
	if len(p.Notes) > 0 {
		out = append(out, block{kind: "notes", language: "text", lines: blockLines(p.Notes), open: true})
	}
	for _, g := range p.grouped() {
		out = append(out, g.block())
	}
	return out
}

func blockLines(texts []string) []blockLine {
	var out []blockLine
	for _, t := range texts {
		for line := range strings.SplitSeq(t, "\n") {
			out = append(out, blockLine{text: printable(line)})
		}
	}
	return out
}

// block is a section as one that unfolds.
func (g section) block() block {
	kind, name, _ := strings.Cut(g.title, " ")
	b := block{kind: kind, name: name, language: "diff"}
	for _, e := range g.entries {
		text := fmt.Sprintf("%s %-9s %s", signs[e.action], e.kind, printable(e.what))
		if e.why != "" {
			text += " (" + printable(e.why) + ")"
		}
		loses := e.action == Delete || e.action == Replace
		b.loses = b.loses || loses
		b.lines = append(b.lines, blockLine{text, loses})
		for _, d := range e.differences {
			b.lines = append(b.lines, blockLine{"      " + printable(d), loses})
		}
	}
	b.open = b.loses
	s := Plan{Changes: g.changes}.Summary()
	var counts []string
	for _, c := range []struct {
		n    int
		what Action
	}{{s.Create, Create}, {s.Update, Update}, {s.Replace, Replace}, {s.Delete, Delete}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d to %s", c.n, c.what))
		}
	}
	b.counts = strings.Join(counts, ", ")
	return b
}

// rank puts what takes something away first, and what can't be done before that.
func (b block) rank() int {
	switch {
	case b.loses:
		return 1
	case b.open:
		return 0
	}
	return 2
}

// first returns the lines with those of what takes something away first.
func (b block) first() []blockLine {
	lines := slices.Clone(b.lines)
	slices.SortStableFunc(lines, func(x, y blockLine) int {
		switch {
		case x.loses == y.loses:
			return 0
		case x.loses:
			return -1
		}
		return 1
	})
	return lines
}

func (b block) size(lines []blockLine) int {
	var text strings.Builder
	b.write(&text, lines)
	return text.Len()
}

// write writes the block with these of its lines. The blank line ends the HTML, so that Markdown is read again.
func (b block) write(w io.Writer, lines []blockLine) {
	open, name, counts := "", "", ""
	if b.open {
		open = " open"
	}
	if b.name != "" {
		name = " <code>" + entities(b.name) + "</code>"
	}
	if b.counts != "" {
		counts = ": " + b.counts
	}
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.text
	}
	fmt.Fprintf(w, "\n<details%s><summary>%s%s%s</summary>\n\n%s\n</details>\n", open, entities(b.kind), name, counts, fenced(b.language, texts))
}

// fenced returns lines as a code block that none of them can end: its fence is longer than any run of backticks in it.
func fenced(language string, lines []string) string {
	var b strings.Builder
	longest, run := 0, 0
	for _, l := range lines {
		for _, r := range l + "\n" {
			if run++; r != '`' {
				run = 0
			}
			longest = max(longest, run)
		}
	}
	fence := strings.Repeat("`", max(3, longest+1))
	b.WriteString(fence + language + "\n")
	for _, l := range lines {
		b.WriteString(shortened(l) + "\n")
	}
	b.WriteString(fence + "\n")
	return b.String()
}

// FencedText returns any text as a Markdown code block, in which it is only text.
func FencedText(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, printable(line))
	}
	return fenced("text", lines)
}

// FencedPart is FencedText in at most limit bytes; 0 is no limit.
func FencedPart(text string, limit int) string {
	out := FencedText(text)
	for limit > 0 && len(out) > limit && len(text) > 1 {
		text = strings.ToValidUTF8(text[:len(text)*3/4], "")
		out = FencedText(text + "\n…")
	}
	return out
}

// shortened cuts a long line.
func shortened(s string) string {
	if utf8.RuneCountInString(s) <= longLine {
		return s
	}
	return string([]rune(s)[:longLine]) + " …"
}

// entities writes all but letters, digits and what stands in host names as character references, which make no markup
// (GitHub Flavored Markdown 6.2).
func entities(s string) string {
	var b strings.Builder
	for _, r := range printable(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.', r == ' ', r == ':':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}
