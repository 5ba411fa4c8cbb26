package api_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	shBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	words   = regexp.MustCompile(`"[^"]*"|\S+`)
)

// Each curl of docs/api.md does what the page says, with the token of a tenant.
func TestDocsAPI(t *testing.T) {
	page, err := os.ReadFile("../../../docs/api.md")
	must(t, err)
	w := two(t)
	server := httptest.NewTLSServer(w.api)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pemOf(server), 0o600))
	lines := 0
	for _, block := range shBlock.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			argv := []string{"--fail-with-body", "--cacert", ca}
			for _, word := range words.FindAllString(strings.TrimSpace(line), -1)[1:] {
				word = strings.ReplaceAll(strings.Trim(word, `"`), "$TOKEN", w.token("tenant:acme"))
				argv = append(argv, strings.ReplaceAll(word, "https://hostd.example:9470", server.URL))
			}
			out, err := exec.CommandContext(t.Context(), "curl", argv...).CombinedOutput()
			if err != nil || strings.Contains(string(out), "globex") || !strings.HasPrefix(string(out), "{") && !strings.Contains(string(out), "\nevent: run\n") {
				t.Errorf("%s: %v: %s", line, err, out)
			}
			lines++
		}
	}
	if lines < 12 {
		t.Errorf("docs/api.md has %d examples", lines)
	}
	for _, r := range w.served() {
		if !strings.Contains(string(page), r) {
			t.Errorf("docs/api.md doesn't tell of %s", r)
		}
	}
}
