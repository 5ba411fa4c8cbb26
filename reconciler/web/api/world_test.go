package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/examples"
	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
	"hostctl/reconciler/web/api"
	"hostctl/schema"
)

const patience = time.Minute

// repo is a repository in memory; each commit follows the one before.
type repo struct {
	mu      sync.Mutex
	commits []commit
	changed func()
}

type commit struct {
	tree    schema.MapTree
	subject string
	folders []string
}

func commitID(n int) string { return fmt.Sprintf("%040x", n) }

func (r *repo) push(c commit) string {
	r.mu.Lock()
	r.commits = append(r.commits, c)
	n, changed := len(r.commits), r.changed
	r.mu.Unlock()
	if changed != nil {
		changed()
	}
	return commitID(n)
}

func (r *repo) number(id string) int {
	for n := range r.commits {
		if commitID(n+1) == id {
			return n + 1
		}
	}
	return 0
}

func (r *repo) Head(context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.commits) == 0 {
		return "", reconciler.ErrNoCommit
	}
	return commitID(len(r.commits)), nil
}

func (r *repo) Resolve(_ context.Context, rev string) (string, error) { return rev, nil }

func (r *repo) Tree(_ context.Context, id string) (schema.Tree, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.number(id); n > 0 {
		return r.commits[n-1].tree, nil
	}
	return nil, fmt.Errorf("no commit %s", id)
}

func (r *repo) Relation(_ context.Context, a, b string) (reconciler.Relation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch x, y := r.number(a), r.number(b); {
	case a == b:
		return reconciler.Same, nil
	case x == 0 || y == 0:
		return reconciler.Diverged, nil
	case x < y:
		return reconciler.Ahead, nil
	}
	return reconciler.Behind, nil
}

func (r *repo) Watch(ctx context.Context, changed func()) error {
	r.mu.Lock()
	r.changed = changed
	r.mu.Unlock()
	changed()
	<-ctx.Done()
	return nil
}

// History implements reconciler.Historian.
func (r *repo) History(_ context.Context, from, path string, limit int) (out []reconciler.CommitInfo, next string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := r.number(from); n > 0; n-- {
		if len(out) == limit {
			return out, commitID(n), nil
		}
		before := ""
		if n > 1 {
			before = r.commits[n-2].tree[path]
		}
		if c := r.commits[n-1]; c.tree[path] != before {
			out = append(out, reconciler.CommitInfo{Commit: commitID(n), Author: "Ann", Time: "2026-01-02T03:04:05Z", Subject: c.subject, Folders: c.folders})
		}
	}
	return out, "", nil
}

// far is a side in memory that has every image, fails where it is told to, and drifts.
type far struct {
	*memory.Executor
}

func (far) ImageIDs(_ context.Context, tags []string) (map[string]string, error) {
	ids := map[string]string{}
	for _, t := range tags {
		ids[t] = "sha256:" + t
	}
	return ids, nil
}

// Watch implements executors.Reporter.
func (far) Watch(ctx context.Context, _ executors.Orders, tell func(executors.Report)) error {
	tell(executors.Report{At: time.Now(), Health: []executors.Part{{Name: "service/nginx", OK: true}}, Usage: []executors.Usage{{Tenant: "globex", Memory: 4096}}})
	<-ctx.Done()
	return ctx.Err()
}

// world is a hostd on far sides in memory, with its API.
type world struct {
	testing.TB
	dir    string
	repo   *repo
	far    *memory.Executor
	loop   *reconciler.Loop
	api    *api.API
	tokens map[string]string // by scope
}

