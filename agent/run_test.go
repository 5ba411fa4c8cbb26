package agent_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/remote"
	"hostctl/planner"
)

// An agent takes orders from its own instance only, and not from a run that was superseded.
func TestFence(t *testing.T) {
	n := startNode(t)
	u := n.newSite("acme", 20001, false).user
	create := []planner.Change{{Action: planner.Create, New: u}}
	if err := n.dial(7).Apply(t.Context(), create)[0]; err != nil {
		t.Fatal(err)
	}
	err := n.dial(6).Apply(t.Context(), create)[0]
	if executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "superseded") {
		t.Errorf("run 6 after run 7: %v, want a conflict", err)
	}
	other := n.dial(8)
	other.Instance = "another"
	if err := other.Apply(t.Context(), create)[0]; executors.KindOf(err) != executors.Conflict {
		t.Errorf("another instance: %v, want a conflict", err)
	}

	n.script("kill -9 $(s6-svstat -o pid /run/service/node-agent)")
	n.ready()
	if err := n.dial(6).Apply(t.Context(), create)[0]; executors.KindOf(err) != executors.Conflict {
		t.Errorf("run 6 after the agent was killed: %v, want a conflict", err)
	}
	h, err := n.dial(7).Hello(t.Context())
	if err != nil || h.GetFence() != 7 || h.GetNode() != nodeName || h.GetInstance() != instance || !slices.Contains(h.GetKinds(), "vhost") || len(h.GetBinary()) != 64 {
		t.Errorf("Hello: %v, %v", h, err)
	}
}

