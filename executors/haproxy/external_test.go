package haproxy_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/executors/haproxy"
	"hostctl/planner"
)

// othersConfig is a load balancer as somebody else has set it up: a map, backends with and without a server of theirs, and a
// site of its own.
const othersConfig = `global
    stats socket DIR/admin.sock mode 600 level admin
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 1s
frontend everything
    bind :80
    use_backend %[req.hdr(host),host_only,lower,rtrim(.),map(DIR/hosts.map)]
    default_backend nobody
backend nobody
    http-request return status 404
backend legacy
    http-request return status 200 content-type text/plain string "legacy"
backend web-1
    balance hash req.hdr(host),host_only,lower,rtrim(.)
    hash-type consistent
backend web-2
    balance roundrobin
    server theirs 192.0.2.99:80
`

const othersMap = "# of the shop\nlegacy.example.com legacy\n"

// startOthers runs an HAProxy that hostctl hasn't made.
func startOthers(t testing.TB) *balancer {
	t.Helper()
	needDocker(t)
	dir, err := os.MkdirTemp("", "hostctl-lb-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &balancer{name: "hostctl-test-" + strings.ToLower(rand.Text()), dir: dir}
	b.write(t, "haproxy.cfg", strings.ReplaceAll(othersConfig, "DIR", dir))
	b.write(t, "hosts.map", othersMap)
	b.run(t, "--mount", "type=bind,src="+dir+",dst="+dir, "--entrypoint", "haproxy", image, "-db", "-f", dir+"/haproxy.cfg")
	until(t, "HAProxy answers", func() error { return b.external(false).Ready(t.Context()) })
	return b
}

func (b *balancer) external(adopt bool) *haproxy.External {
	return haproxy.NewExternal(haproxy.ExternalOptions{Target: target, Instance: instance, Socket: b.dir + "/admin.sock", Map: b.dir + "/hosts.map", Adopt: adopt})
}

func TestExternal(t *testing.T) {
	needDocker(t)
	balancers := map[executors.Executor]*balancer{}
	ask := func(command string) func(*testing.T, executors.Executor) {
		return func(t *testing.T, e executors.Executor) {
			b := balancers[e]
			b.ask(t, strings.ReplaceAll(command, "MAP", b.dir+"/hosts.map"))
		}
	}
	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			b := startOthers(t)
			e := b.external(false)
			balancers[e] = b
			t.Cleanup(func() { b.wantOthers(t) })
			return e
		},
		Kinds: []planner.Kind{planner.KindBackend, planner.KindServer, planner.KindRoute},
		Samples: []executorstest.Sample{
			{Create: backendOf("web-1")},
			{Create: backendOf("web-2")},
			{Create: serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady), Update: serverOf("web-1", "web-1-0", "192.0.2.11:8080", planner.ServerDrain)},
			{Create: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerMaint), Update: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerReady)},
			{Create: routeOf("www.example.com", "web-1"), Update: routeOf("www.example.com", "web-2")},
			{Create: routeOf("shop.example.com", "web-2"), Update: routeOf("shop.example.com", "web-1")},
		},
		Bad: []planner.Object{
			planner.Route{Meta: planner.Meta{Target: target, Name: "lost.example.com", From: planner.Owner{Tenant: "bad", Kind: "FQDN", Name: "lost"}}, Backend: "web-9"},
		},
		Damage: map[string]func(*testing.T, executors.Executor){
			"route changed":          ask("set map MAP www.example.com legacy"),
			"route twice":            ask("add map MAP www.example.com legacy"),
			"route gone":             ask("del map MAP www.example.com"),
			"server out of rotation": ask("set server web-1/web-1-0 state maint"),
			"restarted": func(t *testing.T, e executors.Executor) {
				b := balancers[e]
				docker(t, "restart", "-t", "0", b.name)
				until(t, "HAProxy answers", func() error { return b.external(false).Ready(t.Context()) })
			},
		},
	})
}

// wantOthers checks that what is others' is as it was.
func (b *balancer) wantOthers(t *testing.T) {
	t.Helper()
	if text := b.read(t, "hosts.map"); !strings.HasPrefix(text, othersMap) {
		t.Errorf("others' lines were changed:\n%s", text)
	}
	if got := b.ask(t, "get map "+b.dir+"/hosts.map legacy.example.com"); !strings.Contains(got, `value="legacy"`) {
		t.Errorf("others' entry was changed: %s", got)
	}
	if got := b.ask(t, "show servers state web-2"); !strings.Contains(got, " theirs 192.0.2.99 ") {
		t.Errorf("others' server was changed: %s", got)
	}
}

