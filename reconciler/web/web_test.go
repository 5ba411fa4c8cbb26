package web_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/examples"
	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
	"hostctl/reconciler/web"
	"hostctl/schema"
)

const (
	patience = 20 * time.Second
	first    = "1111111111111111111111111111111111111111"
	second   = "2222222222222222222222222222222222222222"
)

// branch is a repository whose commits all hold examples/minimal; the higher number is the newer one.
type branch struct {
	mu      sync.Mutex
	head    string
	changed func()
}

func (b *branch) push(commit string) {
	b.mu.Lock()
	b.head = commit
	changed := b.changed
	b.mu.Unlock()
	if changed != nil {
		changed()
	}
}

func (b *branch) Head(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head == "" {
		return "", reconciler.ErrNoCommit
	}
	return b.head, nil
}

func (b *branch) Resolve(_ context.Context, rev string) (string, error) { return rev, nil }

func (b *branch) Tree(context.Context, string) (schema.Tree, error) {
	tree := schema.MapTree{}
	err := fs.WalkDir(examples.Minimal(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(examples.Minimal(), path)
		tree[path] = string(b)
		return err
	})
	return tree, err
}

func (b *branch) Relation(_ context.Context, x, y string) (reconciler.Relation, error) {
	switch {
	case x == y:
		return reconciler.Same, nil
	case x < y:
		return reconciler.Ahead, nil
	}
	return reconciler.Behind, nil
}

func (b *branch) Watch(ctx context.Context, changed func()) error {
	b.mu.Lock()
	b.changed = changed
	b.mu.Unlock()
	changed()
	<-ctx.Done()
	return nil
}

// hostd is a loop on far sides in memory, behind a socket.
type hostd struct {
	testing.TB
	branch *branch
	far    *memory.Executor
	rec    *reconciler.Reconciler
	loop   *reconciler.Loop
	socket string
	stop   context.CancelFunc
}

// far is a side that can also say what images it holds.
type far struct{ *memory.Executor }

// Watch implements executors.Reporter.
func (far) Watch(ctx context.Context, _ executors.Orders, tell func(executors.Report)) error {
	tell(executors.Report{
		At: time.Now(), Health: []executors.Part{{Name: "service/nginx", Message: "down"}},
		Usage: []executors.Usage{{Tenant: "acme", Processes: 3, Memory: 4096, Disk: -1}},
	})
	<-ctx.Done()
	return ctx.Err()
}

func (far) ImageIDs(_ context.Context, tags []string) (map[string]string, error) {
	ids := map[string]string{}
	for _, t := range tags {
		ids[t] = "sha256:" + t
	}
	return ids, nil
}

