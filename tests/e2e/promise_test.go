package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestG05_ASavedPlanIsAPromise saves a plan, changes what it starts from behind its back on three far sides, and applies it:
// what nobody planned isn't overwritten, what follows isn't tried, all else is done. Then the plan is stale, and one that
// was edited is no plan. hostd, which makes the commit true, puts it right in the end.
func TestG05_ASavedPlanIsAPromise(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.leaveEditsAlone()
	s.push("A platform with two tenants")
	s.StopHostd()
	file := s.savePlan()
	edited := s.editBehindItsBack()

	out, err := s.Hostctl(t.Context(), "apply", "-C", s.Repo(), "--yes", file)
	if err == nil {
		t.Errorf("the plan was carried out over what was edited")
	}
	for _, want := range []string{
		"vhost/web-1-0/acme.docs: changed since planned: expected ", "found a file that isn't what this version writes for it",
		"route/eu-1-lb-0/www.shop.acme.test: changed since planned: expected ", "found backend: web-1 → nowhere; 'hostctl drift' shows it; plan again",
		"rrset/eu-1-dns/acme.test/mail.acme.test/A: changed since planned: expected ", "found values: +192.0.2.99 -192.0.2.25",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("apply doesn't print %q", want)
		}
	}
	edited.wantUntouched(t)
	s.wantMisdirected("docs2.acme.test")      // its route follows the vhost that was refused
	s.wantServed("new.globex.test", "globex") // nothing to do with it
	if got, err := s.at.Resolve(t.Context(), "new.globex.test", dns.TypeA); err != nil || !strings.HasSuffix(got, "192.0.2.10") {
		t.Errorf("new.globex.test: %q, %v", got, err)
	}
	if t.Failed() {
		t.Logf("apply printed:\n%s", out)
	}
	s.wantRefused(file, "the inventory has changed since the plan was made")
	s.wantRefused(tampered(t, file), "it was changed after it was made")
	edited.wantUntouched(t)

	s.startHostd()
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantServed("docs2.acme.test", "docs of acme")
	s.wantMisdirected("www.shop.acme.test")
	if got, err := s.at.Resolve(t.Context(), "mail.acme.test", dns.TypeA); err != nil || !strings.HasSuffix(got, "192.0.2.26") {
		t.Errorf("mail.acme.test: %q, %v; want 192.0.2.26", got, err)
	}
	s.wantNoChanges()
}

// TestG05_HostdGoesOnFromWhatWasEdited pushes a change of a vhost that was edited by hand: its run is refused there, and
// hostd's next plan overwrites it.
func TestG05_HostdGoesOnFromWhatWasEdited(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.leaveEditsAlone()
	s.push("A platform with two tenants")
	s.docker("exec", s.container("web-1-1"), "sh", "-c", "echo '# by hand' >> "+docsVhost)
	s.edit("fqdns: [docs.acme.test]", "fqdns: [docs.acme.test, docs2.acme.test]")
	began := time.Now()
	printed := s.push("acme: a second name")
	t.Logf("put right %s after the push", time.Since(began).Round(time.Millisecond))
	// Where hostd looked between the edit and the push it has seen the edit, and makes the vhost anew.
	if !strings.Contains(printed, "vhost/web-1-1/acme.docs: changed since planned") && !strings.Contains(printed, "+ vhost/web-1-1/acme.docs") {
		t.Errorf("the push doesn't print what was refused:\n%s", printed)
	}
	s.wantServed("docs2.acme.test", "docs of acme")
	if strings.Contains(s.docker("exec", s.container("web-1-1"), "cat", docsVhost), "by hand") {
		t.Error("the edit is still there")
	}
	s.wantNoChanges()
}

// leaveEditsAlone lets nodes look after themselves so seldom that they don't put right what a test edits by hand.
func (s *site) leaveEditsAlone() {
	s.t.Helper()
	for _, role := range []string{"web", "lb", "dns"} {
		image := "  image: hostctl/" + role + ":v1\n"
		s.edit(image, image+"  env: {HOSTCTL_CHECK_EVERY: 24h}\n")
	}
}

