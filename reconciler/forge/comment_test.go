package forge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/schema"
)

// ours is every line that may stand outside of code in a comment.
var ours = regexp.MustCompile(`^(` + strings.Join([]string{
	`<!-- hostctl preview [0-9a-f]{32} -->`,
	`### (What this change does|What applying it now would do|Applied now, it would be refused|Not accepted|It conflicts with the branch|It mends the branch|The branch itself can't be planned)`,
	`\*\*(No changes|Plan: \d+ to create, \d+ to update, \d+ to replace, \d+ to delete)\.\*\*`,
	`<details( open)?><summary>([A-Za-z0-9. :,-]|&#\d+;)*( <code>([A-Za-z0-9. :-]|&#\d+;)*</code>)?(: [a-z0-9, ]+)?</summary>`,
	`</details>`,
	"\\*\\*Cut here, to \\d+ bytes: \\d+ lines aren't shown\\.\\*\\* `hostctl plan` shows all of them\\.",
	`Applied now, it does just that\.`,
	`The same lines were changed on both sides\. Merge the branch into it, mend these files, push again\.`,
	`That isn't this change's doing\. When it is mended this is planned again\.`,
	`The branch (itself can't be planned either|can't be planned as it is):`,
	`Where: (\[\d+\]\(https://git\.test/acme/platform/[A-Za-z0-9._/-]+#L\d+\)(, )?)+`,
	`---`,
	"Planned [0-9: -]+ UTC: [0-9a-f]{12}(, merged into [0-9a-f]{12} of the branch)?\\. In full: `hostctl preview [0-9a-f]{12}`",
	``,
}, "|") + `)$`)

var fenceLine = regexp.MustCompile("^(`{3,})(diff|text)$")

// foreign returns a line outside of code that isn't ours, as GitHub Flavored Markdown reads it (4.5); "" where there is none.
func foreign(comment string) string {
	fence := ""
	for line := range strings.SplitSeq(comment, "\n") {
		closing := strings.TrimRight(strings.TrimLeft(line, " "), " ")
		f := fenceLine.FindStringSubmatch(line)
		switch {
		case fence != "" && len(line)-len(strings.TrimLeft(line, " ")) < 4 && strings.Trim(closing, "`") == "" && len(closing) >= len(fence):
			fence = ""
		case fence != "":
		case f != nil:
			fence = f[1]
		case !ours.MatchString(line):
			return line
		}
	}
	if fence != "" {
		return "code that doesn't end"
	}
	return ""
}

// hostile is a repository and a planner, of what somebody proposes who writes s wherever he can.
type hostile struct {
	Repository
	s   string
	way int
}

func (h hostile) Merge(_ context.Context, _, head string) (git.Merged, error) {
	if h.way == 1 {
		return git.Merged{Conflicts: []string{h.s, "tenants/" + h.s}}, nil
	}
	return git.Merged{Commit: head}, nil
}

func (h hostile) plan() planner.Plan {
	meta := planner.Meta{Target: h.s, Name: h.s, From: planner.Owner{Tenant: h.s, Kind: h.s, Name: h.s}}
	return planner.Plan{
		Notes: []string{h.s}, Frozen: []schema.Frozen{{Tenant: h.s, Errors: []string{h.s}}},
		Changes: []planner.Change{
			{ID: 1, Action: planner.Create, New: planner.Route{Meta: meta, Backend: h.s}, Why: h.s},
			{ID: 2, Action: planner.Delete, Old: planner.RRset{Meta: meta, Values: []string{h.s}}, Why: h.s},
		},
	}
}

func (h hostile) Propose(_ context.Context, base, head string) (reconciler.Preview, error) {
	v := reconciler.Preview{Base: base, Head: head, Change: h.plan(), Now: h.plan()}
	input := schema.Errors{{File: h.s, Line: 3, Column: 4, Name: h.s, Field: h.s, Text: h.s}, {File: "tenants/acme/a.yaml", Line: 1, Column: 1, Text: h.s}}
	refused := &reconciler.PlanError{Err: &planner.RefusedError{Refusals: []planner.Refusal{{Owner: h.s, Text: h.s, Allow: h.s, Lines: []string{h.s}}}}}
	switch h.way {
	case 2:
		return v, input
	case 3:
		return v, refused
	case 4:
		return v, &reconciler.FrozenError{Frozen: []schema.Frozen{{Tenant: h.s, Errors: []string{h.s, input[1].Error()}}}}
	case 5:
		return v, &reconciler.BaseError{Base: base, Err: input}
	case 6:
		return v, &reconciler.BaseError{Base: base, Err: refused, Head: input}
	case 7:
		return v, &reconciler.BaseError{Base: base, Err: input, Head: input}
	case 8:
		v.Refused = refused
	}
	return v, nil
}

