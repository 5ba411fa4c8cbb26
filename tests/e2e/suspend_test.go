package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"time"

	"hostctl/tests/platform"
)

// suspendAcme suspends the tenant of the demo's shop and its database, and undoes that: meanwhile its host names answer 503,
// nothing runs as its user, not even what has left its site's service, and its database user is locked. Nothing has to be
// allowed, and nobody else notices.
func (s *site) suspendAcme() {
	s.t.Helper()
	if s.jobNode() == "" {
		s.t.Error("no node has the job")
	}
	s.docker("exec", "--detach", "--user", "t-acme", s.container("web-1-0"), "sleep", "4711")
	s.edit("  name: acme\nspec:\n  plan:", "  name: acme\n  suspended: true\n  suspendReason: invoice 4711 is unpaid\nspec:\n  plan:")
	printed := s.push("acme: suspended")
	if !strings.Contains(printed, "tenant acme is suspended: invoice 4711 is unpaid") {
		s.t.Errorf("the push doesn't say why:\n%s", printed)
	}
	if out, err := s.Hostctl(s.t.Context(), "status"); err != nil || !strings.Contains(out, "suspended  acme: invoice 4711 is unpaid") {
		s.t.Errorf("the status doesn't say why (%v):\n%s", err, out)
	}
	s.wantNoChanges()
	for _, host := range []string{"shop.acme.test", "docs.acme.test"} {
		code, body, err := s.at.Fetch(s.t.Context(), host)
		if err != nil || code != 503 || !strings.Contains(body, "This site is suspended.") || strings.Contains(body, "4711") {
			s.t.Errorf("%s of a suspended tenant: %d %q %v", host, code, body, err)
		}
	}
	if got := s.asks("acme_app", "correct horse", "acme_shop", "SELECT 1"); got != "refused 3118" { // ER_ACCOUNT_HAS_BEEN_LOCKED
		s.t.Errorf("the database of a suspended tenant: %q", got)
	}
	s.wantServed("www.globex.test", "")
	if node := s.jobNode(); node != "" {
		s.t.Errorf("%s has the job of a suspended tenant", node)
	}
	s.must(platform.Until(s.t.Context(), time.Minute, func() error {
		if out := s.runsAs("t-acme"); out != "" {
			return fmt.Errorf("as a suspended tenant's user still runs: %s", out)
		}
		return nil
	}))
	if out, err := exec.CommandContext(s.t.Context(), "docker", "exec", s.container("web-1-0"), "chage", "--list", "t-acme").Output(); err != nil || !strings.Contains(string(out), "Jan 02, 1970") {
		s.t.Errorf("the login of a suspended tenant (%v): %s", err, out)
	}

	s.must(s.Git(s.t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(s.t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(s.t.Context(), 2*time.Minute))
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantServed("docs.acme.test", "")
	if got := s.asks("acme_app", "correct horse", "acme_shop", "SELECT id FROM orders"); got != "4711" {
		s.t.Errorf("the database after git revert: %q", got)
	}
	s.wantNoChanges()
}

// runsAs returns the processes of a user on the web node.
func (s *site) runsAs(login string) string {
	s.t.Helper()
	var theirs []string
	for line := range strings.Lines(s.docker("exec", s.container("web-1-0"), "ps", "-e", "-o", "user:32=,args=")) {
		if user, _, _ := strings.Cut(line, " "); user == login {
			theirs = append(theirs, strings.TrimSpace(line))
		}
	}
	return strings.Join(theirs, "; ")
}
