package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hostctl/tests/platform"
)

// TestMainJob is the whole story on one platform, from the first push on.
func TestMainJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	printed := s.push("A platform with two tenants")
	for _, want := range []string{"+ container web-1-0 on host-1", "Plan: ", "Applied "} {
		if !strings.Contains(printed, want) {
			t.Errorf("the push doesn't print %q:\n%s", want, printed)
		}
	}
	t.Run("sites answer", s.sites)
	t.Run("names resolve", s.names)
	t.Run("an edit is live soon", s.edits)
	t.Run("removing a name disturbs nobody", s.removal)
	t.Run("a mistake changes nothing", s.mistakes)
	t.Run("a tenant brings files by SFTP", s.upload)
	t.Run("a tenant's code reaches nothing of the platform", s.attacks)
	t.Run("a node that is gone comes back", s.nodeGone)
	t.Run("a container edited by hand is put right", s.drift)
	t.Run("a zone is signed", s.signed)
	t.Run("who has the key copies the zones", s.transferred)
	t.Run("a removed site is no longer served and comes back with its files", s.revert)
}

func (s *site) sub(t *testing.T) *site {
	c := *s
	c.t = t
	return &c
}

func (s *site) sites(t *testing.T) {
	s = s.sub(t)
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantServed("docs.acme.test", "docs of acme")
	s.wantServed("www.globex.test", "globex")
	for _, host := range []string{"SHOP.ACME.TEST", "shop.acme.test:80", "shop.acme.test.", "Shop.Acme.Test.:8080"} {
		s.wantServed(host, "runs as t-acme")
	}
	for _, host := range []string{"nobody.example", "acme.test.evil.example", "127.0.0.1", "web-1"} {
		s.wantMisdirected(host)
	}
	s.wantNoChanges()
}

func (s *site) names(t *testing.T) {
	s = s.sub(t)
	for name, want := range map[string]string{
		"shop.acme.test":   "192.0.2.10",
		"globex.test":      "192.0.2.10",
		"mail.acme.test":   "192.0.2.25",
		"ns1.hosting.test": "192.0.2.53",
	} {
		for proto, ask := range map[string]func(context.Context, string, uint16) (string, error){"udp": s.at.Resolve, "tcp": s.at.ResolveTCP} {
			if got, err := ask(t.Context(), name, dns.TypeA); err != nil || !strings.HasSuffix(got, want) {
				t.Errorf("%s over %s: %q, %v; want %s", name, proto, got, err, want)
			}
		}
	}
	for qtype, want := range map[uint16]string{
		dns.TypeSOA: "ns1.hosting.test. hostmaster.hosting.test.",
		dns.TypeNS:  "ns2.hosting.test.",
		dns.TypeMX:  "10 mail.acme.test.",
		dns.TypeTXT: `"v=spf1 mx -all"`,
	} {
		if got, err := s.at.Resolve(t.Context(), "acme.test", qtype); err != nil || !strings.Contains(got, want) {
			t.Errorf("acme.test %s: %q, %v; want %s", dns.TypeToString[qtype], got, err, want)
		}
	}
	if _, err := s.at.Resolve(t.Context(), "nothere.acme.test", dns.TypeA); !errors.Is(err, platform.ErrNoName) {
		t.Errorf("nothere.acme.test: %v, want NXDOMAIN", err)
	}
}

// edits adds ten names, one push each, and tells the median time to live.
func (s *site) edits(t *testing.T) {
	s = s.sub(t)
	var took []time.Duration
	for i := range 10 {
		name := fmt.Sprintf("edit-%d.acme.test", i)
		s.edit("    - www.shop.acme.test\n", "    - www.shop.acme.test\n    - "+name+"\n")
		live := make(chan platform.Live, 1)
		began := time.Now()
		go func() {
			l, err := s.at.WaitLive(t.Context(), name, began)
			if err != nil {
				t.Error(err)
			}
			live <- l
		}()
		s.pushOnly("acme: " + name)
		l := <-live
		took = append(took, max(l.HTTP, l.DNS))
	}
	s.must(s.Settled(t.Context(), time.Minute))
	slices.Sort(took)
	t.Logf("from 'git add' to live in HAProxy and DNS: median %s, fastest %s, slowest %s", took[len(took)/2], took[0], took[len(took)-1])
	s.wantNoChanges()
}

