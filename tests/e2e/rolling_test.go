package e2e

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// TestRolling changes the nodes of a web shard in every way, under load the whole time: no request fails.
func TestRolling(t *testing.T) {
	t.Parallel()
	image := variant(t, "hostctl/web:v1", "LABEL rolled=yes")
	broken := variant(t, image, `ENTRYPOINT ["/bin/false"]`)
	s := newSiteOf(t, ownPrograms(t))
	s.add("tenants/acme/shop/public/slow.php", "<?php sleep(3); echo 'slow';")
	s.push("A platform with two tenants")
	t.Run("more nodes", s.moreNodes)
	t.Run("a new image, node after node", func(t *testing.T) { s.newImage(t, image) })
	t.Run("a new agent, in place", s.newAgent)
	t.Run("a node that doesn't come healthy stops the rest", func(t *testing.T) { s.neverHealthy(t, image, broken) })
	t.Run("fewer nodes", s.fewerNodes)
	t.Run("a tenant moves to another shard, and back", s.migrate)
}

// ownPrograms returns a folder with the programs, of which one may be replaced.
func ownPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"hostctl", "hostd", "node-agent"} {
		if err := os.Link(filepath.Join(programs, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// variant builds an image from another one and removes it after the test.
func variant(t *testing.T, from, line string) string {
	t.Helper()
	tag := "hostctl/web:e2e-" + strings.ToLower(rand.Text()[:8])
	c := exec.CommandContext(t.Context(), "docker", "build", "--tag", tag, "-")
	c.Stdin = strings.NewReader("FROM " + from + "\n" + line + "\n")
	c.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", tag).Run() })
	return tag
}

// ids returns the containers of the web nodes that run, by node, as of one moment.
func (s *site) ids() map[string]string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	ids := map[string]string{}
	running := s.docker("ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter", "label=hostctl.instance="+st.Instance)
	for line := range strings.Lines(running) {
		container, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if node, _, _ := strings.Cut(container, "."); strings.HasPrefix(node, "web-1-") {
			ids[node] = id
		}
	}
	return ids
}

// underLoad does something while sites are asked for, which must not fail.
func (s *site) underLoad(t *testing.T, what func()) {
	t.Helper()
	load := s.load("docs.acme.test", "shop.acme.test", "www.globex.test")
	slow := s.loadPath("/slow.php", "shop.acme.test") // is under way whenever a node leaves rotation
	what()
	load.wantNoFailures(t)
	slow.wantNoFailures(t)
}

// wantEachServes checks that every web node serves by itself, not only behind the load balancer.
func (s *site) wantEachServes(nodes ...string) {
	s.t.Helper()
	for _, node := range nodes {
		page := s.docker("exec", s.container(node), "curl", "-sS", "-H", "Host: shop.acme.test", "http://127.0.0.1/")
		if !strings.Contains(page, "runs as t-acme") {
			s.t.Errorf("%s serves %q", node, page)
		}
	}
}

func (s *site) moreNodes(t *testing.T) {
	s = s.sub(t)
	before := s.ids()
	s.underLoad(t, func() {
		s.edit("nodeCount: 2", "nodeCount: 3")
		s.push("A third web node")
	})
	after := s.ids()
	if len(after) != 3 || after["web-1-0"] != before["web-1-0"] || after["web-1-1"] != before["web-1-1"] {
		t.Errorf("the nodes were %v and are %v; want one more", before, after)
	}
	s.wantEachServes("web-1-0", "web-1-1", "web-1-2")
	s.wantNoChanges()
}

func (s *site) newImage(t *testing.T, image string) {
	s = s.sub(t)
	before := s.ids()
	began := time.Now()
	s.underLoad(t, func() {
		s.edit("image: hostctl/web:v1", "image: "+image)
		s.push("A new image for the web nodes")
	})
	t.Logf("three nodes replaced in %s", time.Since(began).Round(100*time.Millisecond))
	var started []string
	for node, id := range s.ids() {
		if id == before[node] {
			t.Errorf("%s wasn't replaced", node)
		}
		started = append(started, s.docker("inspect", "--format", "{{.State.StartedAt}} {{.Config.Labels.rolled}}", id))
	}
	if len(started) != 3 || strings.Count(strings.Join(started, ""), "yes") != 3 {
		t.Errorf("the nodes run %q", started)
	}
	s.wantEachServes("web-1-0", "web-1-1", "web-1-2")
	s.wantNoChanges()
}

// newAgent puts another build of the agent beside hostd and starts hostd anew: each node gets it, keeps its container and
// its state.
func (s *site) newAgent(t *testing.T) {
	s = s.sub(t)
	before, old := s.ids(), s.agents()
	next := filepath.Join(s.Dir, "next")
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=next", "-o", next, "hostctl/cmd/node-agent")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.underLoad(t, func() {
		s.StopHostd()
		s.must(os.Rename(next, s.Program("node-agent")))
		s.startHostd()
		s.must(platform.Until(t.Context(), time.Minute, func() error {
			now := s.agents()
			for node := range old {
				if now[node] == "" || now[node] == old[node] {
					return fmt.Errorf("%s has the agent %q", node, now[node])
				}
			}
			return nil
		}))
		s.must(s.Settled(t.Context(), time.Minute))
	})
	for node, id := range s.ids() {
		if id != before[node] {
			t.Errorf("%s was made anew for a new agent", node)
		}
	}
	s.wantNoChanges()

	// Its state is there: what was damaged while it was away it heals from what the old one was told, without hostd.
	s.StopHostd()
	web0 := s.container("web-1-0")
	s.sh(web0, "s6-svc -wD -d /run/service/node-agent; rm "+docsVhost+"; nginx -s reload; s6-svc -u /run/service/node-agent")
	s.must(platform.Until(t.Context(), time.Minute, func() error {
		code := s.docker("exec", web0, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: docs.acme.test", "http://127.0.0.1/")
		if code != "200" {
			return fmt.Errorf("web-1-0 answers %s", code)
		}
		return nil
	}))
	s.startHostd()
	s.must(s.Settled(t.Context(), time.Minute))
}

// agents returns what each node's agent says that it is.
func (s *site) agents() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, node := range s.containers() {
		out, err := exec.CommandContext(s.t.Context(), "docker", "exec", s.container(node), "/var/lib/hostctl/bin/node-agent", "ping").Output()
		if err == nil { // else it is being started anew
			all[node] = strings.TrimSpace(string(out))
		}
	}
	return all
}