// A node that doesn't answer costs a run a few seconds, not more.
func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	for name, address := range map[string]string{"nobody listens": "127.0.0.1:1", "silence": listener.Addr().String(), "no such host": "192.0.2.1:9443"} {
		a, err := remote.Dial(remote.Options{Address: address, Node: nodeName, TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Instance: instance})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		errs := a.Apply(t.Context(), make([]planner.Change, 0))
		if len(errs) != 0 {
			t.Errorf("%s: no changes gave %d errors", name, len(errs))
		}
		cs := []planner.Change{{Action: planner.Create, New: planner.User{Meta: planner.Meta{Target: nodeName, Name: "a"}}}, {Action: planner.Create, New: planner.User{Meta: planner.Meta{Target: nodeName, Name: "b"}}}}
		for _, err := range a.Apply(t.Context(), cs) {
			if executors.KindOf(err) != executors.Unreachable {
				t.Errorf("%s: %v (%s), want unreachable", name, err, executors.KindOf(err))
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// While vhosts change, other sites miss no request: new connections, and connections that are kept.
func TestReloadUnderLoad(t *testing.T) {
	n := startNode(t)
	n.create(n.newSite("acme", 20001, false, n.files.add("public/index.html", "up")).objects()...)
	other := n.newSite("other", 20002, false, n.files.add("public/index.html", "x"))
	n.create(other.user, other.webroot)
	stop := make(chan struct{})
	said := make(chan string)
	var count atomic.Int64
	for range 3 {
		go func() {
			for {
				select {
				case <-stop:
					said <- ""
					return
				default:
				}
				status, body, err := n.fetch("acme.example", "/")
				count.Add(1)
				if err != nil || status != 200 || body != "up" {
					<-stop
					said <- fmt.Sprintf("%d %q %v", status, body, err)
					return
				}
			}
		}()
	}
	var took time.Duration
	const changes = 20
	for i := range changes {
		v := other.vhost
		v.Hostnames = []string{fmt.Sprintf("n%d.other.example", i)}
		start := time.Now()
		n.create(v)
		took += time.Since(start)
		if status, _ := n.get(v.Hostnames[0], "/"); status != 200 {
			t.Errorf("%s isn't live after Apply: %d", v.Hostnames[0], status)
		}
		if i > 0 {
			if status, _ := n.get(fmt.Sprintf("n%d.other.example", i-1), "/"); status != 421 {
				t.Errorf("the name before is still there after Apply: %d", status)
			}
		}
	}
	close(stop)
	for range 3 {
		if s := <-said; s != "" {
			t.Errorf("another site missed a request: %s", s)
		}
	}
	t.Logf("%d changes of a vhost, %v each; %d requests meanwhile", changes, took/changes, count.Load())
}

// After the container was restarted all sites are served again, PHP too; after the agent was killed in the middle of a
// batch the same batch brings it about.
func TestRestart(t *testing.T) {
	n := startNode(t)
	s := n.newSite("acme", 20001, true, n.files.add("public/index.php", "<?php echo 'up';"))
	n.create(s.objects()...)
	docker(t, "restart", "--time", "5", n.container)
	n.address = strings.TrimSpace(docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", n.container))
	within(t, 20*time.Second, "the site is served again", func() error {
		status, body, err := n.fetch("acme.example", "/")
		if err == nil && (status != http.StatusOK || body != "up") {
			err = fmt.Errorf("%d %q", status, body)
		}
		return err
	})

	var objects []planner.Object
	for i := range 10 {
		tenant := fmt.Sprintf("tenant-%d", i)
		objects = append(objects, n.newSite(tenant, 21000+i, true, n.files.add("public/index.php", "<?php echo '"+tenant+"';")).objects()...)
	}
	n.ready()
	for _, after := range []time.Duration{5, 50, 150, 400, 700} {
		killed := time.AfterFunc(after*time.Millisecond, func() {
			n.script("kill -9 $(s6-svstat -o pid /run/service/node-agent)")
		})
		n.tryCreate(objects...)
		if killed.Stop() {
			t.Logf("done before %v", after)
		}
		n.ready()
	}
	n.create(objects...)
	for i := range 10 {
		tenant := fmt.Sprintf("tenant-%d", i)
		if _, body := n.get(tenant+".example", "/"); body != tenant {
			t.Errorf("%s says %q", tenant, body)
		}
	}
	within(t, 20*time.Second, "one PHP master is left", func() error {
		if out := strings.TrimSpace(n.script("ls /run/service | grep -c php-; ls /etc/php/hostctl/8.4 | grep -c ^[0-9]")); out != "1\n1" {
			return fmt.Errorf("%q", out)
		}
		return nil
	})
}

// A bad message is an error, and the agent lives on.
func TestBadMessages(t *testing.T) {
	n := startNode(t)
	a := n.dial(1)
	bad := []planner.Change{
		{Action: "explode", New: n.newSite("acme", 20001, false).user},
		{Action: planner.Update, New: n.newSite("acme", 20001, false).user},
		{Action: planner.Create, New: planner.Zone{Meta: planner.Meta{Target: nodeName, Name: "a.example"}}},
	}
	for i, err := range a.Apply(t.Context(), bad) {
		if executors.KindOf(err) != executors.Refused {
			t.Errorf("change %d: %v, want it refused", i, err)
		}
	}
	w := n.newSite("acme", 20001, false, n.files.add("a", "a")).webroot
	n.files[w.Files[0].Blob] = []byte("something else")
	if err := a.Apply(t.Context(), []planner.Change{{Action: planner.Create, New: w}})[0]; err == nil {
		t.Error("bytes that aren't the blob's were taken")
	}
	if _, err := a.Hello(t.Context()); err != nil {
		t.Error(err)
	}
	var _ io.Closer = a
}

// BenchmarkVhost is one change of a vhost on a node that has many.
func BenchmarkVhost(b *testing.B) {
	for _, sites := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d sites", sites), func(b *testing.B) {
			n := startNode(b)
			var vhosts []planner.Object
			for i := range sites {
				vhosts = append(vhosts, n.newSite(fmt.Sprintf("tenant-%d", i), 20001+i, false).vhost)
			}
			n.create(vhosts...)
			v := n.newSite("acme", 20000, false).vhost
			for i := 0; b.Loop(); i++ {
				v.Hostnames = []string{fmt.Sprintf("n%d.acme.example", i)}
				n.create(v)
			}
		})
	}
}
