package notify

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode"

	"hostctl/reconciler"
	"hostctl/schema"
)

// hostile is a message in which all that others may have written is s.
func hostile(s string) Message {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return newMessage("hosting.test", "ops", schema.OnRunFailed, begun, &reconciler.Trouble{Commit: s, Items: []reconciler.TroubleItem{{Tenant: s, Object: s, Text: s}}}, at, at)
}

var hostileTexts = []string{"```\n<!channel> *bold*", "<https://evil.example|log in>", "&lt;!here&gt;", "a\r\nBcc: all@example.com\r\n\r\nbody", ".\r\nQUIT\r\n", "\u202egnp.exe", "\x1b[31mred", "=3D\n=\n", "\xff\xfe"}

// FuzzSlackText: between the fences is all that others have written, and nothing in it is markup.
func FuzzSlackText(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := slackText(hostile(s))
		parts := strings.Split(text, "```")
		if len(parts) != 3 || parts[0] != "*hosting.test: a run failed*\n" || parts[2] != "" {
			t.Fatalf("%q", text)
		}
		if i := strings.IndexFunc(parts[1], func(r rune) bool {
			return r == '<' || r == '>' || r == '`' || r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
		}); i >= 0 {
			t.Fatalf("%q", parts[1][i:])
		}
	})
}

// FuzzLetter: the headers are those of the program, whatever is in the body.
func FuzzLetter(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s)
	}
	to := schema.Mail{From: "hostctl@hosting.test", To: []string{"ops@hosting.test", "on-call@hosting.test"}}
	f.Fuzz(func(t *testing.T, s string) {
		m := hostile(s)
		raw := letter(to, m)
		got, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if list, err := got.Header.AddressList("To"); err != nil || len(list) != 2 || len(got.Header) != 9 || got.Header.Get("Subject") != "hosting.test: a run failed" {
			t.Fatalf("%v, %v", got.Header, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
		if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != m.Text() {
			t.Fatalf("%q, want %q: %v", body, m.Text(), err)
		}
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("a line that RFC 5322 doesn't allow: %q", line)
			}
		}
	})
}