// newWorld starts a world. What is left to be cleaned up is returned, for worlds within one test.
func newWorld(t testing.TB, dir string) (w *world, end func()) {
	t.Helper()
	store, err := inventory.Open(context.Background(), filepath.Join(dir, "inventory.db"))
	must(t, err)
	w = &world{TB: t, dir: dir, repo: &repo{}, far: &memory.Executor{}, tokens: map[string]string{}}
	log := slog.New(slog.DiscardHandler)
	rec := &reconciler.Reconciler{
		Source: w.repo, Inventory: store, Holder: reconciler.Holder{Name: "hostd@machine-7:1"}, Log: log, Cache: schema.NewCache(), Memo: &planner.Memo{},
		Policy: planner.Policy{AgentBinary: strings.Repeat("5f", 32), AllowDestroy: []string{
			"Tenant/*", "*/Zone/*", "route/*", "rrset/*", "webroot/*", "container/*", "vhost/*", "user/*",
		}},
		Connect: func(planner.Target, reconciler.Session) (executors.Executor, error) { return far{w.far}, nil },
	}
	w.loop = &reconciler.Loop{Reconciler: rec, Feed: &reconciler.Feed{}, LookEvery: time.Hour, ObserveEvery: time.Hour, Backoff: time.Hour}
	w.api = &api.API{Loop: w.loop, Store: store, Tokens: api.OpenTokens(dir), Audit: api.OpenAudit(dir), Log: log}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.loop.Run(ctx) }()
	return w, func() {
		stop()
		if err := errors.Join(<-ended, store.Close(), w.api.Audit.Close()); err != nil {
			t.Error(err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// platform returns examples/minimal without its tenant, and with more room.
func platform() schema.MapTree {
	tree := schema.MapTree{}
	err := fs.WalkDir(examples.Minimal(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, "tenants/") {
			return err
		}
		b, err := fs.ReadFile(examples.Minimal(), path)
		tree[path] = string(b)
		return err
	})
	if err != nil {
		panic(err)
	}
	return tree
}

// tenant is the folder of a tenant in whose every value its name is.
func tenant(name string, sites int) map[string]string {
	files := map[string]string{"tenants/" + name + "/tenant.yaml": fmt.Sprintf(`apiVersion: hosting/v1
kind: Tenant
metadata: {name: %[1]s, labels: {of: %[1]s}}
spec: {plan: small, shards: {web: web-1}, contact: it@%[1]s.example}
---
apiVersion: hosting/v1
kind: Zone
metadata: {name: zone}
spec:
  domain: %[1]s.test
  records:
    - {name: mark, type: TXT, values: ["mark of %[1]s"]}
`, name)}
	for i := range sites {
		files[fmt.Sprintf("tenants/%s/site-%d.yaml", name, i)] = fmt.Sprintf(`apiVersion: hosting/v1
kind: Webroot
metadata: {name: site-%[2]d}
spec:
  runtime: {type: static}
  redirects: [{from: /to, to: "https://%[1]s.example/"}]
  fqdns: [s%[2]d.%[1]s.test]
`, name, i)
	}
	return files
}

// apply pushes a commit and waits until it is tried.
func (w *world) apply(c commit) string {
	w.Helper()
	id := w.repo.push(c)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(w, w.loop.Follow(ctx, id, func(reconciler.Event) error { return nil }))
	return id
}

// token returns a token of a scope.
func (w *world) token(scope string) string {
	w.Helper()
	if w.tokens[scope] == "" {
		s, err := w.api.Tokens.Create("for-"+strings.ReplaceAll(scope, ":", "-"), api.Scope(scope), time.Time{})
		must(w, err)
		w.tokens[scope] = s
	}
	return w.tokens[scope]
}

// get asks for a path below /api/v1 with a token; "" for none.
func (w *world) get(token, path string, header ...string) *httptest.ResponseRecorder {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1"+path, http.NoBody)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	out := httptest.NewRecorder()
	w.api.ServeHTTP(out, r)
	return out
}

// ask is get with any method, and a body.
func (w *world) ask(method, token, path, body string) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, "/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	out := httptest.NewRecorder()
	w.api.ServeHTTP(out, r)
	return out
}

// read asks for a path and reads the answer.
func read[T any](w *world, token, path string) (v T) {
	w.Helper()
	out := w.get(token, path)
	if out.Code != http.StatusOK {
		w.Fatalf("GET %s: %d %s", path, out.Code, out.Body)
	}
	d := json.NewDecoder(bytes.NewReader(out.Body.Bytes()))
	d.DisallowUnknownFields()
	must(w, d.Decode(&v))
	return v
}

// two is a world with two tenants, in which three commits were applied.
func two(t testing.TB) *world {
	t.Helper()
	w, end := newWorld(t, t.TempDir())
	t.Cleanup(end)
	tree := platform()
	add := func(files map[string]string) {
		tree = clone(tree)
		for name, text := range files {
			tree[name] = text
		}
	}
	add(tenant("acme", 2))
	w.apply(commit{tree, "the platform and acme", []string{"clusters/eu-1", "platform", "tenants/acme"}})
	add(tenant("globex", 1))
	w.apply(commit{tree, "globex", []string{"tenants/globex"}})
	add(map[string]string{"tenants/acme/site-0.yaml": strings.ReplaceAll(tree["tenants/acme/site-0.yaml"], "/to", "/elsewhere")})
	w.apply(commit{tree, "acme alone", []string{"tenants/acme"}})
	if s := w.loop.Status(); !s.Converged {
		t.Fatalf("not converged: %+v", s)
	}
	return w
}

func clone(t schema.MapTree) schema.MapTree {
	out := schema.MapTree{}
	for k, v := range t {
		out[k] = v
	}
	return out
}

// paths are paths of every route, filled in with what there is, for a token of the platform. The streams of events aren't
// among them.
func (w *world) paths() []string {
	w.Helper()
	operator := w.token("platform")
	var out []string
	for _, r := range api.Routes() {
		switch path := r.Path; {
		case r.Stream || path == "/openapi.json":
		case strings.Contains(path, "{kind}"):
			for _, res := range read[api.Page[api.Resource]](w, operator, "/resources?limit=1000").Items {
				p := strings.NewReplacer("{kind}", string(res.Kind), "{name}", url.PathEscape(res.Name)).Replace(path)
				if res.Tenant != "" {
					p += "?tenant=" + res.Tenant
				}
				out = append(out, p)
			}
		case strings.Contains(path, "{ref...}"):
			for _, o := range read[api.Page[api.Object]](w, operator, "/objects?limit=1000").Items {
				out = append(out, "/objects/"+o.Ref.String())
			}
		case strings.Contains(path, "{run}"):
			for _, r := range read[api.Page[api.Run]](w, operator, "/runs?limit=1000").Items {
				out = append(out, strings.ReplaceAll(path, "{run}", fmt.Sprint(r.ID)))
			}
		case path == "/why":
			for _, o := range read[api.Page[api.Object]](w, operator, "/objects?limit=1000").Items {
				out = append(out, "/why?name="+o.Ref.String())
				if o.Ref.Kind == planner.KindRoute {
					out = append(out, "/why?name="+o.Ref.Name)
				}
			}
		default:
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// served are the first words of the routes' paths.
func (w *world) served() []string {
	var all []string
	for _, r := range api.Routes() {
		all = append(all, "/"+strings.Split(r.Path, "/")[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
