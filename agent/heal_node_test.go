package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// watcher keeps what a node tells.
type watcher struct {
	mu      sync.Mutex
	reports []executors.Report
}

// watch watches the node until the test ends.
func (n *node) watch(p schema.DriftPolicy) *watcher {
	n.t.Helper()
	w := &watcher{}
	a := n.dial(1)
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	n.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = a.Watch(ctx, executors.Orders{Run: 1, Policy: p}, func(r executors.Report) { // again, where the agent was killed
				w.mu.Lock()
				defer w.mu.Unlock()
				w.reports = append(w.reports, r)
			})
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return w
}

// until waits for a report that is as it should be; those of before don't count.
func (w *watcher) until(t testing.TB, what string, ok func(executors.Report) error) {
	t.Helper()
	w.mu.Lock()
	from := len(w.reports)
	w.mu.Unlock()
	within(t, time.Minute, what, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		err := errors.New("no report")
		for _, r := range w.reports[from:] {
			if err = ok(r); err == nil {
				return nil
			}
		}
		return err
	})
}

// A real node is damaged in many ways. Nobody tells its agent to do anything: it puts right what differs, and tells.
func TestNodeHealsItself(t *testing.T) {
	n := startNodeOf(t, "web", nodeName, "HOSTCTL_CHECK_EVERY=1s")
	s := n.newSite("acme", 20001, true, n.files.add("public/index.php", "<?php echo 'up';"))
	n.create(s.objects()...)
	serves := func() error {
		status, body, err := n.fetch("acme.example", "/")
		if err == nil && (status != http.StatusOK || body != "up") {
			err = fmt.Errorf("%d %q", status, body)
		}
		return err
	}
	w := n.watch(schema.DriftPolicy{})
	for _, d := range []struct {
		what, damage string
		ref          planner.Ref
	}{
		{"a vhost is edited", `sed -i 's/keepalive_timeout 0/keepalive_timeout 5/; s/server_name/server_name x.example/' /etc/nginx/hostctl/current/acme.shop.conf; nginx -s reload`, s.vhost.Ref()},
		{"a vhost is removed", `rm /etc/nginx/hostctl/current/acme.shop.conf; nginx -s reload`, s.vhost.Ref()},
		{"nginx is stopped", `s6-svc -wD -d /run/service/nginx`, s.vhost.Ref()},
		{"a PHP pool is edited", `sed -i 's/^pm.max_children = .*/pm.max_children = 77/' $(grep -rl '^.acme.shop.$' /etc/php/hostctl)`, s.runtime.Ref()},
		{"the PHP master is stopped", `for s in /run/service/php-*; do s6-svc -wD -d $s; done`, s.runtime.Ref()},
		{"a user is removed", `userdel -f t-acme`, s.user.Ref()},
	} {
		began := time.Now()
		n.script(d.damage)
		w.until(t, d.what+", and healed", func(r executors.Report) error {
			if !slices.ContainsFunc(r.Drift, func(x executors.NodeDrift) bool { return x.Ref == d.ref && x.Healed }) {
				return fmt.Errorf("the node tells of %+v", r.Drift)
			}
			return nil
		})
		within(t, time.Minute, d.what+", and it serves again", serves)
		t.Logf("%s: healed and served %v later", d.what, time.Since(began).Round(10*time.Millisecond))
	}
	w.until(t, "all is well", func(r executors.Report) error {
		if sick := r.Sick(); len(sick) > 0 || len(r.Drift) > 0 {
			return fmt.Errorf("%+v %+v", sick, r.Drift)
		}
		for _, name := range []string{"service/nginx", "service/node-agent", "executor/vhost", "disk/", "memory"} {
			if !slices.ContainsFunc(r.Health, func(p executors.Part) bool { return p.Name == name }) {
				return fmt.Errorf("nothing of %s in %+v", name, r.Health)
			}
		}
		return nil
	})
	w.until(t, "what the tenant uses", func(r executors.Report) error {
		if len(r.Usage) != 1 || r.Usage[0].Tenant != "acme" || r.Usage[0].Files < 3 || r.Usage[0].Disk < 4096 {
			return fmt.Errorf("%+v", r.Usage)
		}
		return nil
	})

	limited := s.user
	limited.Limits = planner.Limits{Inodes: 1}
	n.create(limited)
	w.until(t, "a tenant that is over its plan is told of", func(r executors.Report) error {
		if sick := r.Sick(); len(sick) != 1 || sick[0].Name != "tenant/acme/inodes" {
			return fmt.Errorf("%+v", sick)
		}
		return nil
	})

	// Killed in the middle of a look, and with what was there changed while it was away.
	n.script(`kill -9 $(s6-svstat -o pid /run/service/node-agent); rm -f /etc/nginx/hostctl/current/acme.shop.conf; nginx -s reload`)
	within(t, time.Minute, "healed after the agent was killed", serves)

	w.until(t, "the report goes on", func(r executors.Report) error { return nil })
}

// What is to be reported is left alone, and told of.
func TestNodeReports(t *testing.T) {
	n := startNodeOf(t, "web", nodeName, "HOSTCTL_CHECK_EVERY=1s")
	s := n.newSite("acme", 20001, false, n.files.add("public/index.html", "up"))
	w := n.watch(schema.DriftPolicy{Default: schema.DriftReport})
	w.until(t, "a first report", func(r executors.Report) error { return nil })
	n.create(s.objects()...)
	n.script("userdel -f t-acme")
	w.until(t, "the user is gone", func(r executors.Report) error {
		if len(r.Drift) != 1 || r.Drift[0].Ref != s.user.Ref() || !r.Drift[0].Gone || r.Drift[0].Healed {
			return fmt.Errorf("%+v", r.Drift)
		}
		return nil
	})
	if out := n.script("id t-acme 2>&1 || true"); out == "" || out[0] != 'i' {
		t.Errorf("the user is back: %q", out)
	}
}