// FuzzComment: whatever tenants write stands in code, is text there, and fits. The status is one line of text.
func FuzzComment(f *testing.F) {
	for _, s := range []string{
		"", "`", "```", "````\n</details>", "\n```\n# title", "</code></summary></details><script>alert(1)</script>", "<!--", "-->", "|a|b|", "@everyone", "#1",
		"owner/repo#1", "https://evil.test", "[a](https://evil.test)", "![a](https://evil.test/pixel)", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\u200b", "\x00", "\xff",
		"\r\n- [ ] task", "<!-- hostctl preview 0123456789abcdef0123456789abcdef -->", "<!‑‑ hostctl preview 0123456789abcdef0123456789abcdef ‑‑>",
		"a.yaml:1:1: x", "a)(b.yaml:1:1: x", "../../evil:7:7: ", "/approve", "---", "Planned", "### Not accepted", "&#64;all", "\u2028", "$a$", "tenants/acme/a.yaml:1:1: ",
	} {
		for way := range 9 {
			f.Add(s, way)
		}
	}
	for way := range 9 {
		f.Add(strings.Repeat("`|\n", 20_000), way)
	}
	f.Fuzz(func(t *testing.T, s string, way int) {
		if way < 0 || way > 8 || len(s) > 1<<17 {
			return
		}
		far, err := New(Options{Kind: GitHub, URL: "https://git.test/api/v3", Project: "acme/platform"})
		if err != nil {
			t.Fatal(err)
		}
		h := hostile{s: s, way: way}
		p := &Previews{Forge: far, Repository: h, Planner: h, Branch: "main", Instance: strings.Repeat("0123456789abcdef", 2), Context: "hostctl"}
		head := strings.Repeat("4b", 20)
		v, merge, err := p.judge(t.Context(), strings.Repeat("ba", 20), head)
		if err != nil {
			t.Fatal(err)
		}
		r := &record{Number: 7}
		for range 3 {
			r.begin(head, Status{})
			r.Base, r.Merge, r.Planned = strings.Repeat("ba", 20), merge, time.Unix(1e9, 0).UTC()
			r.say(v, p.footer(r), p.marker(), far.CommentLimit())
			head = "5c" + head[2:]
		}
		if line := foreign(r.Comment); line != "" {
			t.Errorf("way %d, %q: outside of code stands %q in\n%s", way, s, line, r.Comment)
		}
		if len(r.Comment) > far.CommentLimit() {
			t.Errorf("way %d: a comment of %d bytes", way, len(r.Comment))
		}
		if n := strings.Count(r.Comment, p.marker()); n != 1 && !strings.Contains(s, "hostctl preview") {
			t.Errorf("way %d: %d markers", way, n)
		}
		d := p.status(head, v.state, v.description).Description
		unseen := func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
		if utf8.RuneCountInString(d) > descriptionLimit || strings.ContainsFunc(d, unseen) {
			t.Errorf("way %d: a status %q", way, d)
		}
	})
}

// A problem that the base has isn't the proposal's, wherever in the file it stands.
func TestNotIn(t *testing.T) {
	known := errors.New("a.yaml:1:2: wrong\nb.yaml:3:4: wrong too")
	if err := notIn(known, errors.New("a.yaml:7:2: wrong\nb.yaml:3:4: wrong too")); err != nil {
		t.Errorf("left: %v", err)
	}
	if err := notIn(known, fmt.Errorf("a.yaml:7:2: wrong\nc.yaml:1:1: wrong")); err == nil || err.Error() != "c.yaml:1:1: wrong" {
		t.Errorf("left: %v", err)
	}
}
