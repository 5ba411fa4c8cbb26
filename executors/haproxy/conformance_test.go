package haproxy_test

import (
	"testing"

	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/executors/haproxy"
	"hostctl/planner"
	"hostctl/schema"
)

func TestExecutor(t *testing.T) {
	needDocker(t)
	ca := newAuthority(t)
	balancers := map[executors.Executor]*balancer{}
	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			b := start(t)
			o := b.options()
			o.Key = ca.key
			e := haproxy.New(o)
			balancers[e] = b
			return e
		},
		Kinds: []planner.Kind{planner.KindCert, planner.KindBackend, planner.KindServer, planner.KindRoute},
		Samples: []executorstest.Sample{
			{Create: planner.Cert{Meta: meta("made.example.com"), SelfSigned: true}},
			{Create: planner.Cert{Meta: meta("www.example.com"), SelfSigned: true}, Update: ca.cert("www.example.com", "1")},
			{Create: ca.cert("shop.example.com", "1"), Update: ca.cert("shop.example.com", "2")},
			{Create: backendOf("web-1")},
			{Create: backendOf("web-2")},
			{Create: serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady), Update: serverOf("web-1", "web-1-0", "192.0.2.11:8080", planner.ServerDrain)},
			{Create: serverOf("web-1", "web-1-1", "192.0.2.12:80", planner.ServerDrain), Update: serverOf("web-1", "web-1-1", "192.0.2.12:80", planner.ServerMaint)},
			{Create: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerMaint), Update: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerReady)},
			{Create: routeOf("www.example.com", "web-1"), Update: routeOf("www.example.com", "web-2")},
			{Create: routeOf("xn--e1afmkfd.xn--p1ai", "web-1")},
			{Create: routeOf("shop.example.com", "web-2"), Update: routeOf("shop.example.com", "web-1")},
			{Create: routeOf("old.example.com", "web-2"), Update: planner.Route{Meta: meta("old.example.com"), Redirect: "https://www.example.com", Code: 301}},
			{
				Create: planner.Route{Meta: meta("made.example.com"), Backend: "web-1", ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 300}},
				Update: planner.Route{Meta: meta("made.example.com"), Backend: "web-1", ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 31536000, IncludeSubDomains: true, Preload: true}},
			},
		},
		Bad: []planner.Object{
			planner.Route{Meta: planner.Meta{Target: target, Name: "lost.example.com", From: planner.Owner{Tenant: "bad", Kind: "FQDN", Name: "lost"}}, Backend: "web-9"},
		},
		Damage: map[string]func(*testing.T, executors.Executor){
			"map cleared": func(t *testing.T, e executors.Executor) {
				b := balancers[e]
				b.ask(t, "clear map "+b.dir+"/maps/hosts.map")
			},
			"route changed": func(t *testing.T, e executors.Executor) {
				b := balancers[e]
				b.ask(t, "set map "+b.dir+"/maps/hosts.map www.example.com web-2")
			},
			"route twice and missed": func(t *testing.T, e executors.Executor) { twice(t, balancers[e]) },
			"server out of rotation": func(t *testing.T, e executors.Executor) { balancers[e].ask(t, "set server web-1/web-1-0 state maint") },
			"server removed": func(t *testing.T, e executors.Executor) {
				b := balancers[e]
				b.ask(t, "set server web-1/web-1-0 state maint")
				b.ask(t, "del server web-1/web-1-0")
			},
			"certificate not listed": func(t *testing.T, e executors.Executor) {
				b := balancers[e]
				b.ask(t, "del ssl crt-list "+b.dir+"/certs/list "+b.dir+"/certs/made.example.com.pem")
			},
			"certificate lost": func(t *testing.T, e executors.Executor) {
				b := balancers[e]
				b.ask(t, "del ssl crt-list "+b.dir+"/certs/list "+b.dir+"/certs/shop.example.com.pem")
				b.ask(t, "del ssl cert "+b.dir+"/certs/shop.example.com.pem")
			},
			"configuration lost": func(t *testing.T, e executors.Executor) { lose(t, balancers[e]) },
		},
	})
}

// twice leaves the map with the number of entries that it should have.
func twice(t *testing.T, b *balancer) {
	file := b.dir + "/maps/hosts.map"
	b.ask(t, "del map "+file+" shop.example.com")
	b.ask(t, "add map "+file+" www.example.com web-2")
}

// lose is a node that starts anew from its image.
func lose(t *testing.T, b *balancer) {
	t.Helper()
	b.writeImageConfig(t)
	if err := haproxy.ReloadByMaster(t.Context(), b.executor()); err != nil {
		t.Fatal(err)
	}
	until(t, "the image's configuration runs", func() error { return haproxy.RunsGeneration(t.Context(), b.executor(), "") })
}
