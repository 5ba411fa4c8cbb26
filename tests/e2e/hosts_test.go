package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// TestTwoHosts runs a cluster on two engines, one of them over TCP with TLS, in a network of its own. A second web shard
// stands on the other host; what its tenants have goes through the load balancer of the first. Its host is lost for a
// while and comes back; then the shard and the host are decommissioned, and nothing is left behind.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := newEngine(t, s.slot())
	e.bring(t.Context(), "hostctl/web:v1")
	s.push("A platform with two tenants")

	s.edit("    - {name: sftp, container: 22}\n", "    - {name: sftp, container: 22}\n    - {name: http, container: 80}\n")
	s.edit("  portRange:", "  roles: [servicedb, dns, lb, web]\n  portRange:")
	s.edit("  role: web\n  nodeCount: 2\n", "  role: web\n  nodeCount: 1\n")
	s.add("clusters/eu-1/host-2.yaml", e.host("host-2")+`---
apiVersion: hosting/v1
kind: Shard
metadata:
  name: web-2
spec:
  role: web
  nodeCount: 2
  profile: web
  hostSelector: {where: there}
`)
	s.edit("  name: host-2\n", "  name: host-2\n  labels: {where: there}\n")
	s.push("A second host with a shard of its own")
	s.add("tenants/initech/all.yaml", `apiVersion: hosting/v1
kind: Tenant
metadata:
  name: initech
spec:
  plan: small
  shards: {web: web-2}
---
apiVersion: hosting/v1
kind: Webroot
metadata:
  name: www
spec:
  runtime: {type: php, version: "8.4"}
  fqdns: [initech.test]
`)
	s.push("A tenant there")
	s.wantServed("initech.test", "")
	s.wantServed("shop.acme.test", "runs as t-acme")
	if names := e.docker("ps", "--format", "{{.Names}}"); strings.Count(names, "web-2-") != 2 || strings.Count(names, "\n") != 2 {
		t.Errorf("on the second host there are:\n%s", names)
	}
	s.wantNoChanges()

	t.Run("a node there is made again", func(t *testing.T) {
		s := s.sub(t)
		load := s.load("initech.test", "shop.acme.test")
		e.docker("rm", "--force", strings.Fields(e.docker("ps", "--format", "{{.Names}}", "--filter", "name=web-2-1"))[0])
		s.must(platform.Until(t.Context(), time.Minute, func() error {
			if !strings.Contains(e.docker("ps", "--format", "{{.Names}}"), "web-2-1") {
				return errors.New("web-2-1 isn't back")
			}
			return nil
		}))
		s.must(s.Settled(t.Context(), time.Minute))
		load.wantNoFailures(t)
		s.wantNoChanges()
	})
	t.Run("the host is lost and comes back", func(t *testing.T) {
		s := s.sub(t)
		load := s.load("shop.acme.test", "docs.acme.test")
		e.run("ip", "-n", e.name, "link", "set", "ht"+e.name[12:], "down")
		s.must(platform.Until(t.Context(), 2*time.Minute, func() error {
			out, err := s.Hostctl(t.Context(), "status")
			if err == nil && (!strings.Contains(out, "down       web-2-0") && !strings.Contains(out, "web-2-0: ")) {
				err = errors.New("web-2-0 isn't known to be down")
			}
			return err
		}))
		s.edit("fqdns: [docs.acme.test]", "fqdns: [docs.acme.test, docs2.acme.test]")
		s.pushOnly("Meanwhile, elsewhere")
		s.must(platform.Until(t.Context(), time.Minute, func() error {
			if code, _, err := s.at.Fetch(t.Context(), "docs2.acme.test"); err != nil || code != 200 {
				return errors.New("docs2.acme.test isn't served")
			}
			return nil
		}))
		load.wantNoFailures(t)
		e.run("ip", "-n", e.name, "link", "set", "ht"+e.name[12:], "up")
		e.run("ip", "-n", e.name, "route", "replace", "default", "via", strings.TrimSuffix(e.address, "2")+"1")
		s.must(s.Settled(t.Context(), 2*time.Minute))
		s.wantServed("initech.test", "")
		s.wantNoChanges()
	})
	t.Run("a tenant moves to a shard on the other host", func(t *testing.T) {
		s := s.sub(t)
		e.docker("exec", strings.Fields(e.docker("ps", "--format", "{{.Names}}", "--filter", "name=web-2-0"))[0], "cp", "/etc/hostname", "/srv/tenants/initech/www/uploaded.txt")
		load := s.load("initech.test", "shop.acme.test")
		s.edit("shards: {web: web-2}", "shards: {web: web-1}")
		s.push("initech: to the first host")
		load.wantNoFailures(t)
		s.docker("exec", s.container("web-1-0"), "test", "-e", "/srv/tenants/initech/www/uploaded.txt")
		s.wantServed("initech.test", "")
		s.wantNoChanges()
	})
	t.Run("decommissioned, nothing is left but the files", func(t *testing.T) {
		s := s.sub(t)
		load := s.load("shop.acme.test", "docs.acme.test")
		s.must(os.RemoveAll(filepath.Join(s.Clone(), "tenants/initech")))
		s.must(os.Remove(filepath.Join(s.Clone(), "clusters/eu-1/host-2.yaml")))
		printed := s.pushRefused("Away with the second host")
		for _, want := range []string{"Allow-Destroy: Host/host-2", "Allow-Destroy: Shard/web-2", "Allow-Destroy: Tenant/initech"} {
			if !strings.Contains(printed, want) {
				t.Errorf("the refusal doesn't name %q:\n%s", want, printed)
			}
		}
		s.must(s.Git(t.Context(), "commit", "--quiet", "--amend", "-m", "Away with the second host\n\nAllow-Destroy: Host/host-2\nAllow-Destroy: Shard/web-2\nAllow-Destroy: Tenant/initech"))
		s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
		s.must(s.Settled(t.Context(), time.Minute))
		load.wantNoFailures(t)
		s.wantMisdirected("initech.test")
		if left := e.docker("ps", "-aq") + e.docker("network", "ls", "-q", "--filter", "label=hostctl.instance"); left != "" {
			t.Errorf("containers or networks are left on the second host:\n%s", left)
		}
		volumes := strings.Fields(e.docker("volume", "ls", "-q"))
		if len(volumes) != 2 || !strings.HasPrefix(volumes[0], "web-2-files.") || volumes[1] != volumes[0]+".kept" {
			t.Errorf("on the second host are left the volumes %q; want the tenants' files alone, and the note that they are kept", volumes)
		}
		s.wantNoChanges()

		// The files go by hand, as docs/deleting.md says; then nothing speaks of the host any more.
		e.docker("volume", "rm", volumes[0])
		s.must(platform.Until(t.Context(), time.Minute, func() error {
			if left := e.docker("volume", "ls", "-q"); left != "" {
				return errors.New("volumes are left: " + left)
			}
			return nil
		}))
		s.must(s.Settled(t.Context(), time.Minute))
		s.wantNoChanges()
	})
}

