package agent_test

import (
	"strings"
	"testing"
	"time"

	"hostctl/planner"
)

// A static site, from nothing to served, changed, and gone.
func TestStaticSite(t *testing.T) {
	n := startNode(t)
	s := n.newSite("acme", 20001, false, n.files.add("public/index.html", "first"))
	start := time.Now()
	n.create(s.objects()...)
	t.Logf("a user, a webroot and a vhost took %v", time.Since(start))
	for _, host := range s.vhost.Hostnames {
		if status, body := n.get(host, "/"); status != 200 || body != "first" {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}

	changed := s.vhost
	changed.Hostnames = []string{"acme.example"}
	start = time.Now()
	err := n.dial(2).Apply(t.Context(), []planner.Change{{Action: planner.Update, Old: s.vhost, New: changed}})[0]
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a change of a vhost took %v", time.Since(start))
	if status, _ := n.get("www.acme.example", "/"); status != 421 {
		t.Errorf("a name that went: %d, want 421", status)
	}

	if err := n.dial(3).Apply(t.Context(), []planner.Change{{Action: planner.Delete, Old: changed}})[0]; err != nil {
		t.Fatal(err)
	}
	if status, _ := n.get("acme.example", "/"); status != 421 {
		t.Errorf("a vhost that went: %d, want 421", status)
	}
	if out := n.exec("cat", "/srv/tenants/acme/shop/public/index.html"); out != "first" {
		t.Errorf("data of a site that isn't served any more: %q", out)
	}
	if out := n.exec("/var/lib/hostctl/bin/node-agent", "ping"); !strings.HasPrefix(out, "web-1-0 web sha256:") {
		t.Errorf("ping says %q", out)
	}
}
