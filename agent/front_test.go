package agent_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// What a load balancer says of who the client is counts; what a tenant's program says, on whatever node it runs, doesn't:
// it comes from a private address too.
func TestClientsAddress(t *testing.T) {
	n := startNode(t)
	s := n.newSite("acme", 20001, false, n.files.add("public/index.html", "let in"))
	s.vhost.Serving = schema.Serving{Allow: []string{"192.0.2.1/32"}}
	s.vhost.Front = []string{strings.TrimSpace(docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", n.container))}
	n.create(s.objects()...)
	for from, want := range map[string]int{"192.0.2.1": http.StatusOK, "192.0.2.2": http.StatusForbidden} {
		if status, _, _ := n.request("acme.example", "/", from, "", ""); status != want {
			t.Errorf("the load balancer, for %s: %d, want %d", from, status, want)
		}
	}
	for _, at := range []string{n.address, "127.0.0.1"} {
		if out := n.script("runuser -u t-acme -- curl -sS -o /dev/null -w '%{http_code}' -H 'Host: acme.example' -H 'X-Forwarded-For: 192.0.2.1' http://" + at + "/"); out != "403" {
			t.Errorf("a tenant's program that asks at %s and says that it is 192.0.2.1: %s, want 403", at, out)
		}
	}

	// The load balancer is on another host: it may seem to come from any private network, but not from the one of this host.
	elsewhere, behind := s.vhost, s.vhost
	elsewhere.Front = []string{"!" + netip.PrefixFrom(netip.MustParseAddr(n.address), 16).Masked().String()}
	n.change(s.vhost, elsewhere)
	for _, at := range []string{n.address, "127.0.0.1"} {
		if out := n.script("runuser -u t-acme -- curl -sS -o /dev/null -w '%{http_code}' -H 'Host: acme.example' -H 'X-Forwarded-For: 192.0.2.1' http://" + at + "/"); out != "403" {
			t.Errorf("a tenant's program on this host that asks at %s: %s, want 403", at, out)
		}
	}
	behind.Front = []string{"!192.168.255.0/24"}
	n.change(elsewhere, behind)
	if status, _, _ := n.request("acme.example", "/", "192.0.2.1", "", ""); status != http.StatusOK {
		t.Errorf("a load balancer of another private network: %d, want 200", status)
	}
	for _, bad := range []string{"10.0.0.0/8", "!10.0.0.1/8", "!10.0.0.0/8; return 200", "unix:", "a.example", "10.0.0.1; return 200"} {
		v := s.vhost
		v.Front = []string{bad}
		if err := n.tryCreate(planner.Object(v))[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("front %q: %v, want it refused", bad, err)
		}
	}
}
