package planner_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"hostctl/planner"
	"hostctl/schema"
)

// Everything that may stand outside of code in a plan's Markdown. Code ends its own way: see readMarkdown.
var (
	markdownHead   = regexp.MustCompile(`^\*\*(No changes|Plan: \d+ to create, \d+ to update, \d+ to replace, \d+ to delete)\.\*\*$`)
	markdownOpens  = regexp.MustCompile(`^<details( open)?><summary>([A-Za-z0-9. :-]|&#\d+;)*( <code>([A-Za-z0-9. :-]|&#\d+;)*</code>)?(: [a-z0-9, ]+)?</summary>$`)
	markdownCloses = regexp.MustCompile(`^</details>$`)
	markdownCut    = regexp.MustCompile("^\\*\\*Cut here, to \\d+ bytes: \\d+ lines aren't shown\\.\\*\\* `hostctl plan` shows all of them\\.$")
	markdownFence  = regexp.MustCompile("^(`{3,})(diff|text)$")
)

// readMarkdown reads what Plan.Markdown writes as GitHub Flavored Markdown does, and returns the lines of code in it.
// Anything that could be markup and isn't ours is an error.
func readMarkdown(text string) (code []string, err error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("invalid UTF-8")
	}
	for _, r := range text {
		if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return nil, fmt.Errorf("it holds %U", r)
		}
	}
	fence, unfolded := "", false
	for n, line := range strings.Split(text, "\n") {
		closing := strings.TrimRight(strings.TrimLeft(line, " "), " ")
		switch f := markdownFence.FindStringSubmatch(line); {
		case fence != "" && len(line)-len(strings.TrimLeft(line, " ")) < 4 && strings.Trim(closing, "`") == "" && len(closing) >= len(fence):
			fence = ""
		case fence != "":
			code = append(code, line)
		case f != nil && unfolded:
			fence = f[1]
		case markdownOpens.MatchString(line) && !unfolded:
			unfolded = true
		case markdownCloses.MatchString(line) && unfolded:
			unfolded = false
		case line == "", n == 0 && markdownHead.MatchString(line), markdownCut.MatchString(line) && !unfolded:
		default:
			return nil, fmt.Errorf("line %d is markup of somebody else's: %q", n+1, line)
		}
	}
	if fence != "" || unfolded {
		return nil, fmt.Errorf("it doesn't end")
	}
	return code, nil
}

// hostile is a plan in which everything that a tenant may write, and more, is s.
func hostile(s string) planner.Plan {
	owner := planner.Owner{Tenant: s, Kind: s, Name: s}
	platform := planner.Owner{Kind: s, Name: s}
	meta := planner.Meta{Target: s, Name: s, From: owner}
	return planner.Plan{
		Changes: []planner.Change{
			{ID: 1, Action: planner.Create, New: planner.Route{Meta: meta, Backend: s}, Why: s},
			{ID: 2, Action: planner.Update, Old: planner.Vhost{Meta: meta}, New: planner.Vhost{Meta: meta, Hostnames: []string{s, "a"}}, Why: s},
			{ID: 3, Action: planner.Delete, Old: planner.RRset{Meta: planner.Meta{Target: s, Name: s, From: platform}, Values: []string{s}}, Why: s},
		},
		Notes:  []string{s},
		Frozen: []schema.Frozen{{Tenant: s, Errors: []string{s}}},
	}
}

// What renders as something else than itself where it breaks out.
var breakouts = []string{
	"", "```", "````\n</details>", "\n```\n# title", "</code></summary></details><script>alert(1)</script>", "<!--", "-->",
	"@everyone", "#1", "owner/repo#1", "https://evil.test", "www.evil.test", "[a](https://evil.test)", "![a](https://evil.test/pixel)",
	"|a|b|", "**bold**", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\u2066", "\u061c", "\u200b", "\U000e0041", "&lt;", "&#64;all",
	"\r\n- [ ] task", "    code", "~~~", "`", "\x00", "\xff\xfe", "$a$", ":tada:", "\u2028", "\u0085", "---", "a\u00adb",
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range breakouts {
		f.Add(s, 0)
		f.Add(strings.Repeat(s+" ", 400), 2000)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if len(s) > 1<<16 {
			return
		}
		var out bytes.Buffer
		if err := hostile(s).Markdown(&out, max(0, limit)); err != nil {
			t.Fatal(err)
		}
		if _, err := readMarkdown(out.String()); err != nil {
			t.Errorf("%q: %v\n%s", s, err, out.String())
		}
		if limit > 0 && out.Len() > max(limit, 1024) {
			t.Errorf("%d bytes, want at most %d", out.Len(), limit)
		}
		if _, err := readMarkdown(inDetails(planner.FencedText(s))); err != nil {
			t.Errorf("FencedText(%q): %v", s, err)
		}
	})
}

func inDetails(code string) string {
	return "<details><summary>x</summary>\n\n" + code + "\n</details>\n"
}

func TestMarkdownIsCutAtItsLimit(t *testing.T) {
	var p planner.Plan
	for i := range 3000 {
		m := planner.Meta{Target: "eu-1-lb-0", Name: fmt.Sprintf("www.t%d.test", i), From: planner.Owner{Tenant: fmt.Sprintf("t%d", i), Kind: "FQDN", Name: "www"}}
		c := planner.Change{ID: i, Action: planner.Create, New: planner.Route{Meta: m, Backend: "web-1"}}
		if i == 2900 {
			c = planner.Change{ID: i, Action: planner.Delete, Old: planner.Route{Meta: m, Backend: "web-1"}}
		}
		p.Changes = append(p.Changes, c)
	}
	for _, limit := range []int{0, planner.MarkdownLimit, 2000} {
		var out bytes.Buffer
		if err := p.Markdown(&out, limit); err != nil {
			t.Fatal(err)
		}
		code, err := readMarkdown(out.String())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), "**Plan: 2999 to create, 0 to update, 0 to replace, 1 to delete.**\n") {
			t.Errorf("limit %d: it begins with %.80q", limit, out.String())
		}
		if limit == 0 {
			if len(code) != 3000 || out.Len() < 2*planner.MarkdownLimit {
				t.Errorf("%d lines in %d bytes, want all 3000", len(code), out.Len())
			}
			continue
		}
		if out.Len() > limit || out.Len() < limit*4/5-500 {
			t.Errorf("%d bytes, want nearly %d", out.Len(), limit)
		}
		if len(code) == 0 || code[0] != "- route     www.t2900.test on eu-1-lb-0" {
			t.Errorf("limit %d: the first line is %q, want what is deleted", limit, code)
		}
		want := fmt.Sprintf("**Cut here, to %d bytes: %d lines aren't shown.** `hostctl plan` shows all of them.\n", limit, 3000-len(code))
		if !strings.HasSuffix(out.String(), want) {
			t.Errorf("it ends with %q, want %q", out.String()[max(0, out.Len()-200):], want)
		}
	}
}

// A block that alone is too long is shown in part.
func TestMarkdownCutsWithinABlock(t *testing.T) {
	p := planner.Plan{}
	for i := range 500 {
		p.Notes = append(p.Notes, fmt.Sprintf("note %d", i))
	}
	p.Changes = hostile("a").Changes[:1]
	var out bytes.Buffer
	if err := p.Markdown(&out, 3000); err != nil {
		t.Fatal(err)
	}
	code, err := readMarkdown(out.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(code) < 50 || code[0] != "note 0" || !strings.Contains(out.String(), fmt.Sprintf("%d lines aren't shown", 501-len(code))) {
		t.Errorf("%d lines of code:\n%s", len(code), out.String())
	}
}
