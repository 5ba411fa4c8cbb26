package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

func TestColoursAreForTerminals(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, c := range []struct {
		name, noColor, term string
		w                   io.Writer
		want                bool
	}{
		{"terminal", "", "xterm", terminal, true},
		{"NO_COLOR", "1", "xterm", terminal, false},
		{"dumb terminal", "", "dumb", terminal, false},
		{"file", "", "xterm", file, false},
		{"buffer", "", "xterm", &bytes.Buffer{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("TERM", c.term)
			if got := colours(c.w); got != c.want {
				t.Errorf("colours: %v, want %v", got, c.want)
			}
		})
	}
}

func TestConfirmed(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{"y\n", ""}, {"yes\n", ""}, {" Y \n", ""}, {"yes", ""},
		{"n\n", "nothing was applied"}, {"\n", "nothing was applied"}, {"yess\n", "nothing was applied"},
		{"", "nobody answered, and nothing was applied; to apply without being asked: 'hostctl apply -yes'"},
	} {
		cmd := &cobra.Command{}
		cmd.SetContext(t.Context())
		cmd.SetIn(strings.NewReader(c.answer))
		cmd.SetErr(io.Discard)
		got := ""
		if err := asked(cmd, false, "Apply these changes? [y/N] "); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.answer, got, c.want)
		}
	}
}

func TestExplainPrintsOneProblemALine(t *testing.T) {
	cause := errors.New("the cause")
	for _, c := range []struct {
		name          string
		err           error
		printed, left string
	}{
		{
			"problems", schema.Errors{{File: "a.yaml", Line: 1, Column: 2, Text: "is wrong; mend it"}},
			"a.yaml:1:2: is wrong; mend it\n", "1 problem to mend; check with 'hostctl validate'",
		},
		{
			"refusals", &planner.RefusedError{Refusals: []planner.Refusal{{Text: "one"}, {Text: "two"}}},
			"one\n\ntwo\n\n", "the plan is refused for 2 reasons; nothing was changed",
		},
		{
			"no room", planner.ProblemsError{"no host has room for web-1-0; add one"},
			"no host has room for web-1-0; add one\n", "there is no plan, for 1 reason",
		},
		{"another", cause, "", "the cause"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			o := &options{err: &out}
			left := o.explain(errors.Join(c.err, nil)) // as Close's error is joined to it
			if out.String() != c.printed || left.Error() != c.left {
				t.Errorf("printed %q and left %q, want %q and %q", &out, left, c.printed, c.left)
			}
		})
	}
}

func TestEveryVerbIsExplained(t *testing.T) {
	for _, c := range newRoot(&options{out: io.Discard, err: io.Discard}).Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		if c.Short == "" || c.Long == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its help says too little: %q, %q", c.Name(), c.Short, c.Long)
		}
		for _, line := range strings.Split(c.Long, "\n") {
			if len(line) > 120 && c.Name() != "schema" {
				t.Errorf("%s: a line of %d characters: %q", c.Name(), len(line), line)
			}
		}
	}
}

// A commit that was applied but for frozen tenants isn't one of which nothing was applied.
func TestPushOfAMistakeSaysWhatWasApplied(t *testing.T) {
	for _, tt := range []struct {
		frozen    []string
		says, not string
	}{
		{nil, "Refused: nothing was changed.", "Frozen"},
		{[]string{"acme", "globex"}, "Frozen: acme, globex. All else of this commit is applied.", "nothing was changed"},
	} {
		var out strings.Builder
		p := newProgress(&out, false)
		p.event(reconciler.Event{Kind: reconciler.EventRefused, Text: "a mistake", Frozen: tt.frozen})
		p.pushEnded()
		if got := out.String(); !strings.Contains(got, "a mistake") || !strings.Contains(got, tt.says) || strings.Contains(got, tt.not) {
			t.Errorf("frozen %q: the push says %q, want %q and not %q", tt.frozen, got, tt.says, tt.not)
		}
	}
}
