package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// load asks for the sites and names of tenants that nothing is done to, until it is told to stop.
type load struct {
	stop  context.CancelFunc
	done  chan struct{}
	mu    sync.Mutex
	asked int
	wrong []string
}

// between is the pause between two requests: the machine has other things to do.
const between = 20 * time.Millisecond

// startLoad begins to ask.
func (w *world) startLoad() *load {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &load{stop: cancel, done: make(chan struct{})}
	hosts := []string{"globex.test", "www.globex.test", "docs.acme.test", "shop.acme.test"}
	go func() {
		defer close(l.done)
		for i := 0; ctx.Err() == nil; i++ {
			host := hosts[i%len(hosts)]
			code, body, err := w.at.Fetch(ctx, host)
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("GET %s: %d %.80q", host, code, body)
			}
			l.note(ctx, err)
			l.note(ctx, w.resolve(ctx, host))
			select {
			case <-ctx.Done():
			case <-time.After(between):
			}
		}
	}()
	return l
}

// resolve asks for a name as often as resolvers do: UDP loses packets on a busy machine.
func (w *world) resolve(ctx context.Context, host string) (err error) {
	for range 3 {
		if _, err = w.at.Resolve(ctx, host, dns.TypeA); err == nil {
			return nil
		}
	}
	return err
}

func (l *load) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if err != nil {
		l.wrong = append(l.wrong, time.Now().Format("15:04:05.000 ")+err.Error())
	}
}

// failures returns what has failed since it was last asked.
func (l *load) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := l.wrong
	l.wrong = nil
	return wrong
}

// wantNone checks that nobody was disturbed since the last time.
func (l *load) wantNone(w *world, after string) {
	w.t.Helper()
	if wrong := l.failures(); len(wrong) > 0 {
		w.t.Errorf("after %s: %d requests to others failed, from %s to %s; the load balancer says:\n%s",
			after, len(wrong), wrong[0], wrong[len(wrong)-1], w.run("docker", "logs", "--tail", "60", w.container("eu-1-lb-0")))
	}
}

// end stops the load.
func (l *load) end(w *world) {
	w.t.Helper()
	l.stop()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	w.t.Logf("%d requests meanwhile", l.asked)
	if l.asked == 0 {
		w.t.Error("the load asked for nothing")
	}
}
