package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// migrate moves a tenant to another shard, with the files that were uploaded, and back by git revert, under load: no request
// that only reads fails. The agent that brings the files is killed while it does.
func (s *site) migrate(t *testing.T) {
	s = s.sub(t)
	s.add("clusters/eu-1/web-2.yaml", `apiVersion: hosting/v1
kind: Shard
metadata:
  name: web-2
spec:
  role: web
  nodeCount: 2
  profile: web
`)
	s.push("A second shard")
	owner := s.uploadTo("web-1-0")
	printed := ""
	s.underLoad(t, func() {
		killed := s.killWhileBringing("web-2-0", "web-2-1")
		began := time.Now()
		s.edit("plan: large\n  shards: {web: web-1}", "plan: large\n  shards: {web: web-2}")
		s.must(s.Git(t.Context(), "add", "--all"))
		s.must(s.Git(t.Context(), "commit", "--quiet", "-m", "acme: to the second shard"))
		s.out.take()
		_ = s.Git(t.Context(), "push", "--quiet", "origin", "main") // it may say that the run failed: hostd tries again
		printed = s.out.take()
		s.must(s.Settled(t.Context(), 2*time.Minute))
		t.Logf("moved in %s; the agent was killed meanwhile: %t", time.Since(began).Round(100*time.Millisecond), <-killed)
	})
	for _, want := range []string{"movesTo: none → web-2", "what has changed meanwhile comes too", "backend: web-1 → web-2", "web-1 keeps them too, for 7 days"} {
		if !strings.Contains(printed, want) {
			t.Errorf("the plan doesn't say %q:\n%s", want, printed)
		}
	}
	if now := s.uploaded("web-2-1"); now != owner {
		t.Errorf("what was uploaded was\n%s\nand is\n%s", owner, now)
	}
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantServed("docs.acme.test", "docs of acme")
	for node, want := range map[string]string{"web-1-0": "404", "web-2-0": "200", "web-2-1": "200"} {
		if code := s.docker("exec", s.container(node), "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: docs.acme.test", "http://127.0.0.1/"); code != want && (want != "404" || code == "200") {
			t.Errorf("%s answers %s, want %s", node, code, want)
		}
	}
	s.docker("exec", s.container("web-1-0"), "test", "-e", "/srv/tenants/acme/docs/uploads/large.bin")
	s.wantNoChanges()

	s.docker("exec", s.container("web-2-0"), "cp", "/etc/hostname", "/srv/tenants/acme/docs/uploads/later.txt")
	s.underLoad(t, func() {
		s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
		s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
		s.must(s.Settled(t.Context(), 2*time.Minute))
	})
	s.docker("exec", s.container("web-1-0"), "test", "-e", "/srv/tenants/acme/docs/uploads/later.txt")
	s.wantServed("docs.acme.test", "docs of acme")
	s.wantNoChanges()
}

// uploadTo puts files of the tenant's into a site through a node, and returns what uploaded does.
func (s *site) uploadTo(node string) string {
	s.t.Helper()
	s.sh(s.container(node), `cd /srv/tenants/acme/docs; mkdir -p uploads/a; head -c 150000000 /dev/zero > uploads/large.bin; `+
		`for i in $(seq 200); do echo $i > uploads/a/$i; done; ln -s a uploads/link; chown -R -h $(stat -c %u .):www-data uploads`)
	return s.uploaded(node)
}

// uploaded says what of them is there, and whose.
func (s *site) uploaded(node string) string {
	s.t.Helper()
	return s.docker("exec", s.container(node), "sh", "-c",
		`cd /srv/tenants/acme/docs/uploads && find . -type f -printf '%p %m %U:%G %s %T@\n' -o -printf '%p %m %U:%G %l\n' | sort | sha256sum; stat -c '%u:%g %a' large.bin; sha256sum large.bin`)
}

// killWhileBringing kills the agent of whichever of these nodes brings files, once. It says whether there was one in time.
func (s *site) killWhileBringing(nodes ...string) <-chan bool {
	var containers []string
	for _, n := range nodes {
		containers = append(containers, s.container(n))
	}
	done := make(chan bool, 1)
	go func() {
		err := platform.Until(s.t.Context(), 30*time.Second, func() error {
			for _, c := range containers {
				if exec.Command("docker", "exec", c, "sh", "-c", "ls /srv/tenants/acme/docs/uploads/.hostctl-*").Run() != nil {
					continue
				}
				for _, k := range containers { // the folder is of both
					_ = exec.Command("docker", "exec", k, "pkill", "-KILL", "-x", "node-agent").Run()
				}
				return nil
			}
			return errors.New("nobody brings files")
		})
		done <- err == nil
	}()
	return done
}
