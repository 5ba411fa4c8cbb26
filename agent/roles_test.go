package agent_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// Every role's agent serves, says what it is, and has the executors of its role.
func TestRoles(t *testing.T) {
	for _, c := range []struct {
		role, name string
		kinds      []string
	}{
		{string(schema.RoleLB), "eu-1-lb-0", []string{"backend", "cert", "route", "secret", "server"}},
		{string(schema.RoleDNS), "eu-1-dns-0", []string{"catalog", "rrset", "secret", "zone"}},
		{string(schema.RoleServiceDB), "eu-1-db-0", nil},
	} {
		t.Run(c.role, func(t *testing.T) {
			n := startNodeOf(t, c.role, c.name)
			h, err := n.dial(1).Hello(t.Context())
			if err != nil || h.GetNode() != c.name || h.GetRole() != c.role || !slices.Equal(h.GetKinds(), c.kinds) {
				t.Errorf("Hello: %v, %v", h, err)
			}
		})
	}
}

// A load balancer is driven through its agent: a route leads to a backend of a real web node. While the node's vhosts
// change, the site misses no request through it, on new connections and on kept ones.
func TestLoadBalancer(t *testing.T) {
	web := startNode(t)
	web.create(web.newSite("acme", 20001, false, web.files.add("public/index.html", "through it all")).objects()...)
	lb := startNodeOf(t, "lb", "eu-1-lb-0")
	meta := func(name string) planner.Meta { return planner.Meta{Target: lb.name, Name: name} }
	for _, o := range []planner.Object{
		planner.Backend{Meta: meta(shard), Balance: "host"},
		planner.Server{Meta: meta(shard + "/" + nodeName), Backend: shard, Node: nodeName, Address: web.address + ":80", State: planner.ServerReady},
		planner.Route{Meta: meta("www.acme.example"), Backend: shard},
	} {
		lb.create(o)
	}
	within(t, 10*time.Second, "the load balancer serves the site", func() error {
		status, body, err := lb.fetch("WWW.acme.example.:80", "/")
		if err == nil && (status != 200 || body != "through it all") {
			return errorString(body)
		}
		return err
	})
	loadThrough(t, lb, web)
	objects, err := lb.dial(1).Observe(t.Context())
	if err != nil || len(objects) != 3 {
		t.Errorf("observed %v, %v", objects, err)
	}
}

func loadThrough(t *testing.T, lb, web *node) {
	kept := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableCompression: true}}
	stop := make(chan struct{})
	said := make(chan string)
	var count atomic.Int64
	for _, c := range []*http.Client{client, client, kept, kept} {
		go func() {
			failed := ""
			for {
				select {
				case <-stop:
					said <- failed
					return
				default:
				}
				// POST, so that Go's client does not try a second time by itself.
				status, body, err := lb.ask(c, http.MethodPost, "www.acme.example", "/")
				count.Add(1)
				if err != nil || status != http.StatusMethodNotAllowed { // nginx's answer to a POST of a file
					failed = fmt.Sprintf("%d %q %v", status, body, err)
				}
			}
		}()
	}
	other := web.newSite("other", 20002, false)
	for i := range 15 {
		v := other.vhost
		v.Hostnames = []string{fmt.Sprintf("n%d.other.example", i)}
		web.create(v)
	}
	close(stop)
	for range 4 {
		if s := <-said; s != "" {
			t.Errorf("a request was missed: %s", s)
		}
	}
	t.Logf("%d requests while vhosts changed 15 times", count.Load())
}
