package valkey

import (
	"bufio"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReply(t *testing.T) {
	for text, want := range map[string]any{
		"+OK\r\n":                            "OK",
		":-7\r\n":                            int64(-7),
		"$5\r\na\r\nbc\r\n":                  "a\r\nbc",
		"$-1\r\n":                            nil,
		"*-1\r\n":                            nil,
		"*0\r\n":                             []any{},
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n":      []any{"a", []any{int64(1)}},
		"-NOPERM no\r\n":                     refusal("NOPERM no"),
		"*1\r\n-ERR x\r\n":                   refusal("ERR x"),
		"":                                   errors.New("EOF"),
		"\r\n":                               errReply,
		"+OK\n":                              errReply,
		"!x\r\n":                             errReply,
		":x\r\n":                             errReply,
		"$-2\r\n":                            errReply,
		"$2\r\nabc\r\n":                      errReply,
		"$2000000\r\n":                       errReply,
		"*99999999\r\n":                      errReply,
		"+" + strings.Repeat("x", 1<<17):     errReply,
		strings.Repeat("*1\r\n", 9) + ":1\r": errReply,
	} {
		got, err := read(bufio.NewReader(strings.NewReader(text)), maxDepth)
		if wanted, fails := want.(error); fails {
			if err == nil || err.Error() != wanted.Error() {
				t.Errorf("%.40q: %v, %v, want %v", text, got, err, wanted)
			}
			continue
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%.40q: %v\n%s", text, err, diff)
		}
	}
}

// Whatever a server says, what is read of it is bounded, and a command holds what was put in.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "-ERR x\r\n", "$-1\r\n", "*1\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := read(bufio.NewReader(strings.NewReader(s)), maxDepth)
		if err != nil && v != nil {
			t.Errorf("%v and %v", v, err)
		}
		back, err := read(bufio.NewReader(strings.NewReader(string(command([]string{"ECHO", s})))), maxDepth)
		if words, _ := back.([]any); len(s) < maxBulk && (err != nil || len(words) != 2 || words[1] != s) {
			t.Errorf("%q is sent as %v, %v", s, back, err)
		}
	})
}
