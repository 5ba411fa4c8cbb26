package haproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/haproxy"
	"hostctl/planner"
)

// raw sends bytes to port 80 of the load balancer and returns status and body of the answer.
func (b *balancer) raw(t testing.TB, request string) (int, string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", b.address+":80", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (b *balancer) get(t testing.TB, host string) (int, string) {
	t.Helper()
	return b.raw(t, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
}

// shard makes a load balancer with one shard of web nodes, and waits until all are up.
func shard(t testing.TB, nodes ...*balancer) (*balancer, *haproxy.Executor, []planner.Object) {
	t.Helper()
	b := start(t)
	e := b.executor()
	servers := []planner.Object{}
	for i, n := range nodes {
		servers = append(servers, serverOf("web-1", fmt.Sprintf("web-1-%d", i), n.address+":80", planner.ServerReady))
	}
	apply(t, e, create(backendOf("web-1")))
	apply(t, e, create(servers...))
	until(t, "all servers are up", func() error {
		if n := strings.Count(b.ask(t, "show stat web-1 4 -1"), ",L7OK,"); n != len(nodes) {
			return fmt.Errorf("%d of %d", n, len(nodes))
		}
		return nil
	})
	return b, e, servers
}

// B60: a name is found as visitors write it, and no other is.
func TestB60_Host(t *testing.T) {
	b, e, _ := shard(t, startNode(t, "node-0"))
	apply(t, e, create(routeOf("www.example.com", "web-1")))
	long := strings.Repeat("a", 4096)
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"as it is":         {"GET / HTTP/1.1\r\nHost: www.example.com\r\n", 200},
		"capitals":         {"GET / HTTP/1.1\r\nHost: WWW.Example.COM\r\n", 200},
		"port":             {"GET / HTTP/1.1\r\nHost: www.example.com:80\r\n", 200},
		"trailing dot":     {"GET / HTTP/1.1\r\nHost: www.example.com.\r\n", 200},
		"all of it":        {"GET / HTTP/1.1\r\nHost: WWW.example.com.:8080\r\n", 200},
		"unknown":          {"GET / HTTP/1.1\r\nHost: example.com\r\n", 421},
		"below":            {"GET / HTTP/1.1\r\nHost: a.www.example.com\r\n", 421},
		"space at the end": {"GET / HTTP/1.1\r\nHost: www.example.com \r\n", 200},
		"4 KiB":            {"GET / HTTP/1.1\r\nHost: " + long + "\r\n", 421},
		"4 KiB and a name": {"GET / HTTP/1.1\r\nHost: " + long + ".www.example.com\r\n", 421},
		"none, HTTP/1.0":   {"GET / HTTP/1.0\r\n", 400},
		"none, HTTP/1.1":   {"GET / HTTP/1.1\r\n", 400},
		"empty":            {"GET / HTTP/1.1\r\nHost:\r\n", 421},
		"two that differ":  {"GET / HTTP/1.1\r\nHost: www.example.com\r\nHost: other.example.com\r\n", 400},
		"two with a comma": {"GET / HTTP/1.1\r\nHost: other.example.com, www.example.com\r\n", 400},
		// HAProxy makes one of it before anybody looks, so no two parties can read it differently.
		"two alike":                 {"GET / HTTP/1.1\r\nHost: www.example.com\r\nHost: www.example.com\r\n", 200},
		"another one in the line":   {"GET http://other.example.com/ HTTP/1.1\r\nHost: www.example.com\r\n", 400},
		"the map's own entry":       {"GET / HTTP/1.1\r\nHost: instance.hostctl.invalid\r\n", 421},
		"the name of a backend":     {"GET / HTTP/1.1\r\nHost: web-1\r\n", 421},
		"an address":                {"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n", 421},
		"an address of version six": {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n", 421},
	} {
		if status, body := b.raw(t, c.request+"Connection: close\r\n\r\n"); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		}
	}
}

// What a visitor says about himself doesn't arrive.
func TestForwardedHeaders(t *testing.T) {
	b, e, _ := shard(t, startNode(t, "node-0"))
	apply(t, e, create(routeOf("www.example.com", "web-1")))
	_, body := b.raw(t, "GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.8\r\n"+
		"X-Forwarded-Proto: https\r\nX-Real-IP: 203.0.113.9\r\nConnection: close\r\n\r\n")
	if strings.Contains(body, "203.0.113") || !strings.Contains(body, "forwarded-proto=http ") || strings.Contains(body, "for= ") {
		t.Errorf("the node got %s", body)
	}
}

// load asks for host names all the time, and counts what didn't answer 200.
type load struct {
	sent   atomic.Int64
	mu     sync.Mutex
	failed []string
	worst  time.Duration
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

func (b *balancer) load(t testing.TB, hosts ...string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for i := range 4 {
		// Half of them take a new connection for each request.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: 20 * time.Second}
		l.wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				l.one(client, b.address, hosts[n%len(hosts)])
			}
		})
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

