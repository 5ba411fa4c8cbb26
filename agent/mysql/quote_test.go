package mysql

import (
	"strings"
	"testing"
)

// FuzzQuoted: whatever a tenant has called a table, it ends neither the quotes that it is put in nor the text.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"t", "a`b", "``", "a`; DROP DATABASE x; -- ", "", "ünï", `\`, `\'`, "'", "a''b", "\x00", "`\\`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := quoted(s)
		inner := q[1 : len(q)-1]
		if q[0] != '`' || q[len(q)-1] != '`' || strings.ReplaceAll(inner, "``", "") != strings.ReplaceAll(strings.ReplaceAll(inner, "``", ""), "`", "") || strings.ReplaceAll(inner, "``", "`") != s {
			t.Fatalf("%q is quoted as %s", s, q)
		}
		if got, ok := untext(text(s)); !ok || got != s {
			t.Fatalf("%q is written as %s, which is %q", s, text(s), got)
		}
	})
}

// untext reads a string as MySQL does (reference manual 11.1.1), as far as text writes one. It is false where the string ends
// before its end.
func untext(q string) (string, bool) {
	if len(q) < 2 || q[0] != '\'' || q[len(q)-1] != '\'' {
		return "", false
	}
	var out strings.Builder
	for in := q[1 : len(q)-1]; len(in) > 0; in = in[1:] {
		if in[0] == '\'' || in[0] == '\\' {
			if len(in) < 2 || in[1] != in[0] {
				return "", false
			}
			in = in[1:]
		}
		out.WriteByte(in[0])
	}
	return out.String(), true
}
