package haproxy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// told keeps what a watch tells.
type told struct {
	mu      sync.Mutex
	reports []executors.Report
}

func (l *told) tell(r executors.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports = append(l.reports, r)
}

// drift returns what was told of since the n-th report, and how many there are.
func (l *told) drift(n int) (drift []executors.NodeDrift, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reports[n:] {
		drift = append(drift, r.Drift...)
	}
	return drift, len(l.reports)
}

// watch runs a watch until the test, or what it returns, ends it.
func (b *balancer) watch(t *testing.T, p schema.DriftPolicy) (*told, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l, ended := &told{}, make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.external(false).Watch(ctx, executors.Orders{Policy: p}, l.tell)
	}()
	end := func() { cancel(); <-ended }
	t.Cleanup(end)
	until(t, "the watch has begun", func() error {
		if _, n := l.drift(0); n == 0 {
			return errors.New("nothing was told")
		}
		return nil
	})
	return l, end
}

// A load balancer whose owner starts it anew has forgotten its servers: they are back before anybody looks, as the file has them.
func TestExternalRestarted(t *testing.T) {
	b := startOthers(t)
	e := b.external(false)
	apply(t, e, create(
		backendOf("web-1"), serverOf("web-1", "web-1-0", "192.0.2.10:80", planner.ServerReady), serverOf("web-1", "web-1-1", "192.0.2.11:80", planner.ServerDrain),
		routeOf("www.example.com", "web-1"),
	))
	want := observe(t, e)
	l, end := b.watch(t, schema.DriftPolicy{})
	if drift, _ := l.drift(0); len(drift) > 0 {
		t.Errorf("nothing is missing, and %v is told of", drift)
	}
	_, before := l.drift(0)
	docker(t, "restart", "-t", "0", b.name)
	until(t, "the servers are back", func() error {
		if got := observeQuietly(t, e); !slices.EqualFunc(got, want, sameObject) {
			return fmt.Errorf("there are %v", got)
		}
		return nil
	})
	until(t, "it is told of", func() error {
		drift, _ := l.drift(before)
		if len(drift) != 2 || !drift[0].Healed || !drift[1].Healed || drift[0].Ref != want[1].Ref() {
			return fmt.Errorf("it tells of %v", drift)
		}
		return nil
	})
	end()

	l, _ = b.watch(t, schema.DriftPolicy{Kinds: map[string]schema.DriftMode{"server": schema.DriftReport}})
	docker(t, "restart", "-t", "0", b.name)
	until(t, "it is told of, and nothing more", func() error {
		drift, _ := l.drift(0)
		if len(drift) != 2 || drift[0].Healed || !strings.Contains(drift[0].Why, "only reported") {
			return fmt.Errorf("it tells of %v", drift)
		}
		return nil
	})
	if got := b.ask(t, "show servers state web-1"); strings.Contains(got, "192.0.2.10") {
		t.Errorf("drift is only reported, and the server was put back:\n%s", got)
	}
	b.wantOthers(t)
}

func sameObject(a, b planner.Object) bool {
	return a.Ref() == b.Ref() && planner.HashOf(a) == planner.HashOf(b)
}

// observeQuietly is observe of one that may be starting.
func observeQuietly(t *testing.T, e executors.Observer) []planner.Object {
	t.Helper()
	found, err := e.Observe(t.Context())
	if err != nil {
		return nil
	}
	return found
}
