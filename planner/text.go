package planner

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"hostctl/schema"
)

var signs = map[Action]string{Create: "+", Update: "~", Replace: "±", Delete: "-"}

// SGR codes (ECMA-48 8.3.117) of the signs.
var colours = map[Action]string{Create: "\x1b[32m", Update: "\x1b[33m", Replace: "\x1b[35m", Delete: "\x1b[31m"}

const (
	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	reset = "\x1b[0m"
)

// Text writes a plan for people: changes by tenant and shard, what differs of each, notes, and a summary as its last
// line. With color it holds SGR codes; control characters of names and values are never written.
func (p Plan) Text(w io.Writer, color bool) error {
	out := &printer{w: bufio.NewWriter(w), color: color}
	if p.Empty() {
		out.notes(p.Notes)
		out.frozen(p.Frozen)
		out.line("No changes.")
		return out.w.Flush()
	}
	for _, g := range p.grouped() {
		out.line("%s", out.paint(bold, g.title))
		for _, e := range g.entries {
			out.entry(e)
		}
		out.line("")
	}
	out.notes(p.Notes)
	out.frozen(p.Frozen)
	out.line("%s", out.paint(bold, p.Summary().String()))
	return out.w.Flush()
}

// printer writes lines; the first error stays in its writer until Flush.
type printer struct {
	w     *bufio.Writer
	color bool
}

func (o *printer) line(format string, args ...any) { fmt.Fprintf(o.w, format+"\n", args...) }

func (o *printer) paint(code, text string) string {
	if !o.color {
		return text
	}
	return code + text + reset
}

func (o *printer) notes(notes []string) {
	for _, n := range notes {
		o.line("%s %s", o.paint(bold, "note:"), printable(n))
	}
	if len(notes) > 0 {
		o.line("")
	}
}

// frozen tells whose files can't be read as they are, and why.
func (o *printer) frozen(all []schema.Frozen) {
	for _, f := range all {
		o.line("%s", o.paint(bold, "nothing of tenant "+printable(f.Tenant)+" is changed until this is mended:"))
		for _, e := range f.Errors {
			o.line("  %s", printable(e))
		}
		o.line("")
	}
}

func (o *printer) entry(e entry) {
	text := fmt.Sprintf("%-9s %s", e.kind, printable(e.what))
	if e.why != "" {
		text += o.paint(faint, " ("+printable(e.why)+")")
	}
	o.line("  %s %s", o.paint(colours[e.action], signs[e.action]), text)
	for _, d := range e.differences {
		o.line("        %s", d)
	}
}

// section is the changes of one tenant, or of one resource of the platform.
type section struct {
	title   string
	changes []Change
	entries []entry
}

// entry is one line of a plan: one change, several on different targets that are the same otherwise, or many of a kind.
type entry struct {
	action      Action
	kind        Kind
	what        string
	why         string
	differences []string
}

// grouped sorts the changes of a plan into sections: the platform's first, then tenant by tenant.
func (p Plan) grouped() []section {
	byTitle := map[string][]Change{}
	for _, c := range p.Changes {
		t := title(c)
		byTitle[t] = append(byTitle[t], c)
	}
	titles := make([]string, 0, len(byTitle))
	for t := range byTitle {
		titles = append(titles, t)
	}
	slices.SortFunc(titles, func(a, b string) int {
		return cmp.Or(cmp.Compare(titleRank(a), titleRank(b)), cmp.Compare(a, b))
	})
	out := make([]section, len(titles))
	for i, t := range titles {
		out[i] = section{title: t, changes: byTitle[t], entries: entries(byTitle[t])}
	}
	return out
}

func title(c Change) string {
	o := c.Owner()
	if o.Tenant != "" {
		return printable("tenant " + o.Tenant)
	}
	switch c.Ref().Kind {
	case KindZone, KindRRset:
		zone, _, _ := strings.Cut(c.Ref().Name, "/")
		return printable("zone " + zone)
	}
	return printable(strings.ToLower(o.Kind) + " " + o.Name)
}

func titleRank(title string) int {
	kind, _, _ := strings.Cut(title, " ")
	return slices.Index([]string{"cluster", "shard", "zone", "tenant"}, kind)
}

// foldAbove is how many changes of one kind and action a section lists one by one.
const foldAbove = 12

// entries turns the changes of a section into lines: alike ones on different targets become one, and many of a kind are
// counted.
func entries(changes []Change) []entry {
	var order []string
	alike := map[string][]Change{}
	differ := map[string][]string{}
	lines := map[string]int{}
	for _, c := range changes {
		d := Differences(c)
		key := strings.Join(append([]string{string(c.Action), string(c.Ref().Kind), c.Ref().Name, c.Why}, d...), "\x00")
		if alike[key] == nil {
			order = append(order, key)
			differ[key] = d
			lines[fold(c)]++
		}
		alike[key] = append(alike[key], c)
	}
	folded := map[string][]Change{}
	var out []entry
	for _, key := range order {
		c := alike[key][0]
		if lines[fold(c)] <= foldAbove {
			out = append(out, entry{action: c.Action, kind: c.Ref().Kind, what: c.Ref().Name + on(alike[key]), why: c.Why, differences: differ[key]})
			continue
		}
		if folded[fold(c)] == nil {
			out = append(out, entry{action: c.Action, kind: c.Ref().Kind, what: fold(c), why: c.Why})
		}
		folded[fold(c)] = append(folded[fold(c)], alike[key]...)
	}
	for i, e := range out {
		if all, ok := folded[e.what]; ok {
			out[i].what = counted(all)
		}
	}
	return out
}

// fold names the changes that may be counted together.
func fold(c Change) string {
	return "\x00" + string(c.Action) + "\x00" + string(c.Ref().Kind) + "\x00" + c.Why
}

func on(changes []Change) string {
	var targets []string
	for _, c := range changes {
		if t := c.Ref().Target; !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	return " on " + strings.Join(targets, ", ")
}

// counted describes many changes in one line: "100: a.example, b.example, … on eu-1-lb-0".
func counted(changes []Change) string {
	const shown = 3
	var names []string
	seen := map[string]bool{}
	for _, c := range changes {
		if n := c.Ref().Name; !seen[n] && len(names) < shown {
			names = append(names, n)
		}
		seen[c.Ref().Name] = true
	}
	return fmt.Sprintf("%d: %s, …%s", len(seen), strings.Join(names, ", "), on(changes))
}

// printable replaces what a terminal might take for a command, and what a reader can't see: control characters, invalid
// UTF-8, line separators, and characters of format, such as those that turn the direction of writing.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= ' ' && r < 0x7f:
			return r
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			return '�'
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// Printable replaces what a terminal might take for a command, and what a reader can't see, in text that others wrote.
func Printable(s string) string { return printable(s) }
