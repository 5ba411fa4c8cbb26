package nginx

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

var testPaths = paths{tenants: "/srv/tenants", php: "/run/php", apps: "/run/apps", auth: "/auth", logs: "/logs"}

func vhost() planner.Vhost {
	return planner.Vhost{
		Meta: planner.Meta{Target: "web-1-0", Name: "acme.shop"}, Tenant: "acme", Site: "shop",
		Hostnames: []string{"acme.example"}, DocumentRoot: "public", Type: schema.RuntimePHP, Version: "8.4",
		Redirects: []schema.Redirect{{From: "/a", To: "/b", Status: 301}},
	}
}

// tokens reads a configuration as nginx does (ngx_conf_read_token), into one list of words for each directive, with its
// depth in front and "{" or ";" behind.
func tokens(text string) ([][]string, error) {
	var all [][]string
	var words []string
	depth := 0
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case ';', '{':
			all = append(all, append(append([]string{strings.Repeat(">", depth)}, words...), string(c)))
			words = nil
			if c == '{' {
				depth++
			}
			i++
		case '}':
			if len(words) > 0 {
				return nil, errors.New("unexpected }")
			}
			depth--
			i++
		default:
			word, n, err := token(text[i:])
			if err != nil {
				return nil, err
			}
			words = append(words, word)
			i += n
		}
	}
	if depth != 0 || len(words) > 0 {
		return nil, errors.New("unexpected end")
	}
	return all, nil
}

// token reads one word, quoted or not.
func token(s string) (word string, n int, err error) {
	quote := byte(0)
	i := 0
	if s[0] == '"' || s[0] == '\'' {
		quote = s[0]
		i++
	}
	var b strings.Builder
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case '"', '\'', '\\':
				b.WriteByte(s[i])
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case 'n':
				b.WriteByte('\n')
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		case quote != 0 && c == quote:
			if i+1 < len(s) && !strings.ContainsRune(" \t\r\n;{)", rune(s[i+1])) {
				return "", 0, errors.New("unexpected character after a quote")
			}
			return b.String(), i + 1, nil
		case quote == 0 && strings.IndexByte(" \t\r\n;{", c) >= 0:
			return b.String(), i, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errors.New("unexpected end in a word")
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a b", `"`, `\`, `\"`, `";}`, "a;b{c}", "#", "'", `\n`, "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := tokens("a " + quote(s) + " b;")
		if err != nil || len(got) != 1 || !slices.Equal(got[0], []string{"", "a", s, "b", ";"}) {
			t.Errorf("quote(%q) = %s is read as %q, %v", s, quote(s), got, err)
		}
	})
}

// Whatever a vhost holds, it is refused, or its file has the directives that every vhost has, and no variable but ours.
func FuzzRender(f *testing.F) {
	f.Add("acme.example", "public", "/a", "/b")
	f.Add("a.example; return 200", `public"; include /etc/passwd;`, `/a" { } #`, "https://x.example/$request_body")
	f.Add("a.example\nb", "public;}", "/\x00", "//evil.example")
	f.Add("*.example", "../x", "/a b", "javascript:alert(1)")
	want, err := shape(vhost())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host, root, from, to string) {
		v := vhost()
		v.Hostnames, v.DocumentRoot = []string{host}, root
		v.Redirects = []schema.Redirect{{From: from, To: to, Status: 301}}
		got, err := shape(v)
		if err != nil {
			return
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v\nhas the directives %q\nwant %q", v, got, want)
		}
	})
}

// shape returns the names of a rendered vhost's directives with their depths, and all variables in it.
func shape(v planner.Vhost) ([]string, error) {
	text, err := render(v, testPaths)
	if err != nil {
		return nil, err
	}
	all, err := tokens(string(text))
	if err != nil {
		return []string{"not read: " + err.Error()}, nil //nolint:nilerr // rendered, which is the mistake
	}
	var out []string
	for _, d := range all {
		out = append(out, d[0]+d[1]+d[len(d)-1])
		for _, w := range d[2:] {
			if i := strings.IndexByte(w, '$'); i >= 0 && d[1] != "location" {
				out = append(out, w[i:])
			}
		}
	}
	return out, nil
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"/a?b=c&d=%20#e":          "/a?b=c&d=%20#e",
		"https://a.example/$host": "https://a.example/%24host",
		`/a"b\c d`:                "/a%22b%5Cc%20d",
		"/ü":                      "/%C3%BC",
		"/a\r\nSet-Cookie: x":     "/a%0D%0ASet-Cookie:%20x",
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}

// What was rendered is read back; what somebody has changed is not taken for it.
func TestParse(t *testing.T) {
	v := vhost()
	text, err := render(v, testPaths)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(text, testPaths)
	if err != nil || planner.HashOf(got) != planner.HashOf(v) {
		t.Errorf("parse: %+v, %v", got, err)
	}
	v.From = planner.Owner{Tenant: "acme", Kind: "Webroot", Name: "shop", File: "a.yaml", Line: 7}
	if again, _ := render(v, testPaths); string(again) != string(text) {
		t.Error("where a vhost is declared changes its file")
	}
	if _, err := parse(append(text, "# x\n"...), testPaths); !errors.Is(err, errChanged) {
		t.Errorf("changed: %v", err)
	}
	for _, other := range []string{"", "server {}", "# hostctl {}", "# hostctl null\n"} {
		if _, err := parse([]byte(other), testPaths); err == nil {
			t.Errorf("%q was taken for a vhost", other)
		}
	}
}

// The sites of a suspended tenant answer by themselves: with nothing of the site's own, whoever asks.
func TestSuspended(t *testing.T) {
	v := vhost()
	v.Suspended = true
	v.Serving.Auth = &schema.HTTPAuth{Realm: "staff"}
	v.Serving.Maintenance = &schema.Maintenance{Page: "/wait.html"}
	text, err := render(v, testPaths)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"fastcgi_pass", "auth_basic", "/wait.html", "301"} {
		_, config, _ := strings.Cut(string(text), "\n") // the first line is the object
		if strings.Contains(config, own) {
			t.Errorf("a suspended site has %s:\n%s", own, text)
		}
	}
	if got, err := parse(text, testPaths); err != nil || !got.Suspended {
		t.Errorf("read back: %+v, %v", got, err)
	}
	directives, err := tokens(string(text))
	if err != nil || !slices.ContainsFunc(directives, func(d []string) bool {
		return len(d) == 5 && d[1] == "return" && d[2] == "503" && d[3] == suspendedPage
	}) {
		t.Errorf("no page: %v\n%s", err, text)
	}
}
