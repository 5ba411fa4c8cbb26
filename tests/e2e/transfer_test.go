package e2e

import (
	"encoding/base64"
	"os/exec"
	"strings"
	"testing"
)

// transferred lets secondaries copy the zones, with a key that was generated, and no longer.
func (s *site) transferred(t *testing.T) {
	s = s.sub(t)
	const was, with = "managed: {profile: dns", "managed: {transfer: {to: [192.0.2.153], catalog: catalog.hosting.test, key: {generate: true, name: transfers}}, profile: dns"
	s.edit(was, with)
	s.push("Secondaries copy the zones")
	value, err := s.Hostctl(t.Context(), "secret", "show", "--", "-/transfers")
	s.must(err)
	key := base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(value)))
	if out, ok := s.axfr("catalog.hosting.test", key); !ok || !strings.Contains(out, "PTR acme.test.") || !strings.Contains(out, "PTR globex.test.") {
		t.Errorf("the catalog doesn't list the zones: %s", out)
	}
	if out, ok := s.axfr("acme.test", key); !ok || !strings.Contains(out, "shop.acme.test.") {
		t.Errorf("acme.test isn't copied with the key: %s", out)
	}
	for what, key := range map[string]string{"without a key": "", "with another one": base64.StdEncoding.EncodeToString(make([]byte, 32))} {
		if out, ok := s.axfr("acme.test", key); ok {
			t.Errorf("acme.test is copied %s: %s", what, out)
		}
	}
	s.wantNoChanges()
	s.wantInNoFile(strings.TrimSpace(value))
	s.edit(with, was)
	s.push("Nobody copies the zones")
	if out, ok := s.axfr("acme.test", key); ok {
		t.Errorf("acme.test is still copied: %s", out)
	}
	s.wantNoChanges()
}

// axfr copies a zone as a secondary does, and reports whether it got it.
func (s *site) axfr(zone, key string) (records string, ok bool) {
	s.t.Helper()
	args := []string{"exec", s.container("eu-1-dns-0"), "dig", "@127.0.0.1", "+noall", "+answer"}
	if key != "" {
		args = append(args, "-y", "hmac-sha256:eu-1-transfer:"+key)
	}
	out, err := exec.CommandContext(s.t.Context(), "docker", append(args, zone, "AXFR")...).CombinedOutput()
	text := strings.ReplaceAll(string(out), "\t", " ")
	return text, err == nil && strings.Count(text, " SOA ") == 2
}
