package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one problem of the repository at the place where it can be mended.
type Error struct {
	File   string
	Line   int    // from 1; 0 if the problem is the file as a whole
	Column int    // from 1, in characters
	Kind   Kind   // "" before the kind is known
	Name   string // "" before the name is known
	Field  string // path of the field in its document: "spec.runtime.version"
	Text   string // what is wrong; the way out
	Leak   bool   // a secret stands in clear: it is known to all who can read the repository's history
}

// Error is "path:line:col: kind/name: field: what is wrong; the way out".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(printable(e.File))
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Kind != "" {
		b.WriteString(strings.ToLower(string(e.Kind)))
		if e.Name != "" {
			b.WriteString("/" + printable(shorten(e.Name)))
		}
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(printable(e.Field) + ": ")
	}
	b.WriteString(printable(e.Text))
	return b.String()
}

// Errors is every problem that Load has found, sorted by position. It is never empty.
type Errors []*Error

// Error is one line for each problem.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each problem to errors.As and errors.Is.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// sorted orders errors by position and drops repetitions.
func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Field, b.Field), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(es, func(a, b *Error) bool { return *a == *b })
}

// printable quotes a text that would break a line of output or disguise itself.
func printable(s string) string {
	if isPrintable(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// String is "path:line:col".
func (p Position) String() string {
	return fmt.Sprintf("%s:%d:%d", printable(p.File), p.Line, p.Column)
}
