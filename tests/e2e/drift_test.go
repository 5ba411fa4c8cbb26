package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hostctl/reconciler"
	"hostctl/tests/platform"
)

// TestDrift damages what runs, on the real parts, behind hostctl's back.
func TestDrift(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.StopHostd()
	s.startObserving()
	s.push("A platform with two tenants")
	t.Run("nothing differs after a push", s.noFalseDrift)
	t.Run("what is damaged is found and put right", s.damage)
	t.Run("what nobody declared is reported and can be adopted", s.orphan)
	t.Run("what nobody declared is deleted where the zone says so", s.unmanaged)
	t.Run("a policy of report leaves it alone", s.reported)
	t.Run("a fight ends", s.fight)
	t.Run("without hostd hostctl looks itself", s.withoutHostd)
}

func (s *site) startObserving() {
	s.t.Helper()
	if _, err := s.StartHostd(s.t.Context(), "--look-every", "2s", "--observe-every", "1s"); err != nil {
		s.t.Fatal(err)
	}
}

// driftNow asks for what differs now, as lines of reference, state and what becomes of it.
func (s *site) driftNow() ([]string, reconciler.Drift) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), s.Program("hostctl"), "--state", s.State(), "-C", s.Clone(), "drift", "--json").Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
		s.t.Fatalf("hostctl drift: %v\n%s", err, out)
	}
	var d reconciler.Drift
	if err := json.Unmarshal(out, &d); err != nil {
		s.t.Fatalf("%v:\n%s", err, out)
	}
	if (len(d.Found) > 0) != (err != nil) {
		s.t.Errorf("hostctl drift: %v, and %d findings", err, len(d.Found))
	}
	lines := []string{}
	for _, f := range d.Found {
		lines = append(lines, fmt.Sprintf("%s %s %s", f.Ref, f.State, f.Mode))
	}
	return lines, d
}

// wantDrift waits until exactly this differs.
func (s *site) wantDrift(want ...string) reconciler.Drift {
	s.t.Helper()
	var d reconciler.Drift
	s.must(platform.Until(s.t.Context(), time.Minute, func() error {
		lines, now := s.driftNow()
		if d = now; !slices.Equal(lines, want) && len(lines)+len(want) > 0 {
			return fmt.Errorf("found %q, want %q", lines, want)
		}
		return nil
	}))
	return d
}

func (s *site) noFalseDrift(t *testing.T) {
	s = s.sub(t)
	for range 3 {
		lines, d := s.driftNow()
		if len(lines) > 0 || len(d.Unread) > 0 {
			t.Errorf("found %q, unread %v", lines, d.Unread)
			for _, f := range d.Found {
				t.Logf("%s: %q\napplied %s\nfound   %s", f.Ref, f.Differences, f.Applied, f.Found)
			}
		}
		st, err := s.Status(t.Context())
		s.must(err)
		if d.Objects != st.Objects {
			t.Errorf("%d objects were compared, of %d", d.Objects, st.Objects)
		}
	}
	if log := s.log(); strings.Contains(log, "msg=drift ") {
		t.Errorf("hostd has found drift where there is none:\n%s", log)
	}
}

