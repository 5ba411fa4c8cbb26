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

// othersConfig is a load balancer as somebody else has set it up: with what docs/external.md says, and below that backends with
// and without a server of theirs, and a site of their own.
const othersConfig = `global
    stats socket DIR/admin.sock mode 600 level admin
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 1s
    default-server check inter 1s
DOCS
backend legacy
    http-request return status 200 content-type text/plain string "legacy"
backend web-2
    balance roundrobin
    server theirs 192.0.2.99:80
backend far
    http-request return status 200 content-type text/plain lf-string "%[req.hdr(x-forwarded-proto)] %[req.hdr(x-forwarded-for)]"
`

const (
	othersMap   = "# of the shop\nlegacy.example.com legacy\n"
	othersRules = "# of the shop\nmoved.example.com -|-|-|302|https://example.com/\n"
	othersList  = "# of the shop\nDIR/theirs.pem [alpn http/1.1] theirs.example.com\n"
)

// docsConfig is the part of docs/external.md that its reader puts into haproxy.cfg.
func docsConfig(t testing.TB) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/external.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```haproxy\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/external.md has no lines for haproxy.cfg")
	}
	return text
}

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
	in := strings.NewReplacer("DIR", dir, "DOCS", docsConfig(t), "/etc/haproxy/maps", dir, "/etc/haproxy/certs", dir).Replace
	b.write(t, "haproxy.cfg", in(in(othersConfig)))
	b.write(t, "hosts.map", othersMap)
	b.write(t, "rules.map", othersRules)
	b.write(t, "list", in(othersList))
	b.write(t, "theirs.pem", newAuthority(t).pem("theirs.example.com"))
	b.run(t, "--mount", "type=bind,src="+dir+",dst="+dir, "--entrypoint", "haproxy", image, "-db", "-f", dir+"/haproxy.cfg")
	until(t, "HAProxy answers", func() error { return b.external(false).Ready(t.Context()) })
	return b
}

func (b *balancer) external(adopt bool) *haproxy.External {
	return haproxy.NewExternal(b.externalOptions(adopt))
}

func (b *balancer) externalOptions(adopt bool) haproxy.ExternalOptions {
	return haproxy.ExternalOptions{
		Target: target, Instance: instance, Socket: b.dir + "/admin.sock", Map: b.dir + "/hosts.map", Rules: b.dir + "/rules.map", CrtList: b.dir + "/list", Adopt: adopt,
	}
}

func TestExternal(t *testing.T) {
	needDocker(t)
	a := newAuthority(t)
	balancers := map[executors.Executor]*balancer{}
	ask := func(command string) func(*testing.T, executors.Executor) {
		return func(t *testing.T, e executors.Executor) {
			b := balancers[e]
			b.ask(t, strings.NewReplacer("MAP", b.dir+"/hosts.map", "RULES", b.dir+"/rules.map", "LIST", b.dir+"/list").Replace(command))
		}
	}
	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			b := startOthers(t)
			o := b.externalOptions(false)
			o.Key = a.key
			e := haproxy.NewExternal(o)
			balancers[e] = b
			t.Cleanup(func() { b.wantOthers(t) })
			return e
		},
		Kinds: []planner.Kind{planner.KindCert, planner.KindBackend, planner.KindServer, planner.KindRoute},
		Samples: []executorstest.Sample{
			{Create: planner.Cert{Meta: meta("made.example.com"), SelfSigned: true}, Update: ca(a, "made.example.com")},
			{Create: ca(a, "secure.example.com"), Update: a.cert("secure.example.com", "2")},
			{Create: backendOf("web-1")},
			{Create: backendOf("web-2")},
			{Create: serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady), Update: serverOf("web-1", "web-1-0", "192.0.2.11:8080", planner.ServerDrain)},
			{Create: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerMaint), Update: serverOf("web-2", "web-2-0", "[2001:db8::1]:80", planner.ServerReady)},
			{Create: routeOf("www.example.com", "web-1"), Update: routeOf("www.example.com", "web-2")},
			{Create: routeOf("shop.example.com", "web-2"), Update: secureRoute("shop.example.com", "web-1")},
			{Create: secureRoute("secure.example.com", "web-1"), Update: routeAway("secure.example.com", "https://www.example.com")},
			{Create: routeAway("away.example.com", "https://www.example.com/x"), Update: routeOf("away.example.com", "web-1")},
		},
		Bad: []planner.Object{
			planner.Route{Meta: planner.Meta{Target: target, Name: "lost.example.com", From: planner.Owner{Tenant: "bad", Kind: "FQDN", Name: "lost"}}, Backend: "web-9"},
		},
		Damage: map[string]func(*testing.T, executors.Executor){
			"route changed":          ask("set map MAP www.example.com legacy"),
			"route twice":            ask("add map MAP www.example.com legacy"),
			"route gone":             ask("del map MAP www.example.com"),
			"rule changed":           ask("set map RULES away.example.com -|-|-|302|https://example.org/"),
			"rule gone":              ask("del map RULES secure.example.com"),
			"rule added":             ask("add map RULES www.example.com web-1|https|-|-|-"),
			"certificate unlisted":   ask("del ssl crt-list LIST LIST.hostctl/made.example.com.pem"),
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
	if text := b.read(t, "rules.map"); !strings.HasPrefix(text, othersRules) {
		t.Errorf("others' rules were changed:\n%s", text)
	}
	if text := b.read(t, "list"); !strings.HasPrefix(text, strings.ReplaceAll(othersList, "DIR", b.dir)) {
		t.Errorf("others' certificates were changed:\n%s", text)
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
		{planner.Cert{Meta: meta("theirs.example.com"), SelfSigned: true}, executors.Conflict, "take the name out of its entry"},
		{planner.Cert{Meta: meta("a.example.com\nshow"), SelfSigned: true}, executors.Refused, "host name"},
	} {
		if err := e.Apply(t.Context(), create(c.o))[0]; executors.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", c.o.Ref(), err, c.text)
		}
	}
	b.write(t, "r", "")
	b.write(t, "l", "")
	for _, c := range []struct {
		rules, list string
		texts       [2]string
	}{
		{"", "", [2]string{"name it as rules", "name it as crtList"}},
		{b.dir + "/r", b.dir + "/l", [2]string{"haproxy.cfg doesn't use the map", "put 'bind :443 ssl crt-list"}},
	} {
		o := b.externalOptions(false)
		o.Rules, o.CrtList = c.rules, c.list
		errs := haproxy.NewExternal(o).Apply(t.Context(), create(routeAway("a.example.com", "https://b.example.com"), planner.Cert{Meta: meta("a.example.com"), SelfSigned: true}, backendOf("web-1")))
		for i, text := range c.texts {
			if executors.KindOf(errs[i]) != executors.Refused || !strings.Contains(errs[i].Error(), text) {
				t.Errorf("%v, want %q", errs[i], text)
			}
		}
		if errs[2] != nil {
			t.Errorf("a backend needs no rules: %v", errs[2])
		}
		apply(t, haproxy.NewExternal(o), remove(backendOf("web-1")))
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