func (l *load) one(client *http.Client, address, host string) {
	problem := ""
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		panic(err)
	}
	req.Host = host
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		problem = err.Error()
	} else {
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			problem = fmt.Sprintf("%d %s %v", resp.StatusCode, body, err)
		}
	}
	took := time.Since(began).Round(time.Millisecond)
	l.sent.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worst = max(l.worst, took)
	if problem != "" {
		l.failed = append(l.failed, fmt.Sprintf("%s after %s: %s", host, took, problem))
	}
}

// end stops the load; every request must have been answered.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	t.Logf("%d requests, %d failed, the slowest took %s", l.sent.Load(), len(l.failed), l.worst)
	if l.sent.Load() < 20 {
		t.Errorf("only %d requests", l.sent.Load())
	}
	for i, f := range l.failed {
		if i < 5 {
			t.Errorf("failed: %s", f)
		}
	}
}

func (l *load) more(t testing.TB, n int64) {
	t.Helper()
	want := l.sent.Load() + n
	until(t, "the load goes on", func() error {
		if got := l.sent.Load(); got < want {
			return fmt.Errorf("%d of %d requests", got, want)
		}
		return nil
	})
}

// Other sites never miss a request: not while routes come and go, not while backends do and HAProxy reloads, not while a
// node leaves and comes back.
func TestNoRequestIsLost(t *testing.T) {
	b, e, servers := shard(t, startNode(t, "node-0"), startNode(t, "node-1"))
	var routes []planner.Object
	var hosts []string
	for i := range 20 {
		hosts = append(hosts, fmt.Sprintf("site-%d.example.com", i))
		routes = append(routes, routeOf(hosts[i], "web-1"))
	}
	apply(t, e, create(routes...))
	l := b.load(t, hosts...)
	for i := range 3 {
		apply(t, e, create(routeOf("new.example.com", "web-1")))
		apply(t, e, create(backendOf(fmt.Sprintf("extra-%d", i)))) // a reload
		apply(t, e, remove(routeOf("new.example.com", "web-1")))
		if status, _ := b.get(t, "new.example.com"); status != 421 {
			t.Errorf("a removed route answers %d", status)
		}
		node := servers[i%2].(planner.Server)
		node.State = planner.ServerDrain
		apply(t, e, create(node))
		l.more(t, 50)
		apply(t, e, remove(node))
		l.more(t, 50)
		apply(t, e, create(servers[i%2]))
		apply(t, e, remove(backendOf(fmt.Sprintf("extra-%d", i)))) // a reload
		l.more(t, 50)
	}
	l.end(t)
}

// A node that dies isn't seen by visitors.
func TestNodeDies(t *testing.T) {
	nodes := []*balancer{startNode(t, "node-0"), startNode(t, "node-1")}
	b, e, _ := shard(t, nodes...)
	var hosts []string
	for i := range 20 {
		hosts = append(hosts, fmt.Sprintf("site-%d.example.com", i))
		apply(t, e, create(routeOf(hosts[i], "web-1")))
	}
	l := b.load(t, hosts...)
	l.more(t, 50)
	docker(t, "rm", "-f", nodes[0].name)
	until(t, "HAProxy knows that the node is down", func() error {
		l.more(t, 1)
		if stat := b.ask(t, "show stat web-1 4 -1"); !strings.Contains(stat, ",DOWN,") {
			_, rows, _ := strings.Cut(stat, "\n")
			return fmt.Errorf("%s", rows)
		}
		return nil
	})
	l.more(t, 100)
	l.end(t)
}

