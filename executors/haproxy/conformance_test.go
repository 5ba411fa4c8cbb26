package haproxy_test

import (
	"testing"

	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/executors/haproxy"
	"hostctl/planner"
)

func TestExecutor(t *testing.T) {
	needDocker(t)
	balancers := map[executors.Executor]*balancer{}
	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			b := start(t)
			e := b.executor()
			balancers[e] = b
			return e
		},
		Kinds: []planner.Kind{planner.KindBackend, planner.KindServer, planner.KindRoute},
		Samples: []executorstest.Sample{
			{Create: backendOf("web-1")},
			{Create: backendOf("web-2")},
			{Create: serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady), Update: serverOf("web-1", "web-1-0", "192.0.2.11:8080", planner.ServerDrain)},
			{Create: serverOf("web-1", "web-1-1", "192.0.2.12:80", planner.ServerDrain), Update: serverOf("web-1", "web-1-1", "192.0.2.12:80", planner.ServerMaint)},
			{Create: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerMaint), Update: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerReady)},
			{Create: routeOf("www.example.com", "web-1"), Update: routeOf("www.example.com", "web-2")},
			{Create: routeOf("xn--e1afmkfd.xn--p1ai", "web-1")},
			{Create: routeOf("shop.example.com", "web-2"), Update: routeOf("shop.example.com", "web-1")},
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
