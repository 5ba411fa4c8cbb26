package git_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
	"hostctl/schema"
)

const token = "ghp_canary" //nolint:gosec // of the test's own server

// remote is a repository with one commit that is served over HTTPS, and a mirror's view of it.
type remote struct {
	*gittest.Repo
	*gittest.Server
	how   git.Remote
	dir   string
	log   *logged
	first string // the commit
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	root, secrets := t.TempDir(), t.TempDir()
	r := &remote{Repo: gittest.New(t, root, "platform.git"), log: &logged{}, dir: filepath.Join(t.TempDir(), "repository.git")}
	r.Server = gittest.Serve(t, root, gittest.Options{Token: token, TLS: true})
	r.how = git.Remote{
		URL: r.URL + "/platform.git", Branch: "main", Every: time.Hour, Stall: 30 * time.Second,
		TokenFile: filepath.Join(secrets, "token"), CAFile: filepath.Join(secrets, "ca.pem"),
	}
	put(t, r.how.TokenFile, token+"\n")
	put(t, r.how.CAFile, string(r.CA))
	r.Write("platform/platform.yaml", "apiVersion: hosting/v1\nkind: Platform\nmetadata: {name: p}\n")
	r.first = r.Commit("first")
	r.Push("HEAD:main")
	t.Cleanup(func() {
		if strings.Contains(r.log.String(), token) {
			t.Errorf("the log holds the token: %s", r.log.String())
		}
	})
	return r
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *remote) open(t *testing.T) *git.Mirror {
	t.Helper()
	m, err := git.OpenMirror(t.Context(), r.how, r.dir, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// logged is a log that is written and read at once.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// follow has a mirror watch until the test ends.
func follow(t *testing.T, m *git.Mirror) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Watch(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}

// until hints and looks, until what is looked at is so.
func until(t *testing.T, m *git.Mirror, what string, so func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !so() {
		m.Hint()
		select {
		case <-deadline:
			head, err := m.Head(t.Context())
			t.Fatalf("%s isn't so: at %s, %v; %+v", what, head, err, m.Remote())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func untilHead(t *testing.T, m *git.Mirror, want string) {
	t.Helper()
	until(t, m, "the head "+want, func() bool {
		head, err := m.Head(t.Context())
		return err == nil && head == want
	})
}

// A mirror follows a branch over HTTPS wherever it goes, and reads the same files.
func TestMirror(t *testing.T) {
	r := newRemote(t)
	m := r.open(t)
	if head, err := m.Head(t.Context()); err != nil || head != r.first {
		t.Fatalf("it opens at %s, %v; want %s", head, err, r.first)
	}
	follow(t, m)
	r.Write("tenants/acme/acme.yaml", "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: acme}\n")
	second := r.Commit("second")
	r.Push("HEAD:main")
	untilHead(t, m, second)
	if entries, err := treeAt(t, m.Source, second).(schema.Folders).Folder("tenants"); err != nil || len(entries) != 1 {
		t.Errorf("below tenants it reads %v, %v", entries, err)
	}
	if got, err := m.Relation(t.Context(), r.first, second); err != nil || got != reconciler.Ahead {
		t.Errorf("the second commit is %s of the first, %v", got, err)
	}

	r.Git("checkout", "--quiet", "--orphan", "another") // history is rewritten
	other := r.Commit("all new")
	r.Push("--force", "HEAD:main")
	untilHead(t, m, other)
	if got, err := m.Relation(t.Context(), second, other); err != nil || got != reconciler.Diverged {
		t.Errorf("the new history is %s of the old, %v", got, err)
	}
	if _, err := m.Tree(t.Context(), second); err != nil {
		t.Errorf("what was applied before can't be read: %v", err)
	}
	third := r.Commit("third")
	r.Push("HEAD:main")
	deadline := time.After(time.Minute)
	for _, err := m.Tree(t.Context(), third); err != nil; _, err = m.Tree(t.Context(), third) { // who asks for it has it fetched
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	gittest.Git(t, r.dir, "fsck", "--full", "--strict")
	if s := m.Remote(); s.Error != "" || s.Read.IsZero() || s.URL != r.how.URL {
		t.Errorf("it tells %+v", s)
	}
}

// While nothing changes, a look is one request; a change takes one more.
func TestMirrorRequests(t *testing.T) {
	r := newRemote(t)
	m := r.open(t)
	r.Requests()
	follow(t, m)
	var asked []string
	until(t, m, "three looks", func() bool {
		asked = append(asked, r.Requests()...)
		return len(asked) >= 3
	})
	for _, a := range asked {
		if a != "GET /platform.git/info/refs?service=git-upload-pack" {
			t.Errorf("it asks %s where nothing has changed", a)
		}
	}
	want := r.Commit("second")
	r.Push("HEAD:main")
	untilHead(t, m, want)
	posts := 0
	for _, a := range r.Requests() {
		if strings.HasPrefix(a, "POST") {
			posts++
		}
	}
	if posts != 1 {
		t.Errorf("it asked for objects %d times for one change", posts)
	}
}

// What the remote does wrong is told, with the way out, and changes nothing of what was read (G8).
func TestG08_RemoteFails(t *testing.T) {
	r := newRemote(t)
	m := r.open(t)
	follow(t, m)
	elsewhere := gittest.Serve(t, t.TempDir(), gittest.Options{})
	half := func(w http.ResponseWriter, req *http.Request) bool { // the pack breaks off
		if req.Method != http.MethodPost {
			return false
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		fmt.Fprint(w, "0008NAK\n0010\x01PACK\x00\x00\x00\x02\x00\x00")
		return true
	}
	page := func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, "<html>log in, "+token)
		return true
	}
	empty := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		return true
	}
	want := r.Commit("second")
	r.Push("HEAD:main")
	for _, c := range []struct {
		name  string
		fault gittest.Fault
		want  string
	}{
		{"503", gittest.Status(503), "it answers 503"},
		{"404", gittest.Status(404), "there is no repository of that name"},
		{"401", gittest.Status(401), "put another one into the file of --repo-token"},
		{"redirect", gittest.Redirect(elsewhere.URL), "which isn't followed, for the token would go there"},
		{"page", page, "no git server"},
		{"nothing", empty, "it sends nothing"},
		{"half", half, "read what it sends"},
	} {
		r.Break(c.fault)
		until(t, m, c.name, func() bool { return strings.Contains(m.Remote().Error, c.want) })
		if strings.Contains(m.Remote().Error, token) {
			t.Errorf("%s: the error holds the token: %s", c.name, m.Remote().Error)
		}
		if head, err := m.Head(t.Context()); err != nil || head != r.first {
			t.Errorf("%s: the head is %s, %v; want %s", c.name, head, err, r.first)
		}
		treeAt(t, m.Source, r.first)
	}
	if got := elsewhere.Requests(); len(got) > 0 {
		t.Errorf("it went where it was redirected: %q", got)
	}
	r.Break(nil)
	untilHead(t, m, want)
	until(t, m, "that the log says so", func() bool { return strings.Contains(r.log.String(), "is read again") })
	if left, err := filepath.Glob(filepath.Join(r.dir, "tmp_*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %q, %v", left, err)
	}
	if n := strings.Count(r.log.String(), "can't be read"); n != 1 {
		t.Errorf("it logs %d times that the remote can't be read: %s", n, r.log)
	}
	if n := strings.Count(r.log.String(), "is read again"); n != 1 {
		t.Errorf("it logs %d times that the remote is read again", n)
	}
}

// A branch that is deleted at the remote stays here.
func TestG08_RemoteBranchGone(t *testing.T) {
	r := newRemote(t)
	m := r.open(t)
	follow(t, m)
	gittest.Git(t, r.Bare, "update-ref", "-d", "refs/heads/main")
	until(t, m, "that it is gone", func() bool { return strings.Contains(m.Remote().Error, "the branch is gone there") })
	if head, err := m.Head(t.Context()); err != nil || head != r.first {
		t.Errorf("the head is %s, %v; want %s", head, err, r.first)
	}
	r.Push("HEAD:main")
	until(t, m, "that it is back", func() bool { return m.Remote().Error == "" })
}

// A remote that was never read isn't one without commits, and one without commits is.
func TestG08_RemoteNeverRead(t *testing.T) {
	r := newRemote(t)
	r.Break(gittest.Status(500))
	m := r.open(t)
	if head, err := m.Head(t.Context()); err == nil || errors.Is(err, reconciler.ErrNoCommit) || !strings.Contains(err.Error(), "500") {
		t.Errorf("a remote that fails: %q, %v", head, err)
	}
	follow(t, m)
	r.Break(nil)
	untilHead(t, m, r.first)

	gittest.New(t, filepath.Dir(r.Bare), "empty.git")
	r.how.URL, r.dir = r.URL+"/empty.git", filepath.Join(t.TempDir(), "m")
	if head, err := r.open(t).Head(t.Context()); !errors.Is(err, reconciler.ErrNoCommit) {
		t.Errorf("an empty one: %q, %v; want %v", head, err, reconciler.ErrNoCommit)
	}
}

// A remote that hangs is cut, wherever it hangs, and nobody else waits for it.
func TestMirrorHangs(t *testing.T) {
	r := newRemote(t)
	r.open(t)
	r.how.Stall = time.Second
	m := r.open(t)
	follow(t, m)
	want := r.Commit("second")
	r.Push("HEAD:main")
	pack := func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost {
			return false
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		fmt.Fprint(w, "0008NAK\n")
		_ = http.NewResponseController(w).Flush()
		return r.Hang(w, req)
	}
	for name, fault := range map[string]gittest.Fault{"references": r.Hang, "objects": pack} {
		r.Break(nil)
		r.Break(fault)
		until(t, m, name, func() bool { return strings.Contains(m.Remote().Error, "cut, for nothing came for 1s") })
		if head, err := m.Head(t.Context()); err != nil || head != r.first {
			t.Errorf("%s: the head is %s, %v", name, head, err)
		}
	}
	if _, err := m.Fetch(t.Context(), "refs/heads/main"); err == nil || !strings.Contains(err.Error(), "cut, for nothing came") {
		t.Errorf("Fetch: %v", err)
	}
	r.Break(nil)
	untilHead(t, m, want)
	until(t, m, "that no request hangs on", func() bool { return r.Hanging() == 0 })
}

// The token is read anew when it is used.
func TestMirrorToken(t *testing.T) {
	r := newRemote(t)
	for text, want := range map[string]string{"other": "the token isn't valid", "": "something else than one token", "a b": "something else than one token", "\x00": "something else than one token"} {
		put(t, r.how.TokenFile, text)
		if m := r.open(t); !strings.Contains(m.Remote().Error, want) {
			t.Errorf("token %q: %q, want %q", text, m.Remote().Error, want)
		}
	}
	m := r.open(t)
	follow(t, m)
	put(t, r.how.TokenFile, token)
	untilHead(t, m, r.first)
	how := r.how
	how.CAFile = ""
	m, err := git.OpenMirror(t.Context(), how, filepath.Join(t.TempDir(), "m"), slog.New(slog.DiscardHandler))
	if err != nil || !strings.Contains(m.Remote().Error, "certificate") {
		t.Errorf("a certificate that nobody vouches for: %+v, %v", m.Remote(), err)
	}
}

// The heads of pull requests are brought, kept apart from branches, and forgotten.
func TestMirrorFetch(t *testing.T) {
	r := newRemote(t)
	m := r.open(t)
	heads := map[string]string{}
	for _, ref := range []string{"refs/pull/1/head", "refs/pull/2/head"} {
		r.Git("checkout", "--quiet", "--detach", r.first)
		r.Write("of.yaml", ref)
		heads[ref] = r.Commit(ref)
		r.Push("HEAD:" + ref)
	}
	got, err := m.Fetch(t.Context(), "refs/pull/1/head", "refs/pull/3/head", "refs/pull/2/head")
	if err != nil || !maps.Equal(got, heads) {
		t.Errorf("it brings %v, %v; want %v", got, err, heads)
	}
	for ref, want := range heads {
		if got, err := m.Resolve(t.Context(), git.PreviewRef(ref)); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", ref, got, err, want)
		}
	}
	gittest.Git(t, r.Bare, "update-ref", "-d", "refs/pull/1/head")
	if got, err := m.Fetch(t.Context(), "refs/pull/1/head"); err != nil || len(got) > 0 {
		t.Errorf("a reference that is gone: %v, %v", got, err)
	}
	if err := m.Forget(t.Context(), "refs/pull/2/head", "refs/pull/9/head"); err != nil {
		t.Error(err)
	}
	for ref := range heads {
		if got, err := m.Resolve(t.Context(), git.PreviewRef(ref)); !errors.Is(err, git.ErrNoRevision) {
			t.Errorf("%s is still %s, %v", ref, got, err)
		}
	}
	if head, err := m.Head(t.Context()); err != nil || head != r.first {
		t.Errorf("the head is %s, %v", head, err)
	}
	for _, ref := range []string{"main", "refs/../x", "--all", ""} {
		if _, err := m.Fetch(t.Context(), ref); err == nil {
			t.Errorf("Fetch takes %q", ref)
		}
	}
}

// A mirror of which something was lost is filled again, and one with the leavings of a killed fetch opens.
func TestMirrorHeals(t *testing.T) {
	r := newRemote(t)
	r.open(t)
	packs, err := filepath.Glob(filepath.Join(r.dir, "objects", "pack", "*"))
	if err != nil || len(packs) < 2 {
		t.Fatalf("%q, %v", packs, err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"tmp_fetch_1": "", "refs/heads/main": r.first + "\n", "objects/pack/pack-" + strings.Repeat("1", 40) + ".idx": "half"} {
		put(t, filepath.Join(r.dir, name), text)
	}
	m := r.open(t)
	follow(t, m)
	until(t, m, "what was lost", func() bool {
		_, err := m.Tree(t.Context(), r.first)
		return err == nil
	})
	put(t, filepath.Join(r.dir, "refs/heads/main"), "") // as after a crash of the machine
	until(t, m, "the branch", func() bool {
		head, err := m.Head(t.Context())
		return err == nil && head == r.first
	})
}
