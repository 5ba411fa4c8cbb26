package haproxy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hostctl/executors"
	"hostctl/executors/haproxy"
	"hostctl/planner"
)

func observe(t testing.TB, e executors.Observer) []planner.Object {
	t.Helper()
	objects, err := e.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// A site as all other tests need it.
var site = []planner.Object{
	backendOf("web-1"),
	serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady),
	serverOf("web-1", "web-1-1", "192.0.2.11:80", planner.ServerDrain),
	routeOf("www.example.com", "web-1"),
}

// One batch may hold everything, in any order; removals too.
func TestMixedBatch(t *testing.T) {
	b := start(t)
	e := b.executor()
	apply(t, e, create(site[3], site[2], site[0], site[1]))
	if d := cmp.Diff(site, observe(t, e)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	apply(t, e, remove(site...))
	if got := observe(t, e); len(got) != 0 {
		t.Errorf("after the removal: %v", got)
	}
}

// G4: all there is to know is in the files: an agent that starts anew goes on, and a process that starts anew is right.
func TestG04_Restart(t *testing.T) {
	b := start(t)
	apply(t, b.executor(), create(site...))
	apply(t, b.executor(), create(routeOf("shop.example.com", "web-1")))
	if n := strings.Count(b.read(t, "maps/hosts.map"), "\n"); n != 3 {
		t.Errorf("hosts.map has %d lines, want instance and two routes", n)
	}
	// A server that drains starts in maintenance, until it is told again.
	docker(t, "restart", "--time", "0", b.name)
	until(t, "HAProxy answers", func() error { _, err := b.executor().Observe(t.Context()); return err })
	want := append(append([]planner.Object{}, site[:2]...), serverOf("web-1", "web-1-1", "192.0.2.11:80", planner.ServerMaint),
		routeOf("shop.example.com", "web-1"), site[3])
	if d := cmp.Diff(want, observe(t, b.executor())); d != "" {
		t.Errorf("after a restart, -want +got:\n%s", d)
	}
	apply(t, b.executor(), create(site[2]))
	want[2] = site[2]
	if d := cmp.Diff(want, observe(t, b.executor())); d != "" {
		t.Errorf("applied once more, -want +got:\n%s", d)
	}
}

// B59: while HAProxy is away the files become right, and the error says that it is away. Once it is back, applying once
// more does the rest, whichever came first: its restart or its reload.
func TestB59_Away(t *testing.T) {
	b := start(t)
	e := b.executor()
	apply(t, e, create(site...))
	docker(t, "pause", b.name)
	o := b.options()
	o.Wait = 200 * time.Millisecond
	o.Check = []string{"true"}
	shop := routeOf("shop.example.com", "web-1")
	if err := haproxy.New(o).Apply(t.Context(), create(shop))[0]; executors.KindOf(err) != executors.Busy {
		t.Errorf("a process that hangs: %v (%s)", err, executors.KindOf(err))
	}
	docker(t, "unpause", b.name)
	if !strings.Contains(b.read(t, "maps/hosts.map"), "shop.example.com web-1\n") {
		t.Errorf("the file: %s", b.read(t, "maps/hosts.map"))
	}
	apply(t, e, create(shop))

	if err := os.Rename(b.dir+"/admin.sock", b.dir+"/away.sock"); err != nil {
		t.Fatal(err)
	}
	news := create(backendOf("web-2"), routeOf("news.example.com", "web-2"))
	for i, err := range e.Apply(t.Context(), news) {
		if executors.KindOf(err) != executors.Unreachable {
			t.Errorf("change %d, no socket: %v (%s)", i, err, executors.KindOf(err))
		}
	}
	if !strings.Contains(b.read(t, "haproxy.cfg"), "\nbackend web-2\n") || !strings.Contains(b.read(t, "maps/hosts.map"), "news.example.com web-2\n") {
		t.Error("the files weren't written")
	}
	if _, err := e.Observe(t.Context()); executors.KindOf(err) != executors.Unreachable {
		t.Errorf("observe: %v", err)
	}
	if err := os.Rename(b.dir+"/away.sock", b.dir+"/admin.sock"); err != nil {
		t.Fatal(err)
	}
	apply(t, e, news)
	if n := len(observe(t, e)); n != len(site)+3 {
		t.Errorf("%d objects, want %d", n, len(site)+3)
	}
}

// G15: another inventory's load balancer is not touched.
func TestG15_OtherInstance(t *testing.T) {
	b := start(t)
	apply(t, b.executor(), create(site...))
	cfg, hosts := b.read(t, "haproxy.cfg"), b.read(t, "maps/hosts.map")
	o := b.options()
	o.Instance = "another"
	for _, c := range [][]planner.Change{create(backendOf("web-2")), create(routeOf("evil.example.com", "web-1")), remove(site[3])} {
		if err := haproxy.New(o).Apply(t.Context(), c)[0]; executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), instance) {
			t.Errorf("%s: %v, want a conflict", c[0].Ref(), err)
		}
	}
	if b.read(t, "haproxy.cfg") != cfg || b.read(t, "maps/hosts.map") != hosts {
		t.Error("files were changed")
	}
}

