package git

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestTrailers holds what is found in messages against what git itself finds.
func TestTrailers(t *testing.T) {
	for _, message := range []string{
		"Remove acme\n\nAllow-Destroy: Tenant/acme\n",
		"Remove acme\n\nAllow-Destroy: Tenant/acme\nAllow-Destroy: route/eu-1-lb-0/*\nSigned-off-by: A <a@example.com>\n",
		"Remove acme\n\nIt was time.\n\nallow-destroy: Tenant/acme\n\n\n",
		"Remove acme\nAllow-Destroy: Tenant/acme\n",
		"Allow-Destroy: Tenant/acme\n",
		"Remove acme\n\nAllow-Destroy: Tenant/acme\n\nAnd that was that.\n",
		"Remove acme\n\nAs he says:\nAllow-Destroy: Tenant/acme\nand so on\nand on\n",
		"Remove acme\n\nprose\nAllow-Destroy: Tenant/acme\nSigned-off-by: A <a@example.com>\n",
		"Remove acme\n\nAllow-Destroy: Tenant/acme\n  and more\nOther: x\n",
		"Remove acme\n\nAllow-Destroy : Tenant/acme\n",
		"Remove acme\r\n\r\nAllow-Destroy: Tenant/acme\r\n",
		"",
	} {
		cmd := exec.Command("git", "interpret-trailers", "--parse", "--no-divider")
		cmd.Stdin = strings.NewReader(message)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(out)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Allow-Destroy") {
				want = append(want, strings.TrimSpace(value))
			}
		}
		if got := trailers(message, "Allow-Destroy"); !slices.Equal(got, want) {
			t.Errorf("%q: %q, git finds %q", message, got, want)
		}
	}
}