// neverHealthy gives the web nodes an image that ends at once: the first one that is replaced stays out, and the others
// serve. Taken back, all is as before.
func (s *site) neverHealthy(t *testing.T, image, broken string) {
	s = s.sub(t)
	before := s.ids()
	s.underLoad(t, func() {
		s.edit("image: "+image, "image: "+broken)
		s.must(s.Git(t.Context(), "add", "--all"))
		s.must(s.Git(t.Context(), "commit", "--quiet", "-m", "An image that ends at once"))
		_ = s.Git(t.Context(), "push", "--quiet", "origin", "main") // it says that the run failed
		s.must(platform.Until(t.Context(), 3*time.Minute, func() error {
			st, err := s.Status(t.Context())
			if err == nil && (st.Hostd == nil || st.Hostd.Message == "") {
				err = errors.New("hostd hasn't failed")
			}
			return err
		}))
		if st, err := s.Status(t.Context()); err != nil || !strings.Contains(st.Hostd.Message, "web-1-0") {
			t.Errorf("hostd says %+v, %v", st.Hostd, err)
		}
		after := s.ids()
		if after["web-1-1"] != before["web-1-1"] || after["web-1-2"] != before["web-1-2"] || after["web-1-0"] == before["web-1-0"] {
			t.Errorf("the nodes were %v and are %v; want the first one replaced, and no other", before, after)
		}
		s.wantEachServes("web-1-1", "web-1-2")
		s.edit("image: "+broken, "image: "+image)
		s.push("And the one before again")
	})
	after := s.ids()
	if after["web-1-1"] != before["web-1-1"] || after["web-1-2"] != before["web-1-2"] {
		t.Errorf("the nodes were %v and are %v; want the others never touched", before, after)
	}
	s.wantEachServes("web-1-0", "web-1-1", "web-1-2")
	s.wantNoChanges()
}

func (s *site) fewerNodes(t *testing.T) {
	s = s.sub(t)
	s.underLoad(t, func() {
		s.edit("nodeCount: 3", "nodeCount: 1")
		s.push("One web node is enough")
	})
	if nodes := s.ids(); len(nodes) != 1 || nodes["web-1-0"] == "" {
		t.Errorf("the nodes are %v, want web-1-0", nodes)
	}
	st, err := s.Status(t.Context())
	s.must(err)
	if left := s.docker("volume", "ls", "-q", "--filter", "label=hostctl.instance="+st.Instance); strings.Contains(left, "web-1-1") || strings.Contains(left, "web-1-2") {
		t.Errorf("volumes of nodes that are gone are left:\n%s", left)
	}
	s.wantEachServes("web-1-0")
	s.wantNoChanges()
}