const docsVhost = "/etc/nginx/hostctl/current/acme.docs.conf"

// savePlan commits four edits where no hostd sees them, and saves the plan of them.
func (s *site) savePlan() string {
	s.t.Helper()
	s.edit("    - www.shop.acme.test\n", "")
	s.edit("192.0.2.25", "192.0.2.26")
	s.edit("fqdns: [docs.acme.test]", "fqdns: [docs.acme.test, docs2.acme.test]")
	s.add("tenants/globex/new.yaml", "apiVersion: hosting/v1\nkind: FQDN\nmetadata: {name: new}\nspec: {hostname: new.globex.test, webroot: www}\n")
	s.pushOnly("Four edits")
	file := filepath.Join(s.Dir, "four.plan")
	out, err := s.Hostctl(s.t.Context(), "plan", "-C", s.Repo(), "--out", file)
	if err == nil || !strings.Contains(err.Error(), "exit status 2") {
		s.t.Fatalf("plan: %v, want exit status 2\n%s", err, out)
	}
	return file
}

// add writes a new file into the clone.
func (s *site) add(path, text string) {
	s.t.Helper()
	file := filepath.Join(s.Clone(), path)
	s.must(os.MkdirAll(filepath.Dir(file), 0o755))
	s.must(os.WriteFile(file, []byte(text), 0o644))
}

// edits are what was changed behind a plan's back, as it was read right after.
type edits struct {
	s     *site
	reads map[string]string // by how it is read, in the container of a node
}

func (s *site) editBehindItsBack() edits {
	s.t.Helper()
	const admin = "/run/haproxy/admin.sock"
	haproxy := func(command string) string {
		return `perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new("` + admin + `"); print $s "` + command + `\n"; print <$s>'`
	}
	hosts := "/etc/haproxy/maps/hosts.map"
	s.docker("exec", s.container("web-1-0"), "sh", "-c", "echo '# by hand' >> "+docsVhost)
	s.docker("exec", s.container("eu-1-lb-0"), "sh", "-c", haproxy("set map "+hosts+" www.shop.acme.test nowhere"))
	s.docker("exec", s.container("eu-1-dns-0"), "pdnsutil", "replace-rrset", "acme.test", "mail", "A", "3600", "192.0.2.99")
	e := edits{s: s, reads: map[string]string{}}
	for _, read := range []string{
		"web-1-0 tail -n 1 " + docsVhost,
		"eu-1-lb-0 " + haproxy("get map "+hosts+" www.shop.acme.test"),
		"eu-1-dns-0 pdnsutil list-zone acme.test | grep ^mail",
	} {
		e.reads[read] = e.read(read)
	}
	for read, want := range map[string]string{"web-1-0": "# by hand", "eu-1-lb-0": `value="nowhere"`, "eu-1-dns-0": "192.0.2.99"} {
		for how, got := range e.reads {
			if strings.HasPrefix(how, read+" ") && !strings.Contains(got, want) {
				s.t.Fatalf("%s: %q, want it to hold %q", how, got, want)
			}
		}
	}
	return e
}

func (e edits) read(how string) string {
	node, command, _ := strings.Cut(how, " ")
	return e.s.docker("exec", e.s.container(node), "sh", "-c", command)
}

func (e edits) wantUntouched(t *testing.T) {
	t.Helper()
	for how, want := range e.reads {
		if got := e.read(how); got != want {
			t.Errorf("%s: now %q, was edited to %q", how, got, want)
		}
	}
}

// wantRefused applies a plan that must be refused before anything is touched.
func (s *site) wantRefused(file, why string) {
	s.t.Helper()
	out, err := s.Hostctl(s.t.Context(), "apply", "-C", s.Repo(), "--yes", file)
	if err == nil || !strings.Contains(out, why) {
		s.t.Errorf("apply %s: %v, want it refused with %q:\n%s", filepath.Base(file), err, why, out)
	}
}

// tampered returns a copy of a saved plan in which one address is another.
func tampered(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte("192.0.2.26"), []byte("192.0.2.66"), 1)
	if err := os.WriteFile(file+".edited", b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file + ".edited"
}
