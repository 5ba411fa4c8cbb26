package haproxy

import (
	"strings"
	"testing"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// FuzzRoute: a value that is read is written the same, and nothing in it is more than one word.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{"web-1", "web-1|https|31536000sp|-|-", "-|-|-|301p|https://www.example.com", "-|https|60|302|http://a.b/c?d=e", "|", "a|b|c|d|e", "-|-|-|-|-", "web-1|-|0|-|-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseRoute(s)
		if err != nil {
			return
		}
		value, err := routeValue(o)
		if err != nil {
			return // read, and shown as what it is; never written
		}
		if !isWord(value) {
			t.Fatalf("%q is no word", value)
		}
		if back, err := parseRoute(value); err != nil || !sameRoute(back, o) {
			t.Fatalf("%q is read as %+v and written as %q", s, o, value)
		}
	})
}

func TestRouteValue(t *testing.T) {
	for want, o := range map[string]planner.Route{
		"web-1":                                 {Backend: "web-1"},
		"web-1|https|-|-|-":                     {Backend: "web-1", ForceHTTPS: true},
		"web-1|https|0|-|-":                     {Backend: "web-1", ForceHTTPS: true, HSTS: &schema.HSTS{}},
		"web-1|https|5sp|-|-":                   {Backend: "web-1", ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 5, IncludeSubDomains: true, Preload: true}},
		"-|-|-|308p|https://a.example:8443":     {Redirect: "https://a.example:8443", Code: 308},
		"-|-|-|302|https://a.example/b?c=d&e=~": {Redirect: "https://a.example/b?c=d&e=~", Code: 302},
	} {
		if got, err := routeValue(o); err != nil || got != want {
			t.Errorf("%+v: %q, %v; want %q", o, got, err, want)
		}
	}
	for _, o := range []planner.Route{
		{}, {Backend: "Web"}, {Backend: "web-1", Redirect: "https://a.example", Code: 301}, {Redirect: "https://a.example"}, {Redirect: "https://a.example", Code: 200},
		{Redirect: "javascript:alert(1)", Code: 301}, {Redirect: "https://a.example;disable frontend x", Code: 301}, {Redirect: "https://a b", Code: 301},
		{Redirect: "https://a.example|x", Code: 301}, {Redirect: "//a.example", Code: 301}, {Backend: "web-1", HSTS: &schema.HSTS{MaxAge: -1}},
		{Backend: "web-1", HSTS: &schema.HSTS{Preload: true}}, {Backend: "web-1", Code: 301},
	} {
		if got, err := routeValue(o); err == nil {
			t.Errorf("%+v is written as %q", o, got)
		}
	}
}

// FuzzCertFile: what is read of a certificate's file is what a command may carry: no empty line, and its parts are in it.
func FuzzCertFile(f *testing.F) {
	b, err := selfSigned("www.example.com", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(strings.ReplaceAll(string(b), "\n", "\r\n")))
	f.Add([]byte(certHead + `{"key":{"secret":"a","version":"b"}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCertFile(b)
		if err != nil {
			return
		}
		if strings.Contains(c.payload, "\n\n") || !strings.HasPrefix(c.payload, c.chain[:min(len(c.chain), 27)]) || len(c.fingerprint) != 40 || c.chain == "" {
			t.Fatalf("%+v", c.source)
		}
	})
}

// FuzzCertReplies: whatever HAProxy answers, a name is led to its own file only.
func FuzzCertReplies(f *testing.F) {
	f.Add("/etc/haproxy/certs/a.example.pem:1 a.example\n/etc/haproxy/certs/b.example.pem:2 b.example\n", true)
	f.Add("/etc/haproxy/certs/a.example.pem a.example\n", false)
	f.Add("Filename: /etc/haproxy/certs/a.example.pem\nSHA1 FingerPrint: 00\n", false)
	o := Options{}.withDefaults()
	f.Fuzz(func(t *testing.T, s string, numbered bool) {
		if list, err := o.parseCertList(s, numbered); err == nil {
			for host, entry := range list {
				if checkHost(host) != nil || numbered != (entry != "") || entry != "" && !strings.HasPrefix(entry, o.certFile(host)+":") {
					t.Fatalf("%q: %q", host, entry)
				}
			}
		}
		if sum, err := parseFingerprint(s, "/etc/haproxy/certs/a.example.pem"); err == nil && !strings.Contains(s, sum) {
			t.Fatalf("%q", sum)
		}
	})
}

// TestSelfSigned: a certificate that is due for the next isn't what was made.
func TestSelfSigned(t *testing.T) {
	e := New(Options{Target: "eu-1-lb-0", Certs: t.TempDir()})
	want := planner.Cert{Meta: planner.Meta{Target: "eu-1-lb-0", Name: "www.example.com"}, SelfSigned: true}
	for _, c := range []struct {
		made time.Time
		due  bool
	}{{time.Now(), false}, {time.Now().Add(-300 * 24 * time.Hour), false}, {time.Now().Add(-340 * 24 * time.Hour), true}} {
		b, err := selfSigned("www.example.com", c.made)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.saveCerts(certs{"www.example.com": b}); err != nil {
			t.Fatal(err)
		}
		file, err := e.readCert("www.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if same := sameCert(e.observed("www.example.com", file), want); same == c.due {
			t.Errorf("made %s: it is observed as what was made: %v", c.made, same)
		}
		m := model{certs: certs{}}
		if err := e.stageCert(m, want); err != nil || (m.certs["www.example.com"] != nil) != c.due {
			t.Errorf("made %s: made again: %v, %v", c.made, m.certs["www.example.com"] != nil, err)
		}
	}
}