// TestDecommission takes a whole cluster away by deleting its YAML. It is refused until the commit says what may be
// destroyed; then nothing of it runs any more, and what is left are the files and the database, kept. The platform can be
// declared again, and has its data.
func TestDecommission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.push("A platform with two tenants")
	s.sh(s.container("web-1-0"), "echo precious > /srv/tenants/acme/docs/uploaded.txt")
	for _, dir := range []string{"tenants", "clusters"} {
		s.must(os.RemoveAll(filepath.Join(s.Clone(), dir)))
	}
	s.must(os.Remove(filepath.Join(s.Clone(), "platform/zone.yaml")))
	printed := s.pushRefused("Away with it all")
	if !strings.Contains(printed, "the repository declares nothing") {
		t.Errorf("the refusal doesn't say that nothing is declared:\n%s", printed)
	}
	message := "Away with it all\n" // and each line that a refusal asks for
	for range 2 {
		for line := range strings.Lines(printed) {
			if _, allow, ok := strings.Cut(line, "remote: Allow-Destroy: "); ok {
				message += "\nAllow-Destroy: " + strings.TrimSpace(allow)
			}
		}
		s.must(s.Git(t.Context(), "commit", "--quiet", "--amend", "-m", message))
		s.out.take()
		err := s.Git(t.Context(), "push", "--quiet", "origin", "main")
		if printed = s.out.take(); err == nil {
			break
		}
	}
	s.must(s.Settled(t.Context(), 2*time.Minute))
	st, err := s.Status(t.Context())
	s.must(err)
	label := "label=hostctl.instance=" + st.Instance
	if left := s.docker("ps", "-aq", "--filter", label) + s.docker("network", "ls", "-q", "--filter", label); left != "" {
		t.Errorf("containers or networks are left:\n%s", left)
	}
	for _, v := range strings.Fields(s.docker("volume", "ls", "-q", "--filter", label)) {
		if !strings.HasPrefix(v, "web-1-files.") && !strings.HasPrefix(v, "eu-1-db-0-data.") {
			t.Errorf("the volume %s is left, which holds no data", v)
		}
	}
	s.wantNoChanges()

	s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.docker("exec", s.container("web-1-0"), "test", "-e", "/srv/tenants/acme/docs/uploaded.txt")
	s.wantNoChanges()
}

// slot returns the number of the site's place on this machine: it is in the addresses of its network.
func (s *site) slot() int {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Clone(), "clusters/eu-1/cluster.yaml"))
	s.must(err)
	_, rest, _ := strings.Cut(string(b), "subnet: 10.78.")
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	s.must(err)
	return n
}