// removal takes the names away again, under load on other sites.
func (s *site) removal(t *testing.T) {
	s = s.sub(t)
	load := s.load("docs.acme.test", "www.globex.test", "shop.acme.test")
	for few := range slices.Chunk([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 3) { // not so many at once that the guards ask
		for _, n := range few {
			s.edit(fmt.Sprintf("    - edit-%d.acme.test\n", n), "")
		}
		s.push("acme: a few names fewer")
	}
	for i := range 10 {
		name := fmt.Sprintf("edit-%d.acme.test", i)
		s.wantMisdirected(name)
		if _, err := s.at.Resolve(t.Context(), name, dns.TypeA); !errors.Is(err, platform.ErrNoName) {
			t.Errorf("%s: %v, want NXDOMAIN", name, err)
		}
	}
	load.wantNoFailures(t)
	s.wantNoChanges()
}

// mistakes pushes what is wrong in three ways: each is refused at its place, and nothing moves.
func (s *site) mistakes(t *testing.T) {
	s = s.sub(t)
	before := s.inventory()
	for _, m := range []struct{ name, old, with, want string }{
		{"unknown runtime version", `{type: php, version: "8.4"}`, `{type: php, version: "9.9"}`, `offered`},
		{"another tenant's webroot", "fqdns: [docs.acme.test]", "fqdns: [docs.acme.test]\n---\napiVersion: hosting/v1\nkind: FQDN\nmetadata: {name: stolen}\nspec: {hostname: stolen.acme.test, webroot: globex/www}\n", "webroot"},
		{"a command in a host name", "    - www.shop.acme.test\n", "    - www.shop.acme.test\n    - a.com;disable frontend http\n", "a.com;disable frontend http"},
	} {
		s.edit(m.old, m.with)
		printed := s.pushRefused("a mistake: " + m.name)
		if !placed(printed, "tenants/acme/") || !strings.Contains(printed, m.want) || !strings.Contains(printed, "nothing was changed") {
			t.Errorf("%s: the push prints no file:line:col, or not %q, or not that nothing was changed:\n%s", m.name, m.want, printed)
		}
		s.wantServed("shop.acme.test", "runs as t-acme")
		if now := s.inventory(); now != before {
			t.Errorf("%s: the inventory has changed", m.name)
		}
		s.must(s.Git(t.Context(), "reset", "--quiet", "--hard", "origin/main"))
	}
	s.wantNoChanges()
}

// placed reports whether a line of text names a place in a file below dir: dir/…:line:col:
func placed(text, dir string) bool {
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(line, dir)
		parts := strings.SplitN(rest, ":", 4)
		if ok && len(parts) == 4 && isNumber(parts[1]) && isNumber(parts[2]) {
			return true
		}
	}
	return false
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// inventory returns what is live, as text.
func (s *site) inventory() string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	return fmt.Sprint(st.Objects, st.Endpoints)
}

func (s *site) nodeGone(t *testing.T) {
	s = s.sub(t)
	load := s.load("docs.acme.test", "shop.acme.test")
	old := s.container("web-1-0")
	id := s.docker("inspect", "--format", "{{.Id}}", old)
	s.docker("rm", "-f", old)
	s.must(platform.Until(t.Context(), time.Minute, func() error {
		if now := s.container("web-1-0"); now == "" || s.docker("inspect", "--format", "{{.Id}}", now) == id {
			return errors.New("web-1-0 isn't back")
		}
		return nil
	}))
	s.must(s.Settled(t.Context(), time.Minute))
	load.wantNoFailures(t)
	s.wantNoChanges()
	// Its sites are on it, not only behind the load balancer, and to those who log in it is the same host.
	s.uploads("web-1-0", "ls /shop/public")
	page := s.docker("exec", s.container("web-1-0"), "curl", "-sS", "-H", "Host: shop.acme.test", "http://127.0.0.1/")
	if !strings.Contains(page, "runs as t-acme") {
		t.Errorf("web-1-0 serves %q", page)
	}
}

func (s *site) drift(t *testing.T) {
	s = s.sub(t)
	s.docker("stop", "-t", "1", s.container("web-1-1"))
	s.must(platform.Until(t.Context(), time.Minute, func() error {
		if s.container("web-1-1") == "" {
			return errors.New("web-1-1 doesn't run")
		}
		return nil
	}))
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantNoChanges()
}

func (s *site) revert(t *testing.T) {
	s = s.sub(t)
	shop := filepath.Join(s.Clone(), "tenants/acme/docs.yaml")
	s.docker("exec", s.container("web-1-0"), "cp", "/etc/hostname", "/srv/tenants/acme/docs/uploaded.txt")
	s.must(os.Remove(shop))
	s.push("acme: no more docs")
	s.wantMisdirected("docs.acme.test")
	s.docker("exec", s.container("web-1-0"), "test", "-e", "/srv/tenants/acme/docs/uploaded.txt")
	s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), time.Minute))
	s.wantServed("docs.acme.test", "docs of acme")
	s.docker("exec", s.container("web-1-0"), "test", "-e", "/srv/tenants/acme/docs/uploaded.txt")
	s.wantNoChanges()
}

// load asks for host names one after the other until it is told to stop.
type load struct {
	stop          context.CancelFunc
	done          chan struct{}
	asked, failed atomic.Int64
	first         atomic.Value // of the failures
}

func (s *site) load(hosts ...string) *load { return s.loadPath("/", hosts...) }

// loadPath is load of one page of the hosts.
func (s *site) loadPath(path string, hosts ...string) *load {
	ctx, cancel := context.WithCancel(s.t.Context())
	l := &load{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for i := 0; ctx.Err() == nil; i++ {
			host := hosts[i%len(hosts)]
			code, _, err := s.at.FetchPath(ctx, host, path)
			if ctx.Err() != nil {
				return
			}
			l.asked.Add(1)
			if err != nil || code != http.StatusOK {
				l.failed.Add(1)
				l.first.CompareAndSwap(nil, fmt.Sprintf("%s: %d, %v", host, code, err))
			}
		}
	}()
	return l
}

func (l *load) wantNoFailures(t *testing.T) {
	t.Helper()
	l.stop()
	<-l.done
	t.Logf("%d requests meanwhile, %d failed", l.asked.Load(), l.failed.Load())
	if l.failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", l.failed.Load(), l.asked.Load(), l.first.Load())
	}
	if l.asked.Load() == 0 {
		t.Error("the load asked for nothing")
	}
}
