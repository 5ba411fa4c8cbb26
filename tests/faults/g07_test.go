package faults

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"hostctl/tests/platform"
)

// TestG07_OneBadTenantOneDeadNodeOneDeadLoadBalancer has all three at once: nobody reaches one node and one of two load balancers, and a
// tenant's new site can't be made, for something is in its place. Another tenant's new name is live all the same, the sites
// of all are served throughout, and hostd says what it couldn't do. When all three are mended, all comes right.
func TestG07_OneBadTenantOneDeadNodeOneDeadLoadBalancer(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	w.replace("{profile: lb, count: 1}", "{profile: lb, count: 2}")
	w.startHostd()
	w.commit("A platform with two tenants and two load balancers")
	w.settled()
	w.look()
	load := w.startLoad() // through the first load balancer
	const inTheWay = "/srv/tenants/acme/blog"
	w.run("docker", "exec", w.container("web-1-0"), "ln", "-s", "/etc", inTheWay)
	dead := []string{"web-1-1", "eu-1-lb-1"}
	for _, node := range dead {
		w.link(node, "down")
	}

	w.write("tenants/acme/blog.yaml", "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: blog}\nspec:\n  runtime: {type: static}\n  fqdns: [blog.acme.test]\n")
	w.replace("    - globex.test\n", "    - globex.test\n    - new.globex.test\n")
	w.commit("A site of acme's, a name of globex's")
	must(t, platform.Until(t.Context(), patience, func() error {
		if code, _, err := w.at.Fetch(t.Context(), "new.globex.test"); err != nil || code != http.StatusOK {
			return fmt.Errorf("GET new.globex.test: %d, %w", code, err)
		}
		_, err := w.at.Resolve(t.Context(), "new.globex.test", dns.TypeA)
		return err
	}))
	message := ""
	must(t, platform.Until(t.Context(), patience, func() error {
		s, err := w.hostdStatus()
		if err != nil || !strings.Contains(s.Message, "acme.blog") {
			return errors.New("hostd doesn't say that acme's site can't be made")
		}
		message = s.Message
		if s.Converged || s.NextAttempt.IsZero() {
			return fmt.Errorf("hostd is content, or won't try again: %+v", s)
		}
		return nil
	}))
	if strings.Contains(message, "globex") {
		t.Errorf("globex is told of, who has no part in it: %s", message)
	}
	if code, _, err := w.at.Fetch(t.Context(), "blog.acme.test"); err != nil || code != http.StatusMisdirectedRequest {
		t.Errorf("GET blog.acme.test: %d, %v; its site was never made", code, err)
	}
	if a, err := w.at.Resolve(t.Context(), "blog.acme.test", dns.TypeA); err == nil {
		t.Errorf("blog.acme.test has an address, and no site: %s", a)
	}
	live := w.live()
	for _, node := range dead {
		if live.Down[node] == "" {
			t.Errorf("%s isn't known to be down", node)
		}
	}

	for _, node := range dead {
		w.link(node, "up")
	}
	w.run("docker", "exec", w.container("web-1-0"), "rm", inTheWay)
	w.right("all three were mended")
	w.check("all three were mended")
	if code, _, err := w.at.Fetch(t.Context(), "blog.acme.test"); err != nil || code != http.StatusOK {
		t.Errorf("GET blog.acme.test: %d, %v", code, err)
	}
	load.wantNone(w, "all that")
	load.end(w)
}

// link takes the network of a node down, or up. Docker doesn't know of it: the container runs, and nobody reaches it.
func (w *world) link(node, state string) {
	w.t.Helper()
	pid := strings.Split(w.inside(node, ""), "/")[2]
	w.run("nsenter", "-t", pid, "-n", "--", "ip", "link", "set", "eth0", state)
}