// What is there and isn't ours is refused, with the way out, unless the plan takes it over.
func TestExternalAdopts(t *testing.T) {
	b := startOthers(t)
	e := b.external(false)
	apply(t, e, create(backendOf("web-1"), backendOf("web-2"), serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady)))
	b.ask(t, "add map "+b.dir+"/hosts.map running.example.com legacy")
	theirs := []planner.Object{routeOf("legacy.example.com", "web-1"), routeOf("running.example.com", "web-1"), serverOf("web-2", "theirs", "192.0.2.10:80", planner.ServerReady)}
	before := b.read(t, "hosts.map")
	wantRefused := func(e executors.Executor, cs []planner.Change, text string) {
		t.Helper()
		for i, err := range e.Apply(t.Context(), cs) {
			if executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want a conflict with %q", cs[i].Ref(), err, text)
			}
		}
	}
	wantRefused(e, create(theirs...), "adopt: true in infrastructure.haproxy.external")
	for _, err := range e.Apply(t.Context(), remove(theirs...)) {
		if err != nil {
			t.Errorf("removal of what isn't ours: %v", err)
		}
	}
	adopting := b.external(true)
	wantRefused(adopting, create(theirs...), "plan again")
	if got := b.read(t, "hosts.map"); got != before {
		t.Errorf("the file was changed:\n%s", got)
	}
	b.wantOthers(t)

	present, err := adopting.Present(t.Context(), []planner.Ref{theirs[0].Ref(), theirs[1].Ref(), theirs[2].Ref()})
	if err != nil || len(present) != 3 {
		t.Fatalf("%v, %v; want all three", present, err)
	}
	cs := create(theirs...)
	for i := range cs {
		cs[i].Action, cs[i].Old, cs[i].Adopt = planner.Update, present[cs[i].Ref()], true
		cs[i].Expect = planner.HashOf(cs[i].Old)
	}
	apply(t, adopting, cs)
	want := []planner.Object{backendOf("web-1"), backendOf("web-2"), serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady), theirs[2], theirs[0], theirs[1]}
	if d := cmp.Diff(want, observe(t, adopting)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if text := b.read(t, "hosts.map"); strings.Count(text, "legacy") != 1 || !strings.HasPrefix(text, "# of the shop\n# hostctl ") {
		t.Errorf("the line that was taken over is still there:\n%s", text)
	}
	apply(t, adopting, remove(theirs[2], theirs[0], theirs[1], want[2], want[0], want[1]))
	if text := b.read(t, "hosts.map"); text != "# of the shop\n" {
		t.Errorf("something of ours is left:\n%s", text)
	}
	if got := b.ask(t, "show map "+b.dir+"/hosts.map"); strings.TrimSpace(got) != "" {
		t.Errorf("something of ours is left: %s", got)
	}
}

// What haproxy.cfg lacks is told of with what to put there.
func TestExternalRefuses(t *testing.T) {
	b := startOthers(t)
	e := b.external(false)
	for _, c := range []struct {
		o    planner.Object
		kind executors.Kind
		text string
	}{
		{backendOf("web-9"), executors.Refused, "put 'backend web-9' there"},
		{backendOf("evil\nshow"), executors.Refused, "want a name of"},
		{planner.Route{Meta: meta("a.example.com"), Redirect: "https://b.example.com", Code: 301}, executors.Refused, "haproxy.cfg, which isn't ours"},
		{planner.Cert{Meta: meta("a.example.com"), SelfSigned: true}, executors.Refused, ""},
	} {
		if err := e.Apply(t.Context(), create(c.o))[0]; executors.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", c.o.Ref(), err, c.text)
		}
	}
	other := haproxy.NewExternal(haproxy.ExternalOptions{Target: target, Instance: instance, Socket: b.dir + "/admin.sock", Map: b.dir + "/other.map"})
	if err := other.Apply(t.Context(), create(backendOf("web-1")))[0]; executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "make an empty one") {
		t.Errorf("no map file: %v", err)
	}
	b.write(t, "other.map", "")
	if err := other.Apply(t.Context(), create(backendOf("web-1")))[0]; executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "use_backend") {
		t.Errorf("a map that the process doesn't have: %v", err)
	}
	apply(t, e, create(backendOf("web-1")))
	stranger := haproxy.NewExternal(haproxy.ExternalOptions{Target: target, Instance: "4711", Socket: b.dir + "/admin.sock", Map: b.dir + "/hosts.map"})
	if err := stranger.Apply(t.Context(), create(backendOf("web-1")))[0]; executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "belongs to the inventory") {
		t.Errorf("another inventory: %v", err)
	}
	b.wantOthers(t)
}
