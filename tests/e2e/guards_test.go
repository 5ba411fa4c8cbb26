package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hostctl/tests/platform"
)

// TestG09_TenantRemoved removes a tenant's folder: the push is refused with what would be lost, and nothing moves. With the
// trailer that it asks for the tenant is gone from HAProxy and DNS, and its files aren't. 'git revert' brings all back, the
// files that were uploaded too (G10). What is kept for long enough is deleted by a plan of its own.
// B57: a deleted folder.
func TestG09_TenantRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.push("A platform with two tenants")
	upload := "/srv/tenants/globex/www/uploaded.txt"
	s.docker("exec", s.container("web-1-0"), "cp", "/etc/hostname", upload)
	folder := filepath.Join(s.Clone(), "tenants/globex")

	before := s.inventory()
	s.must(os.RemoveAll(folder))
	printed := s.pushRefused("globex has left")
	for _, want := range []string{"Allow-Destroy: Tenant/globex", "- route     ", "www.globex.test", "its files are kept for 7 days"} {
		if !strings.Contains(printed, want) {
			t.Errorf("the refusal doesn't say %q:\n%s", want, printed)
		}
	}
	s.wantServed("www.globex.test", "globex")
	if now := s.inventory(); now != before {
		t.Error("the push was refused, and the inventory has changed")
	}

	s.must(s.Git(t.Context(), "commit", "--quiet", "--amend", "-m", "globex has left", "-m", "Allow-Destroy: Tenant/globex"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	s.wantMisdirected("www.globex.test")
	if got, err := s.at.Resolve(t.Context(), "www.globex.test", dns.TypeA); err == nil {
		t.Errorf("www.globex.test is still %s", got)
	}
	s.docker("exec", s.container("web-1-0"), "test", "-e", upload)
	if out, err := s.Hostctl(t.Context(), "trash"); err != nil || !strings.Contains(out, "globex.www") {
		t.Errorf("trash: %v\n%s", err, out)
	}
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantNoChanges()

	s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	s.wantServed("www.globex.test", "globex")
	s.docker("exec", s.container("web-1-0"), "test", "-e", upload)
	s.wantNoChanges()
	s.purged()
}

// purged shortens how long files are kept, removes a site, and waits until its files are gone for good.
func (s *site) purged() {
	s.t.Helper()
	s.edit("  uidRange:", "  keep: {Webroot: 5s}\n  uidRange:")
	s.push("Keep files for five seconds")
	s.must(os.Remove(filepath.Join(s.Clone(), "tenants/acme/docs.yaml")))
	s.push("acme: no more docs")
	s.must(platform.Until(s.t.Context(), time.Minute, func() error {
		if out, err := s.Hostctl(s.t.Context(), "trash"); err != nil || strings.Contains(out, "acme.docs") {
			return errors.Join(err, errors.New("still kept: "+out))
		}
		return nil
	}))
	if out := s.docker("exec", s.container("web-1-0"), "ls", "/srv/tenants/acme"); strings.Contains(out, "docs") || !strings.Contains(out, "shop") {
		s.t.Errorf("the sites of acme after the purge: %s", out)
	}
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantNoChanges()
}
