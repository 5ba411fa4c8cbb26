package faults

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// engineProxy stands between hostd and the Docker engine. It is slow, and it cuts requests off: before the engine has
// heard of them, or after it has done them.
type engineProxy struct {
	t       *testing.T
	proxy   *httputil.ReverseProxy
	fate    uint32 // decides which requests are cut
	delay   time.Duration
	mu      sync.Mutex
	offered map[string]bool // what could be cut, and whether it was
}

// errCut is a request that the proxy has cut.
var errCut = errors.New("cut off")

// newEngineProxy serves at a socket until the test ends.
func newEngineProxy(t *testing.T, socket string) *engineProxy {
	t.Helper()
	p := &engineProxy{t: t, fate: random(t.Name()).Uint32(), delay: 30 * time.Millisecond, offered: map[string]bool{}}
	p.proxy = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: dialEngine},
		FlushInterval: -1, // events are a stream
		ModifyResponse: func(r *http.Response) error {
			if p.cuts(r.Request, "after") {
				return errCut
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { hangUp(w) },
	}
	l, err := net.Listen("unix", socket)
	must(t, err)
	s := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return p
}

func dialEngine(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", engineSocket)
}

// ServeHTTP implements http.Handler.
func (p *engineProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
		return
	case <-time.After(p.delay):
	}
	if p.cuts(r, "before") {
		hangUp(w)
		return
	}
	p.proxy.ServeHTTP(w, r)
}

// hangUp closes a connection without an answer.
func hangUp(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			_ = c.Close()
		}
	}
}

// ids are what differs between two requests that do the same.
var ids = regexp.MustCompile(`[0-9a-f]{64}|^/v[0-9.]+`)

// cuts decides whether a request that changes something is cut off: each kind of request at most once before and once
// after it is done, one in four of them in a sample.
func (p *engineProxy) cuts(r *http.Request, when string) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	key := fmt.Sprintf("%s %s %s?%s", when, r.Method, ids.ReplaceAllString(r.URL.Path, "ID"), r.URL.RawQuery)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, before := p.offered[key]; before {
		return false
	}
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, key, p.fate) // never fails
	p.offered[key] = all || h.Sum32()%4 == 0
	if p.offered[key] {
		p.t.Logf("cut off %s", key)
	}
	return p.offered[key]
}

// TestG04_DockerSlowAndCutOff makes a platform and changes it, with an engine that is slow and whose answers get lost.
func TestG04_DockerSlowAndCutOff(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	socket := filepath.Join(w.Dir, "docker.sock")
	p := newEngineProxy(t, socket)
	w.replace("unix://"+engineSocket, "unix://"+socket)
	w.startHostd()
	w.commit("A platform with two tenants")
	w.insisting()
	w.look()
	w.right("the first run")
	w.check("the first run")
	load := w.startLoad()
	for _, name := range []string{"every web node made anew", "a third web node"} {
		e, id := editNamed(name), w.nextID()
		for _, s := range []step{{edit: e}, {edit: e, undo: true}} {
			s.take(w, id)
			w.insisting()
			w.right(s.String())
			w.check(s.String())
			load.wantNone(w, s.String())
		}
	}
	load.end(w)
	cut := 0
	for _, was := range p.offered {
		if was {
			cut++
		}
	}
	t.Logf("%d requests were cut off, of %d that could be", cut, len(p.offered))
}

// insisting waits until hostd is converged, and has it try again at once where it would wait after a failure.
func (w *world) insisting() {
	w.t.Helper()
	head := strings.TrimSpace(w.run("git", "--git-dir", w.Repo(), "rev-parse", "main"))
	must(w.t, platform.Until(w.t.Context(), 2*patience, func() error {
		s, err := w.hostdStatus()
		if err == nil && !s.NextAttempt.IsZero() {
			err = w.client.Wake(w.t.Context())
		}
		if err == nil && (!s.Converged || s.Applied != head) {
			err = fmt.Errorf("not converged: %s", s.Message)
		}
		return err
	}))
}