// A map file that is lost is not an empty map: what the process has is kept.
func TestMapFileLost(t *testing.T) {
	needDocker(t)
	for name, lose := range map[string]func(b *balancer, t *testing.T){
		"removed": func(b *balancer, t *testing.T) {
			if err := os.Remove(b.dir + "/maps/hosts.map"); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(b *balancer, t *testing.T) { b.write(t, "maps/hosts.map", "") },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			e := b.executor()
			apply(t, e, create(site...))
			before := b.read(t, "maps/hosts.map")
			lose(b, t)
			apply(t, e, create(site[1]))
			if d := cmp.Diff(before, b.read(t, "maps/hosts.map")); d != "" {
				t.Errorf("hosts.map, -before +after:\n%s", d)
			}
			if d := cmp.Diff(site, observe(t, e)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// A configuration that HAProxy refuses is not put in place, and the batch is refused as a whole.
func TestRefusedConfiguration(t *testing.T) {
	b := start(t)
	e := b.executor()
	apply(t, e, create(site...))
	before := b.read(t, "haproxy.cfg")
	hosts := b.read(t, "maps/hosts.map")
	o := b.options()
	o.Check = []string{"ls", "--no-such-option"}
	for i, err := range haproxy.New(o).Apply(t.Context(), create(backendOf("web-2"), routeOf("new.example.com", "web-2"))) {
		var e *executors.Error
		if !errors.As(err, &e) || e.Kind != executors.Refused || !e.Batch || !strings.Contains(err.Error(), "no-such-option") {
			t.Errorf("change %d: %v, want the batch refused with the reason", i, err)
		}
	}
	if b.read(t, "haproxy.cfg") != before || b.read(t, "maps/hosts.map") != hosts {
		t.Error("files were changed")
	}
	if left, _ := filepath.Glob(b.dir + "/*.next"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// The image's part can be spoiled by hand: haproxy -c itself finds it.
	b.write(t, "haproxy.cfg", strings.Replace(before, "timeout client", "timeout klient", 1))
	if err := e.Apply(t.Context(), create(backendOf("web-2")))[0]; executors.KindOf(err) != executors.Refused || !strings.Contains(err.Error(), "klient") {
		t.Errorf("a spoiled configuration: %v", err)
	}
	b.write(t, "haproxy.cfg", before)
	apply(t, e, create(backendOf("web-2")))
}

// A reload that fails is said to have failed, with the reason, and the old process serves on.
func TestReloadFails(t *testing.T) {
	b := start(t)
	apply(t, b.executor(), create(site...))
	o := b.options()
	o.Check = []string{"true"}
	text := strings.Replace(b.read(t, "haproxy.cfg"), "timeout client", "timeout klient", 1)
	b.write(t, "haproxy.cfg", text)
	if err := haproxy.New(o).Apply(t.Context(), create(backendOf("web-2")))[0]; err == nil || !strings.Contains(err.Error(), "klient") {
		t.Errorf("reload with a bad configuration: %v", err)
	}
	if d := cmp.Diff(site, observe(t, b.executor())); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// What is needed can't be removed, and what isn't there can't be used (B11).
func TestB11_NoSuchBackend(t *testing.T) {
	b := start(t)
	e := b.executor()
	apply(t, e, create(site...))
	for _, c := range [][]planner.Change{
		create(routeOf("lost.example.com", "web-9")),
		create(routeOf("lost.example.com", "be_unknown")),
		create(serverOf("web-9", "web-9-0", "192.0.2.1:80", planner.ServerReady)),
		remove(site[0]),
	} {
		if err := e.Apply(t.Context(), c)[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%s %s: %v, want it refused", c[0].Action, c[0].Ref(), err)
		}
	}
	apply(t, e, remove(site[3]))
	if err := e.Apply(t.Context(), remove(site[0]))[0]; executors.KindOf(err) != executors.Refused || !strings.Contains(err.Error(), "web-1/web-1-0") {
		t.Errorf("remove a backend with servers: %v", err)
	}
	if d := cmp.Diff(site[:3], observe(t, e)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Rows of BAD-INPUTS.md: nothing is written and nothing is sent, and what is beside them in the batch goes on.
func TestBadInput(t *testing.T) {
	b := start(t)
	e := b.executor()
	apply(t, e, create(site...))
	cfg, hosts := b.read(t, "haproxy.cfg"), b.read(t, "maps/hosts.map")
	server := func(change func(*planner.Server)) planner.Object {
		s := serverOf("web-1", "web-1-2", "192.0.2.12:80", planner.ServerReady)
		change(&s)
		s.Name = s.Backend + "/" + s.Node
		return s
	}
	for name, o := range map[string]planner.Object{
		"B01 a second command":    routeOf("a.com\nset map x evil", "web-1"),
		"B02 a second command":    routeOf("a.com;disable frontend http", "web-1"),
		"B03 space":               routeOf("a.com b c", "web-1"),
		"B03 tab":                 routeOf("a.com\tb", "web-1"),
		"B03 NBSP":                routeOf("a.com\u00a0", "web-1"),
		"B03 zero width space":    routeOf("a\u200b.com", "web-1"),
		"B03 right-to-left mark":  routeOf("a\u200f.com", "web-1"),
		"B04 capitals":            routeOf("Example.COM", "web-1"),
		"B04 trailing dot":        routeOf("example.com.", "web-1"),
		"B05 U-label":             routeOf("пример.рф", "web-1"),
		"B06 label of 64":         routeOf(strings.Repeat("a", 64)+".com", "web-1"),
		"B06 254 characters":      routeOf(strings.Repeat("abcdefg.", 31)+"abc.de", "web-1"),
		"B06 empty label":         routeOf("a..b", "web-1"),
		"B06 hyphen first":        routeOf("-a.com", "web-1"),
		"B06 empty":               routeOf("", "web-1"),
		"B07 port":                routeOf("a.com:80", "web-1"),
		"B07 path":                routeOf("a.com/x", "web-1"),
		"B08 wildcard":            routeOf("*.example.com", "web-1"),
		"B10 shell":               routeOf("$(id).com", "web-1"),
		"B12 comment":             routeOf("#a.com", "web-1"),
		"B12 carriage return":     routeOf("a.com\r", "web-1"),
		"B12 byte order mark":     routeOf("\ufeffa.com", "web-1"),
		"B12 no value":            routeOf("a.com", ""),
		"the map's own entry":     routeOf("instance.hostctl.invalid", "web-1"),
		"reserved":                routeOf("x.hostctl.invalid", "web-1"),
		"B01 value":               routeOf("a.com", "web-1\nset map x evil"),
		"B02 value":               routeOf("a.com", "web-1;disable frontend http"),
		"B13 backend":             backendOf("a\n    server x 1.2.3.4:1"),
		"B13 backend with braces": backendOf("a{}"),
		"B13 underscore":          backendOf("be_unknown"),
		"B13 64 characters":       backendOf(strings.Repeat("a", 64)),
		"balance":                 planner.Backend{Meta: meta("web-3"), Balance: "roundrobin\n"},
		"server's node":           server(func(s *planner.Server) { s.Node = "x check\n    server evil" }),
		"server's name":           server(func(s *planner.Server) { s.Address = "example.com:80" }),
		"server's port":           server(func(s *planner.Server) { s.Address = "192.0.2.1:0" }),
		"server's second word":    server(func(s *planner.Server) { s.Address = "192.0.2.1:80 agent-check" }),
		"server's zone":           server(func(s *planner.Server) { s.Address = "[fe80::1%eth0]:80" }),
		"server's state":          server(func(s *planner.Server) { s.State = "ready ; disable frontend fe_http" }),
		"server of another name":  planner.Server{Meta: meta("web-1/other"), Backend: "web-1", Node: "web-1-2", Address: "192.0.2.12:80", State: planner.ServerReady},
	} {
		errs := e.Apply(t.Context(), create(o, site[3]))
		if executors.KindOf(errs[0]) != executors.Refused || errs[1] != nil {
			t.Errorf("%s: %v, beside it %v; want only it refused", name, errs[0], errs[1])
		} else if strings.ContainsAny(errs[0].Error(), "\n\r\u00a0\u200b\u200f") {
			t.Errorf("%s: the error holds it raw: %q", name, errs[0])
		}
		if err := e.Apply(t.Context(), remove(o))[0]; executors.KindOf(err) != executors.Refused && name[:3] != "bal" && !strings.Contains(name, "value") {
			t.Errorf("%s: removal: %v, want it refused", name, err)
		}
	}
	if b.read(t, "haproxy.cfg") != cfg || b.read(t, "maps/hosts.map") != hosts {
		t.Error("files were changed")
	}
	if d := cmp.Diff(site, observe(t, e)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := b.ask(t, "show servers conn"); strings.Contains(got, "evil") {
		t.Errorf("a server was smuggled in: %s", got)
	}
}

// B12: a map file that isn't as we write it is not read as another one.
func TestB12_MapFile(t *testing.T) {
	dir := t.TempDir()
	e := haproxy.New(haproxy.Options{Target: target, Config: dir + "/haproxy.cfg", Maps: dir, Socket: dir + "/none", Check: []string{"true"}})
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("haproxy.cfg", "global\n")
	for name, text := range map[string]string{
		"missing value":   "a.com\n",
		"empty value":     "a.com \n",
		"twice":           "a.com web-1\na.com web-2\n",
		"comment":         "# a comment\n",
		"CRLF":            "a.com web-1\r\n",
		"byte order mark": "\ufeffa.com web-1\n",
		"empty line":      "a.com web-1\n\nb.com web-1\n",
		"third column":    "a.com web-1 x\n",
		"two spaces":      "a.com  web-1\n",
		"cut off":         "a.com web-1\nb.co",
	} {
		write("hosts.map", text)
		err := e.Apply(t.Context(), create(backendOf("web-1")))[0]
		if executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "hosts.map: line ") {
			t.Errorf("%s: %v, want a conflict with the line", name, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "hosts.map")); string(b) != text || err != nil {
			t.Errorf("%s: the file was changed to %q: %v", name, b, err)
		}
	}
}

// Many routes at once, in one step.
func TestBulk(t *testing.T) {
	b := start(t)
	e := b.executor()
	apply(t, e, create(site...))
	const n = 3000
	var routes []planner.Object
	for i := range n {
		routes = append(routes, routeOf(fmt.Sprintf("site-%d.with-a-longer-name.tenant-%d.example.com", i, i%100), "web-1"))
	}
	apply(t, e, create(routes...))
	apply(t, e, create(routes...))
	if got := observe(t, e); len(got) != n+len(site) {
		t.Errorf("%d objects, want %d", len(got), n+len(site))
	}
	// Once the map is wrong in what nobody touches, the next change mends it.
	b.ask(t, "clear map "+b.dir+"/maps/hosts.map")
	apply(t, e, create(routes[0]))
	if got := observe(t, e); len(got) != n+len(site) {
		t.Errorf("after the map was cleared: %d objects, want %d", len(got), n+len(site))
	}
	apply(t, e, remove(routes[:n-1]...))
	if d := cmp.Diff(append(append([]planner.Object{}, site[:3]...), routes[n-1], site[3]), observe(t, e)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func BenchmarkRoutes(b *testing.B) {
	lb := start(b)
	e := lb.executor()
	apply(b, e, create(site...))
	for _, n := range []int{1, 100, 10_000, 100_000} {
		var routes, others []planner.Object
		for i := range n {
			routes = append(routes, routeOf(fmt.Sprintf("site-%d.tenant-%d.example.com", i, i%1000), "web-1"))
		}
		others = append(others, routeOf("one.example.com", "web-1"))
		b.Run(fmt.Sprintf("create-%d", n), func(b *testing.B) {
			for b.Loop() {
				apply(b, e, create(routes...))
				b.StopTimer()
				apply(b, e, remove(routes...))
				b.StartTimer()
			}
		})
		apply(b, e, create(routes...))
		b.Run(fmt.Sprintf("again-%d", n), func(b *testing.B) {
			for b.Loop() {
				apply(b, e, create(routes...))
			}
		})
		b.Run(fmt.Sprintf("one-beside-%d", n), func(b *testing.B) {
			for b.Loop() {
				apply(b, e, create(others...))
				apply(b, e, remove(others...))
			}
		})
		apply(b, e, remove(routes...))
	}
}