func start(t testing.TB) *hostd {
	t.Helper()
	dir := t.TempDir()
	store, err := inventory.Open(t.Context(), filepath.Join(dir, "inventory.db"))
	if err != nil {
		t.Fatal(err)
	}
	h := &hostd{TB: t, branch: &branch{}, far: &memory.Executor{}, socket: filepath.Join(dir, web.SocketName)}
	h.rec = &reconciler.Reconciler{
		Source: h.branch, Inventory: store, Holder: reconciler.Holder{Name: "test"}, Log: slog.New(slog.DiscardHandler),
		Policy:  planner.Policy{AgentBinary: strings.Repeat("5f", 32)},
		Connect: func(planner.Target, reconciler.Session) (executors.Executor, error) { return far{h.far}, nil },
	}
	h.loop = &reconciler.Loop{Reconciler: h.rec, Feed: &reconciler.Feed{}, LookEvery: time.Hour, Backoff: time.Hour}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	ended := make(chan error, 1)
	go func() { ended <- h.loop.Run(ctx) }()
	l, err := net.Listen("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: web.Local(h.loop), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, server.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hostd) dial() *web.Client {
	h.Helper()
	c, err := web.Dial(h.Context(), h.socket)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

// follow follows a commit and returns its events by kind, and the text of the last one.
func (h *hostd) follow(commit string) (kinds map[reconciler.EventKind]int, text string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	kinds = map[reconciler.EventKind]int{}
	err := h.dial().Follow(ctx, commit, func(e reconciler.Event) {
		kinds[e.Kind]++
		text = e.Text
	})
	if err != nil {
		h.Errorf("follow %s: %v", commit, err)
	}
	return kinds, text
}

// converged waits until all is well.
func (h *hostd) converged() {
	h.Helper()
	deadline, tick := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !h.loop.Status().Converged {
		select {
		case <-tick.C:
		case <-deadline:
			h.Fatalf("not converged: %+v", h.loop.Status())
		}
	}
}

func TestFollow(t *testing.T) {
	h := start(t)
	h.branch.push(first)
	kinds, text := h.follow(first)
	if kinds[reconciler.EventPlanned] != 1 || kinds[reconciler.EventApplied] != 1 || kinds[reconciler.EventChange] == 0 {
		t.Errorf("events are %v", kinds)
	}
	if !strings.HasPrefix(text, "applied 111111111111: ") {
		t.Errorf("the last event says %q", text)
	}
	h.branch.push(second)
	h.follow(second)
	h.branch.push(first)
	if kinds, text := h.follow(first); kinds[reconciler.EventRefused] != 1 || len(kinds) != 1 {
		t.Errorf("an older commit: %v %s", kinds, text)
	}
	for _, commit := range []string{"main", "1111", strings.Repeat("g", 40)} {
		err := h.dial().Follow(t.Context(), commit, func(reconciler.Event) {})
		if err == nil || !strings.Contains(err.Error(), "is no commit id") {
			t.Errorf("follow %q: %v", commit, err)
		}
	}
}

// One who follows is let go when hostd stops, and one who goes away is not followed after.
func TestFollowEndsEarly(t *testing.T) {
	h := start(t)
	h.branch.push(first)
	h.follow(first)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.dial().Follow(ctx, second, func(reconciler.Event) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("the one who goes away: %v", err)
	}
	h.stop()
	err := h.dial().Follow(t.Context(), second, func(reconciler.Event) {})
	if err == nil || !strings.Contains(err.Error(), "hostd stopped answering") {
		t.Errorf("hostd stops: %v", err)
	}
}

func TestApply(t *testing.T) {
	h := start(t)
	var refuses atomic.Bool
	h.far.Refuse = func(planner.Object) error {
		if refuses.Load() {
			return errors.New("no")
		}
		return nil
	}
	h.branch.push(first)
	h.follow(first)
	plan := func() []byte {
		p, err := h.rec.Plan(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		b, err := planner.EncodePlan(p)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	apply := func(plan []byte) (last reconciler.Event, changes int, err error) {
		err = h.dial().Apply(t.Context(), plan, func(e reconciler.Event) {
			last = e
			if e.Change != nil {
				changes++
			}
		})
		return last, changes, err
	}
	lose := func() {
		for ref := range h.far.State() {
			if ref.Kind == planner.KindRoute {
				h.far.Lose(ref)
				if _, err := h.rec.Inventory.Gone(t.Context(), []planner.Ref{ref}, "gone"); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatal("there is no route")
	}

	// The loop mends what is lost too: where it comes first, the plan is one of before.
	again := func(last reconciler.Event, err error) bool {
		return err == nil && strings.Contains(last.Text, "changed since the plan was made")
	}

	lose()
	saved := plan()
	last, changes, err := apply(saved)
	for again(last, err) {
		h.converged()
		lose()
		saved = plan()
		last, changes, err = apply(saved)
	}
	if err != nil || last.Kind != reconciler.EventApplied || changes == 0 {
		t.Errorf("a plan: %+v, %d changes, %v", last, changes, err)
	}
	if last, changes, err := apply(saved); err != nil || last.Kind != reconciler.EventRefused || changes > 0 {
		t.Errorf("the plan again: %+v, %d changes, %v", last, changes, err)
	}
	refuses.Store(true)
	lose()
	last, _, err = apply(plan())
	for again(last, err) {
		last, _, err = apply(plan())
	}
	if err != nil || last.Kind != reconciler.EventFailed || !strings.Contains(last.Text, "failed") {
		t.Errorf("a plan that fails: %+v, %v", last, err)
	}
	if _, _, err := apply([]byte("no plan")); err == nil {
		t.Error("what is no plan was taken")
	}
}

func TestStatusAndWake(t *testing.T) {
	h := start(t)
	h.branch.push(first)
	h.follow(first)
	h.converged()
	c := h.dial()
	s, err := c.Status(t.Context())
	if err != nil || s.Head != first || s.Applied != first || !s.Converged || s.Runs != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for ref := range h.far.State() {
		if ref.Kind == planner.KindContainer {
			h.far.Lose(ref)
		}
	}
	if err := c.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for s.Runs < 2 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("nobody has looked")
		}
		if s, err = c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHealth(t *testing.T) {
	h := start(t)
	page := func(path string) (int, string) {
		w := httptest.NewRecorder()
		web.Health(h.loop).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		body, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Code, string(body)
	}
	want := func(path string, code int, text string) {
		t.Helper()
		if c, body := page(path); c != code || !strings.Contains(body, text) {
			t.Errorf("%s answers %d %s", path, c, body)
		}
	}
	want("/healthz", http.StatusOK, "ok")
	want("/readyz", http.StatusServiceUnavailable, "not converged")
	want("/metrics", http.StatusOK, "hostctl_converged 0")
	h.branch.push(first)
	h.follow(first)
	h.converged()
	want("/readyz", http.StatusOK, "converged")
	want("/metrics", http.StatusOK, "hostctl_converged 1")
	want("/metrics", http.StatusOK, "hostctl_runs 1")
	deadline := time.After(patience)
	for len(h.loop.NodeReports()) < 4 {
		select {
		case <-deadline:
			t.Fatal("the nodes aren't watched")
		case <-time.After(2 * time.Millisecond):
		}
	}
	want("/metrics", http.StatusOK, `hostctl_node_part_healthy{node="web-1-0",part="service/nginx"} 0`)
	want("/metrics", http.StatusOK, `hostctl_node_tenant_memory_bytes{node="web-1-0",tenant="acme"} 4096`)
	// What changes something, or shows content, is on the socket only.
	for _, path := range []string{"/local/v1/status", "/local/v1/follow/" + first, "/local/v1/wake", "/local/v1/apply"} {
		want(path, http.StatusNotFound, "")
	}
}

func TestDial(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{dead, filepath.Join(dir, "none.sock")} {
		if _, err := web.Dial(t.Context(), socket); err == nil || !strings.Contains(err.Error(), "no hostd answers at "+socket) {
			t.Errorf("dial %s: %v", socket, err)
		}
	}
	h := start(t)
	c := h.dial()
	h.socket = dead
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("a client that has dialed: %v", err)
	}
}
