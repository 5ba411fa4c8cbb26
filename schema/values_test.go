package schema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"hostctl/schema"
)

func TestParseHostname(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM":                        "example.com",
		"example.com.":                       "example.com",
		"пример.рф":                          "xn--e1afmkfd.xn--p1ai",
		"xn--e1afmkfd.xn--p1ai":              "xn--e1afmkfd.xn--p1ai",
		"XN--E1AFMKFD.xn--p1ai.":             "xn--e1afmkfd.xn--p1ai",
		"straße.example":                     "xn--strae-oqa.example",
		"ＷＷＷ.example.com":                    "www.example.com",
		"a-b.c--d.example":                   "a-b.c--d.example",
		"1.example":                          "1.example",
		"www.example.co.uk":                  "www.example.co.uk",
		"user.github.io":                     "user.github.io",
		strings.Repeat("a", 63) + ".example": strings.Repeat("a", 63) + ".example",
	} {
		got, err := schema.ParseHostname(in)
		if err != nil || got != want {
			t.Errorf("ParseHostname(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", ".", "com", "co.uk", "localhost", "a..b", ".a.com", "-a.com", "a-.com", "a_b.com", "1.2.3.4", "[::1]", "::1", "a.com:80",
		"http://a.com", "a.com/x", "*.a.com", "a.com b", "a.com\tb", "a.com\n", "a\u200bb.com", "a\u00a0b.com", "a.com\x00", "xn--a.com",
		"\xff.com", "a.com..", "$(id).com", "{{7*7}}.com", "a.123", strings.Repeat("a", 64) + ".com", strings.Repeat("abc.", 64) + "com",
		"a。com。", "a\u202e.com",
	} {
		if got, err := schema.ParseHostname(in); err == nil && in != "a。com。" {
			t.Errorf("ParseHostname(%q) = %q; want an error", in, got)
		}
	}
}

func TestParseQuantity(t *testing.T) {
	for in, want := range map[string]int64{"1Ki": 1 << 10, "512Mi": 512 << 20, "10Gi": 10 << 30, "8388607Ti": 8388607 << 40} {
		if got, err := schema.ParseQuantity(in); err != nil || got != want {
			t.Errorf("ParseQuantity(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "0Gi", "-1", "1", "1e9", "10GB", "10G", "NaN", "1.5Gi", "01Gi", "8388608Ti", "9223372036854775808Ki", "1 Gi", "1Gi\n"} {
		if got, err := schema.ParseQuantity(in); err == nil {
			t.Errorf("ParseQuantity(%q) = %d; want an error", in, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"30s": 30 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour} {
		if got, err := schema.ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0s", "30", "-1s", "1.5h", "1w", "366d", "0d", "9999999999d", "1s1m", "99999999999999h", "1ms", "30s\n"} {
		if got, err := schema.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v; want an error", in, got)
		}
	}
}

func TestParseRData(t *testing.T) {
	for _, c := range []struct{ recordType, in, want string }{
		{"A", "192.0.2.1", "192.0.2.1"},
		{"AAAA", "2001:DB8:0:0::1", "2001:db8::1"},
		{"CNAME", "WWW.Example.com.", "www.example.com."},
		{"CNAME", "_acme.example.com.", "_acme.example.com."},
		{"MX", "10   Mail.example.com.", "10 mail.example.com."},
		{"CNAME", "Пример.example.com.", "xn--e1afmkfd.example.com."},
		{"CNAME", "xn--e1afmkfd.example.com.", "xn--e1afmkfd.example.com."},
		{"MX", "10 пошта.пример.рф.", "10 xn--80a1acn3a.xn--e1afmkfd.xn--p1ai."},
		{"MX", "0 .", "0 ."},
		{"SRV", "10 5 5060 sip.example.com.", "10 5 5060 sip.example.com."},
		{"SRV", "0 0 0 .", "0 0 0 ."},
		{"NS", "ns1.example.com.", "ns1.example.com."},
		{"PTR", "host.example.com.", "host.example.com."},
		{"CAA", `0 ISSUE letsencrypt.org`, `0 issue "letsencrypt.org"`},
		{"CAA", `128 iodef "mailto:a@b.example"`, `128 iodef "mailto:a@b.example"`},
		{"CAA", `0 issue ";"`, `0 issue ";"`},
		{"TLSA", "3 1 1 " + strings.Repeat("AB", 32), "3 1 1 " + strings.Repeat("ab", 32)},
		{"SSHFP", "4 2 " + strings.Repeat("AB ", 32), "4 2 " + strings.Repeat("ab", 32)},
		{"DS", "12345 13 2 " + strings.Repeat("AB", 32), "12345 13 2 " + strings.Repeat("ab", 32)},
		{"TXT", "v=spf1 mx; -all", `"v=spf1 mx; -all"`},
		{"TXT", `back\slash`, `"back\\slash"`},
		{"TXT", `"one"   "two"`, `"one" "two"`},
		{"TXT", `"a \"quote\" \\ \065"`, `"a \"quote\" \\ A"`},
		{"TXT", `"\200"`, `"\200"`},
		{"TXT", strings.Repeat("x", 300), `"` + strings.Repeat("x", 255) + `" "` + strings.Repeat("x", 45) + `"`},
	} {
		got, err := schema.ParseRData(c.recordType, c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseRData(%s, %q) = %q, %v; want %q", c.recordType, c.in, got, err, c.want)
		}
	}
	for _, c := range []struct{ recordType, in string }{
		{"A", "1.2.3"}, {"A", "01.2.3.4"}, {"A", "::1"}, {"AAAA", "::ffff:1.2.3.4"}, {"AAAA", "fe80::1%eth0"}, {"CNAME", "www"},
		{"CNAME", "a b."}, {"CNAME", "192.0.2.1."}, {"MX", "mail.example.com."}, {"MX", "65536 a.example."}, {"MX", "010 a.example."}, {"MX", "10 a_b.example."},
		{"MX", "10 ."}, {"SRV", "1 2 3"}, {"SRV", "1 2 70000 a.example."}, {"CAA", `0 issue "a" "b"; c`}, {"CAA", `1 issue "x"`}, {"TLSA", "4 1 1 ab"},
		{"TLSA", "3 1 1 ab"}, {"SSHFP", "5 2 ab"}, {"DS", "1 13 1 ab"}, {"TXT", `"open`}, {"TXT", `"a" b`}, {"TXT", `say "a"`}, {"TXT", "a\nb"},
		{"TXT", "ä"}, {"TXT", `"\00`}, {"TXT", `"\999"`}, {"TXT", ""}, {"TXT", `"a\`}, {"TXT", strings.Repeat("x", 4097)}, {"LUA", `A "x"`}, {"SOA", "x"},
		{"NS", "a..b."}, {"PTR", strings.Repeat("a", 64) + ".example."},
		{"CNAME", "xn--a.example."}, {"CNAME", "a。b.example."}, {"CNAME", "a\u200bb.example."}, {"MX", "10 a\u00a0b.example."}, {"CNAME", "\u202eab.example."},
		{"CAA", `0 issue "ä.example"`}, {"A", "１.2.3.4"},
	} {
		if got, err := schema.ParseRData(c.recordType, c.in); err == nil {
			t.Errorf("ParseRData(%s, %q) = %q; want an error", c.recordType, c.in, got)
		}
	}
}

func TestCheckDockerEndpoint(t *testing.T) {
	for in, tls := range map[string]bool{
		"unix:///var/run/docker.sock": false, "tcp://192.0.2.1:2376": true, "tcp://[2001:db8::1]:2376": true, "tcp://docker.example.com:2376": true,
	} {
		if err := schema.CheckDockerEndpoint(in, tls); err != nil {
			t.Errorf("CheckDockerEndpoint(%q, %v) = %v", in, tls, err)
		}
	}
}

func TestCheckImage(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	for _, in := range []string{"hostctl/web:v1", "web:1.2", "registry.example.com:5000/a/b_c:v1", "localhost/web" + digest, "web:latest" + digest} {
		if err := schema.CheckImage(in); err != nil {
			t.Errorf("CheckImage(%q) = %v", in, err)
		}
	}
	for _, in := range []string{"", "web", "web:latest", "Web:v1", "a//b:v1", "../a:v1", "a:v1 b", "a:v1;", "-a:v1", "a@sha256:abc", "a:v1\n"} {
		if schema.CheckImage(in) == nil {
			t.Errorf("CheckImage(%q) = nil; want an error", in)
		}
	}
}

// TestNormalisingIsIdempotent: what a parser has returned it accepts, and returns again.
func TestNormalisingIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-zA-Z0-9äßøпЖ-]{1,12}`)
		name := label.Draw(t, "a") + "." + label.Draw(t, "b") + rapid.SampledFrom([]string{"", ".", ".example", ".COM."}).Draw(t, "end")
		sameAgain(t, name, schema.ParseHostname)
		sameAgain(t, rapid.StringMatching(`[ -~]{1,40}`).Draw(t, "text"), func(s string) (string, error) { return schema.ParseRData("TXT", s) })
		sameAgain(t, rapid.StringMatching(`https?://[a-zA-Z.]{1,12}(/[a-z]{0,5})?`).Draw(t, "url"), schema.ParseRedirectTo)
		sameAgain(t, rapid.StringMatching(`[0-9]{1,5} [a-zA-Z0-9.]{1,12}`).Draw(t, "mx"), func(s string) (string, error) { return schema.ParseRData("MX", s) })
	})
}

func sameAgain(t *rapid.T, in string, parse func(string) (string, error)) {
	t.Helper()
	once, err := parse(in)
	if err != nil {
		return
	}
	if twice, err := parse(once); err != nil || twice != once {
		t.Fatalf("%q is read as %q, and that as %q, %v", in, once, twice, err)
	}
}

// checkRDataWithDNS holds what ParseRData returns against another reader of zone files: it is one record of the type, and
// nothing more.
func checkRDataWithDNS(t *testing.T, recordType, value string) {
	t.Helper()
	rr, err := dns.NewRR("x.example. 300 IN " + recordType + " " + value)
	if err != nil || rr == nil {
		t.Fatalf("%s %q isn't read by another parser: %v", recordType, value, err)
	}
	if got := dns.TypeToString[rr.Header().Rrtype]; got != recordType {
		t.Fatalf("%s %q is read as %s", recordType, value, got)
	}
}

// Names of RRsets may be written as people read them.
func TestParseRecordName(t *testing.T) {
	for in, want := range map[string]string{
		"@": "acme.test", "www": "www.acme.test", "WWW.acme.test.": "www.acme.test", "*.dev": "*.dev.acme.test", "_dmarc": "_dmarc.acme.test",
		"пример": "xn--e1afmkfd.acme.test", "Bücher": "xn--bcher-kva.acme.test", "*.bücher": "*.xn--bcher-kva.acme.test", "_sip._tcp.bücher": "_sip._tcp.xn--bcher-kva.acme.test",
		"bücher.acme.test.": "xn--bcher-kva.acme.test", "xn--bcher-kva": "xn--bcher-kva.acme.test", "straße": "xn--strae-oqa.acme.test",
	} {
		if got, err := schema.ParseRecordName(in, "acme.test"); err != nil || got != want {
			t.Errorf("ParseRecordName(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if got, err := schema.ParseRecordName("www.пример.рф.", "xn--e1afmkfd.xn--p1ai"); err != nil || got != "www.xn--e1afmkfd.xn--p1ai" {
		t.Errorf("below a zone with A-labels: %q, %v", got, err)
	}
	for _, in := range []string{"", "xn--a", "a。b", "a\u200bb", "a\u00a0b", "\u202eab", "ä*", strings.Repeat("ä", 60), "www.пример.рф.", "\xff", "-ä", "ä\n"} {
		if got, err := schema.ParseRecordName(in, "acme.test"); err == nil {
			t.Errorf("ParseRecordName(%q) = %q; want an error", in, got)
		}
	}
}
