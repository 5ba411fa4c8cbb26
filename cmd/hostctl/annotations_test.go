package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var githubForm = regexp.MustCompile(`^::error(?: (?:file=([^:,\n\r]*))?,?(?:line=([0-9]+)(?:,col=([0-9]+))?)?)?::([^\n\r]*)\n$`)

// Whatever a tenant writes stays within its annotation: one command, one place, the text as it was.
func FuzzAnnotations(f *testing.F) {
	f.Add("tenants/acme/shop.yaml", 7, 33, "is not offered; offered: \"8.4\"")
	f.Add("a%0A::error::,line=1:b", 1, 1, "x\n::set-output name=a::b\r\n::add-mask::c")
	f.Add("tenants/acme/shop.yaml", 18, 0, "its column isn't known")
	f.Add("", 0, 0, "100 %25 \x1b[31m \u202e")
	f.Fuzz(func(t *testing.T, file string, line, column int, text string) {
		p := problem{File: file, Line: line, Column: column, Text: text}
		command := githubCommand(p)
		m := githubForm.FindStringSubmatch(command)
		if m == nil {
			t.Fatalf("%q is no command", command)
		}
		undo := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
		if got := undo.Replace(m[1]); got != visible(file) {
			t.Errorf("file %q, want %q", got, visible(file))
		}
		if got := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(m[4]); got != visible(text) {
			t.Errorf("text %q, want %q", got, visible(text))
		}
		b, err := json.Marshal(codeQuality([]problem{p, p}))
		var report []violation
		if err == nil {
			err = json.Unmarshal(b, &report)
		}
		if err != nil || len(report) != 2 || report[0].Description != visible(text) || report[0].Location.Lines.Begin < 1 {
			t.Errorf("%v: %s", err, b)
		}
		if report[0].Fingerprint == report[1].Fingerprint {
			t.Errorf("two are told as one: %s", b)
		}
		if hidden := slices.ContainsFunc([]rune(command), func(r rune) bool { return r < ' ' && r != '\n' || r == '\u202e' }); hidden {
			t.Errorf("%q isn't visible", command)
		}
	})
}
