package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestKillHostdDuringFirstApply kills hostd again and again while it makes a platform, and then lets it run.
func TestKillHostdDuringFirstApply(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.Git(t.Context(), "add", "--all"))
	s.must(s.Git(t.Context(), "commit", "--quiet", "-m", "A platform with two tenants"))
	push := exec.CommandContext(t.Context(), "git", "-C", s.Clone(), "push", "--quiet", "origin", "main")
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	// Each time a little further into the run.
	for i := range 8 {
		pause := time.Duration(100+i*350) * time.Millisecond
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(pause):
		}
		s.KillHostd()
		s.startHostd()
	}
	if err := push.Wait(); err != nil {
		t.Logf("the push that was followed ended with %v: its hostd was killed", err)
	}
	if err := s.Settled(t.Context(), 3*time.Minute); err != nil {
		t.Fatal(err)
	}
	at, err := s.Endpoints(t.Context())
	s.must(err)
	s.at = at
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantNoChanges()
	s.nothingTwice(t)
}

// nothingTwice checks that the containers, the map and the zone hold what they should, once.
func (s *site) nothingTwice(t *testing.T) {
	t.Helper()
	names := s.containers()
	slices.Sort(names)
	if want := []string{"eu-1-db-0", "eu-1-dns-0", "eu-1-lb-0", "web-1-0", "web-1-1"}; !slices.Equal(names, want) {
		t.Errorf("containers %q, want %q", names, want)
	}
	entries := map[string]int{}
	for line := range strings.Lines(s.docker("exec", s.container("eu-1-lb-0"), "cat", "/etc/haproxy/maps/hosts.map")) {
		if key, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(key, "#") && !strings.HasSuffix(key, ".invalid") {
			entries[key]++
		}
	}
	want := map[string]int{"docs.acme.test": 1, "shop.acme.test": 1, "www.shop.acme.test": 1, "globex.test": 1, "www.globex.test": 1}
	for key, n := range entries {
		if want[key] != n {
			t.Errorf("the map holds %s %d times, want %d", key, n, want[key])
		}
	}
	if len(entries) != len(want) {
		t.Errorf("the map holds %v, want %v", entries, want)
	}
	answer, err := s.at.Resolve(t.Context(), "shop.acme.test", dns.TypeA)
	s.must(err)
	if strings.Count(answer, "\n") != 0 {
		t.Errorf("shop.acme.test has more than one address:\n%s", answer)
	}
}