// A host name stays with its node: when a node leaves and comes back, and over a reload.
func TestPlaceInRing(t *testing.T) {
	b, e, servers := shard(t, startNode(t, "node-0"), startNode(t, "node-1"), startNode(t, "node-2"))
	var routes []planner.Object
	for i := range 40 {
		routes = append(routes, routeOf(fmt.Sprintf("site-%d.example.com", i), "web-1"))
	}
	apply(t, e, create(routes...))
	where := func() map[string]string {
		at := map[string]string{}
		for _, r := range routes {
			_, body := b.get(t, r.Ref().Name)
			at[r.Ref().Name], _, _ = strings.Cut(body, " ")
		}
		return at
	}
	before := where()
	node := servers[1].(planner.Server)
	node.State = planner.ServerMaint
	apply(t, e, create(node))
	count := map[string]int{}
	for host, at := range where() {
		count[before[host]]++
		if at == "node-1" || before[host] != "node-1" && at != before[host] {
			t.Errorf("without node-1, %s went from %s to %s", host, before[host], at)
		}
	}
	if len(count) != 3 {
		t.Errorf("hosts per node: %v", count)
	}
	apply(t, e, create(backendOf("web-2"))) // a reload, with node-1 out
	apply(t, e, create(servers[1]))
	until(t, "node-1 is up", func() error {
		if strings.Count(b.ask(t, "show stat web-1 4 -1"), ",UP,") != 3 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	for host, at := range where() {
		if at != before[host] {
			t.Errorf("at the end %s went from %s to %s", host, before[host], at)
		}
	}
}

// A server that is removed ends what it has begun, but not for ever.
func TestRemoveBusyServer(t *testing.T) {
	b := start(t)
	o := b.options()
	o.Wait = 300 * time.Millisecond
	e := haproxy.New(o)
	// A node that takes requests and never answers.
	silent := startSilent(t)
	server := serverOf("web-1", "web-1-0", silent.address+":80", planner.ServerReady)
	apply(t, e, create(backendOf("web-1")))
	apply(t, e, create(server))
	apply(t, e, create(routeOf("www.example.com", "web-1")))
	c, err := net.Dial("tcp", b.address+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n")
	until(t, "the server has a request", func() error {
		if !strings.Contains(b.ask(t, "show sess"), "srv=web-1-0") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	began := time.Now()
	apply(t, e, remove(server))
	if took := time.Since(began); took < o.Wait {
		t.Errorf("removed after %s: the request wasn't waited for", took)
	}
	if got := b.ask(t, "show servers state web-1"); strings.Contains(got, "web-1-0") {
		t.Errorf("the server is still there: %s", got)
	}
	errs := e.Apply(t.Context(), remove(server))
	if executors.KindOf(errs[0]) != "" {
		t.Error(errs[0])
	}
}

// A server that is drained has answered what it was asked before anybody takes it down; but that isn't waited for for ever.
func TestDrainBusyServer(t *testing.T) {
	b := start(t)
	o := b.options()
	o.Drain = time.Minute
	e := haproxy.New(o)
	slow := startSlow(t)
	server := serverOf("web-1", "web-1-0", slow.address+":80", planner.ServerReady)
	drained := server
	drained.State = planner.ServerDrain
	apply(t, e, create(backendOf("web-1")))
	apply(t, e, create(server))
	apply(t, e, create(routeOf("www.example.com", "web-1")))
	up := func() error {
		if !strings.Contains(b.ask(t, "show stat web-1 4 -1"), ",L7OK,") {
			return fmt.Errorf("not up yet")
		}
		return nil
	}
	until(t, "the server is up", up)
	apply(t, e, create(drained)) // idle: not a minute
	apply(t, e, create(server))

	c, err := net.Dial("tcp", b.address+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n")
	until(t, "the server has a request", func() error {
		if !strings.Contains(b.ask(t, "show sess"), "srv=web-1-0") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- e.Apply(t.Context(), create(drained))[0] }()
	until(t, "it gets no more", func() error {
		if !strings.Contains(b.ask(t, "show stat web-1 4 -1"), ",DRAIN") {
			return fmt.Errorf("not drained")
		}
		return nil
	})
	select {
	case err := <-done:
		t.Fatalf("drained while it has a request: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	docker(t, "rm", "-f", slow.name) // it ends, one way or the other
	if err := <-done; err != nil {
		t.Error(err)
	}

	slow = startSlow(t)
	server.Address = slow.address + ":80"
	o.Drain = 300 * time.Millisecond
	e = haproxy.New(o)
	apply(t, e, create(server))
	until(t, "the server is up", up)
	again, err := net.Dial("tcp", b.address+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	fmt.Fprint(again, "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n")
	until(t, "the server has a request", func() error {
		if !strings.Contains(b.ask(t, "show sess"), "srv=web-1-0") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	drained.Address = server.Address
	began := time.Now()
	apply(t, e, create(drained))
	if took := time.Since(began); took < o.Drain {
		t.Errorf("drained after %s: the request wasn't waited for", took)
	}
}

// startSlow runs a node that answers health checks at once, and nothing else.
func startSlow(t testing.TB) *balancer {
	t.Helper()
	dir := t.TempDir()
	n := &balancer{name: "hostctl-test-slow-" + fmt.Sprint(time.Now().UnixNano()), dir: dir}
	n.write(t, "haproxy.cfg", `
defaults
    mode http
    timeout client 1h
    timeout server 1h
    timeout connect 1h
frontend node
    bind :80
    http-request return status 200 if { path /.hostctl/healthz }
    default_backend nowhere
backend nowhere
    server nobody 192.0.2.1:80
`)
	n.run(t, "--mount", "type=bind,src="+dir+",dst="+dir, "--entrypoint", "haproxy", image, "-db", "-f", dir+"/haproxy.cfg")
	return n
}

// startSilent runs a node that answers only health checks.
func startSilent(t testing.TB) *balancer {
	t.Helper()
	dir := t.TempDir()
	n := &balancer{name: "hostctl-test-silent-" + fmt.Sprint(time.Now().UnixNano()), dir: dir}
	n.write(t, "haproxy.cfg", `
defaults
    mode http
    timeout client 1h
    timeout server 1h
    timeout connect 1h
frontend node
    bind :80
    http-request return status 200 if { path /.hostctl/healthz }
    tcp-request inspect-delay 1h
    tcp-request content reject if { req.len gt 1000000 }
    default_backend nowhere
backend nowhere
    timeout queue 1h
    server full 192.0.2.1:80 maxconn 1
`)
	n.run(t, "--mount", "type=bind,src="+dir+",dst="+dir, "--entrypoint", "haproxy", image, "-db", "-f", dir+"/haproxy.cfg")
	return n
}
