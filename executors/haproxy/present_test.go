package haproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/executors/checked"
	"hostctl/executors/haproxy"
	"hostctl/planner"
)

// counting passes an executor's commands on to HAProxy and counts them: each has a connection of its own.
func (b *balancer) counting(t *testing.T) (*haproxy.Executor, *atomic.Int64) {
	t.Helper()
	o := b.options()
	far := o.Socket
	o.Socket = filepath.Join(b.dir, "counted.sock")
	l, err := net.Listen("unix", o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	n := &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			go pass(c, far)
		}
	}()
	return haproxy.New(o), n
}

// pass is one command and its reply.
func pass(c net.Conn, socket string) {
	far, err := net.Dial("unix", socket)
	if err != nil {
		_ = c.Close()
		return
	}
	go func() { _, _ = io.Copy(far, c) }()
	_, _ = io.Copy(c, far)
	_ = errors.Join(c.Close(), far.Close())
}

// However many routes change, comparing them with what is there takes one command more, and few of them one each.
func TestG05_ComparingIsOneCommand(t *testing.T) {
	needDocker(t)
	b := start(t)
	apply(t, b.executor(), create(backendOf("web-1"), backendOf("web-2")))
	e, commands := b.counting(t)
	moved := func(n int, from, to string) []planner.Change {
		var cs []planner.Change
		for i := range n {
			host := fmt.Sprintf("h%d.example.com", i)
			old := routeOf(host, from)
			cs = append(cs, planner.Change{ID: i, Action: planner.Update, Old: old, New: routeOf(host, to), Expect: planner.HashOf(old)})
		}
		return cs
	}
	measure := func(apply func()) (int64, time.Duration) {
		before, began := commands.Load(), time.Now()
		apply()
		return commands.Load() - before, time.Since(began).Round(time.Millisecond)
	}
	for _, c := range []struct{ routes, more int }{{1, 1}, {20, 20}, {21, 1}, {10_000, 1}} {
		var made []planner.Object
		for _, m := range moved(c.routes, "web-1", "web-2") {
			made = append(made, m.Old)
		}
		apply(t, e, create(made...))
		plain, took := measure(func() { apply(t, e, moved(c.routes, "web-1", "web-2")) })
		compared, tookCompared := measure(func() { apply(t, checked.New(e), moved(c.routes, "web-2", "web-1")) })
		t.Logf("%d routes: %d commands in %s; compared: %d in %s", c.routes, plain, took, compared, tookCompared)
		if compared != plain+int64(c.more) {
			t.Errorf("%d routes: %d commands, and %d where they are compared; want %d more", c.routes, plain, compared, c.more)
		}
	}
	b.ask(t, "set map "+b.dir+"/maps/hosts.map h77.example.com nowhere")
	errs := checked.New(e).Apply(t.Context(), moved(10_000, "web-1", "web-2"))
	for i, err := range errs {
		if (err != nil) != (i == 77) {
			t.Errorf("route %d: %v", i, err)
		}
	}
	if errs[77] == nil || !strings.Contains(errs[77].Error(), "found backend: web-1 → nowhere") {
		t.Errorf("the route that was edited: %v", errs[77])
	}
}