func (s *site) damage(t *testing.T) {
	s = s.sub(t)
	web0, web1 := s.container("web-1-0"), s.container("web-1-1")
	for _, d := range []struct {
		ref string
		do  func()
	}{
		{"vhost/web-1-0/acme.shop", func() {
			s.sh(web0, `sed -i 's/keepalive_timeout 0/keepalive_timeout 5/' $(grep -l '"vhost/web-1-0/acme.shop"' /etc/nginx/hostctl/*/*) && nginx -s reload`)
		}},
		{"runtime/web-1-1/acme.shop/php-8.4", func() {
			s.sh(web1, `sed -i 's/^pm.max_children = .*/pm.max_children = 77/' $(grep -rl '^.acme.shop.$' /etc/php/hostctl)`)
		}},
		{"user/web-1-1/globex", func() { s.sh(web1, "userdel -f t-globex") }},
		{"route/eu-1-lb-0/docs.acme.test", func() { s.haproxy("del map /etc/haproxy/maps/hosts.map docs.acme.test") }},
		{"server/eu-1-lb-0/web-1/web-1-1", func() { s.haproxy("set server web-1/web-1-1 state maint") }},
		{"rrset/eu-1-dns/acme.test/mail.acme.test/A", func() {
			s.powerdns("PATCH", "/zones/acme.test.", `{"rrsets":[{"name":"mail.acme.test.","type":"A","changetype":"DELETE"}]}`)
		}},
		{"zone/eu-1-dns/globex.test", func() {
			s.powerdns("PATCH", "/zones/globex.test.", `{"rrsets":[{"name":"globex.test.","type":"NS","ttl":60,"changetype":"REPLACE","records":[{"content":"ns.evil.example."}]}]}`)
		}},
	} {
		told := " ref=" + d.ref + " found="
		began, before := time.Now(), strings.Count(s.log(), told)
		d.do()
		s.must(platform.Until(t.Context(), time.Minute, func() error {
			if strings.Count(s.log(), told) == before {
				return errors.New(d.ref + " isn't found")
			}
			return nil
		}))
		found := time.Since(began)
		s.wantDrift()
		t.Logf("%s: found after %s, right again after %s", d.ref, found.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	}
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantServed("docs.acme.test", "docs of acme")
	s.wantServed("globex.test", "globex")
	s.wantAddress("mail.acme.test", "192.0.2.25")
	s.wantNoChanges()
}

const strayRef = "rrset/eu-1-dns/acme.test/stray.acme.test/A"

func (s *site) orphan(t *testing.T) {
	s = s.sub(t)
	s.setAddress("stray.acme.test", "192.0.2.99")
	s.wantDrift(strayRef + " orphan report")
	s.must(platform.Until(t.Context(), time.Minute, func() error { // hostd has seen it too
		if !strings.Contains(s.log(), "ref="+strayRef+" found=orphan") {
			return errors.New("hostd doesn't tell of " + strayRef)
		}
		return nil
	}))
	s.wantNoChanges()
	s.wantAddress("stray.acme.test", "192.0.2.99")

	yaml, err := s.Hostctl(t.Context(), "drift", "adopt", strayRef)
	if err != nil {
		t.Fatalf("%v: %s", err, yaml)
	}
	s.must(os.WriteFile(filepath.Join(s.Clone(), "tenants/acme/stray.yaml"), []byte(yaml), 0o644))
	s.push("acme: adopt a record")
	s.wantDrift()
	s.must(os.Remove(filepath.Join(s.Clone(), "tenants/acme/stray.yaml")))
	s.push("acme: and remove it")
	if _, err := s.at.Resolve(t.Context(), "stray.acme.test", dns.TypeA); !errors.Is(err, platform.ErrNoName) {
		t.Errorf("the adopted record is still there after it was removed: %v", err)
	}
}

// unmanaged has records deleted that nobody declares, and no others.
func (s *site) unmanaged(t *testing.T) {
	s = s.sub(t)
	s.edit("  domain: acme.test\n", "  domain: acme.test\n  unmanagedRecords: delete\n")
	s.push("acme: nothing but what is declared")
	s.setAddress("stray.acme.test", "192.0.2.99")
	s.must(platform.Until(t.Context(), time.Minute, func() error {
		if _, err := s.at.Resolve(t.Context(), "stray.acme.test", dns.TypeA); !errors.Is(err, platform.ErrNoName) {
			return fmt.Errorf("the record is still there: %w", err)
		}
		return nil
	}))
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantDrift()
	s.wantAddress("mail.acme.test", "192.0.2.25")
	if got, err := s.at.Resolve(t.Context(), "acme.test", dns.TypeNS); err != nil || !strings.Contains(got, "ns2.hosting.test.") {
		t.Errorf("the zone's name servers: %s, %v", got, err)
	}
	s.edit("  unmanagedRecords: delete\n", "")
	s.push("acme: and now it is reported again")
}

const mailRef = "rrset/eu-1-dns/acme.test/mail.acme.test/A"

func (s *site) reported(t *testing.T) {
	s = s.sub(t)
	s.edit("  hostmaster:", "  driftPolicy: {kinds: {rrset: report}}\n  hostmaster:")
	s.push("Report drift in DNS")
	s.setAddress("mail.acme.test", "192.0.2.66")
	d := s.wantDrift(mailRef + " differs report")
	if got := strings.Join(d.Found[0].Differences, "\n"); !strings.Contains(got, "values: +192.0.2.66 -192.0.2.25") {
		t.Errorf("differences %q", got)
	}
	s.must(platform.Until(t.Context(), time.Minute, func() error {
		if !strings.Contains(s.log(), " ref="+mailRef+" found=differs") {
			return errors.New("hostd doesn't tell of " + mailRef)
		}
		return nil
	}))
	s.wantNoChanges()
	s.wantAddress("mail.acme.test", "192.0.2.66")
	s.edit("  driftPolicy: {kinds: {rrset: report}}\n", "")
	s.push("Correct drift in DNS")
	s.wantDrift()
	s.wantAddress("mail.acme.test", "192.0.2.25")
}

// fight changes a record back as soon as it was corrected.
func (s *site) fight(t *testing.T) {
	s = s.sub(t)
	flips := 0
	s.must(platform.Until(t.Context(), 2*time.Minute, func() error {
		if answer, err := s.at.Resolve(t.Context(), "mail.acme.test", dns.TypeA); err == nil && strings.HasSuffix(answer, "192.0.2.25") {
			s.setAddress("mail.acme.test", "192.0.2.66")
			flips++
		}
		if _, d := s.driftNow(); len(d.Found) != 1 || d.Found[0].Fighting == nil {
			return errors.New("nobody fights")
		}
		return nil
	}))
	t.Logf("hostd gave up after %d flips", flips)
	if n := strings.Count(s.log(), "drift fight"); n != 1 || flips > reconciler.FightFlips+1 {
		t.Errorf("the fight was told %d times, after %d flips", n, flips)
	}
	s.wantAddress("mail.acme.test", "192.0.2.66")
	if out, err := s.Hostctl(t.Context(), "drift", "converge", "-C", s.Clone(), mailRef); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.wantDrift()
	s.wantAddress("mail.acme.test", "192.0.2.25")
}

func (s *site) withoutHostd(t *testing.T) {
	s = s.sub(t)
	s.StopHostd()
	s.wantDrift()
	s.setAddress("mail.acme.test", "192.0.2.66")
	s.wantDrift(mailRef + " differs correct")
	s.startObserving()
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantDrift()
}

// sh runs a shell in a container.
func (s *site) sh(container, script string) {
	s.t.Helper()
	s.docker("exec", container, "sh", "-ec", script)
}

// pid returns the first process of a container, as the host counts.
func (s *site) pid(container string) string {
	s.t.Helper()
	return strings.TrimSpace(s.docker("inspect", "--format", "{{.State.Pid}}", container))
}

// haproxy says something to the socket of the load balancer.
func (s *site) haproxy(command string) {
	s.t.Helper()
	c, err := net.Dial("unix", "/proc/"+s.pid(s.container("eu-1-lb-0"))+"/root/run/haproxy/admin.sock")
	s.must(err)
	defer func() { _ = c.Close() }()
	_, err = fmt.Fprintln(c, command)
	s.must(err)
	reply, err := io.ReadAll(c)
	s.must(err)
	if text := strings.TrimSpace(string(reply)); text != "" {
		s.t.Fatalf("haproxy: %s: %s", command, text)
	}
}

// powerdns calls the API of the name server, which listens inside its container only.
func (s *site) powerdns(method, path, body string) {
	s.t.Helper()
	node := s.container("eu-1-dns-0")
	key := strings.TrimSpace(s.docker("exec", node, "cat", "/etc/powerdns/api-key"))
	out, err := exec.CommandContext(s.t.Context(), "nsenter", "-t", s.pid(node), "-n", "curl", "-sS", "--fail-with-body", "-X", method,
		"-H", "X-API-Key: "+key, "-d", body, "http://127.0.0.1:8081/api/v1/servers/localhost"+path).CombinedOutput()
	if err != nil {
		s.t.Fatalf("powerdns %s %s: %v: %s", method, path, err, out)
	}
}

// setAddress makes a name of acme.test have an address.
func (s *site) setAddress(name, address string) {
	s.t.Helper()
	s.powerdns("PATCH", "/zones/acme.test.", fmt.Sprintf(
		`{"rrsets":[{"name":"%s.","type":"A","ttl":3600,"changetype":"REPLACE","records":[{"content":%q}]}]}`, name, address))
}

// wantAddress waits until a name has an address: PowerDNS keeps answers for some seconds.
func (s *site) wantAddress(name, address string) {
	s.t.Helper()
	s.must(platform.Until(s.t.Context(), 30*time.Second, func() error {
		got, err := s.at.Resolve(s.t.Context(), name, dns.TypeA)
		if err == nil && !strings.HasSuffix(got, " "+address) {
			err = fmt.Errorf("%s: %q, want %s", name, got, address)
		}
		return err
	}))
}
