package forge_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/examples"
	"hostctl/reconciler/forge"
	"hostctl/reconciler/forge/forgetest"
	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
	"hostctl/tests/inmemory"
)

// world is a platform whose config repository a forge holds: a real bare repository, the forge's API in front of it, an
// inventory in which the branch is applied, and the previews.
type world struct {
	testing.TB
	*forgetest.Server
	repo     *gittest.Repo
	platform inmemory.World

	repository forge.Repository // nil: the forge's own
	previews   *forge.Previews
	logs       *logs
	stop       func() error
	number     int // of the latest pull request
}

const instance = "0123456789abcdef0123456789abcdef"

func newWorld(t testing.TB, kind forge.Kind) *world {
	t.Helper()
	w := stillWorld(t, kind)
	w.start(w.newPreviews(filepath.Join(t.TempDir(), "previews")))
	t.Cleanup(func() { w.must(w.stop()) })
	return w
}

// stillWorld is a world in which nothing previews yet.
func stillWorld(t testing.TB, kind forge.Kind) *world {
	t.Helper()
	root := t.TempDir()
	w := &world{TB: t, repo: gittest.New(t, root, "platform.git"), logs: &logs{}}
	err := fs.WalkDir(examples.Minimal(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(examples.Minimal(), path)
		w.repo.Write(path, strings.Replace(string(b), "webroots: 2, fqdns: 10, zones: 1, records: 50", "webroots: 2000, records: 2000", 1))
		return err
	})
	w.must(err)
	w.repo.Commit("A platform")
	w.repo.Push("HEAD:main")
	agent := filepath.Join(root, "node-agent")
	w.must(os.WriteFile(agent, []byte("nothing runs it here\n"), 0o755))
	p := inmemory.Platform{Repo: w.repo.Bare, State: filepath.Join(root, "state"), Agent: agent}
	_, err = inmemory.Apply(t.Context(), p)
	w.must(err)
	w.platform, err = inmemory.Open(t.Context(), p)
	w.must(err)
	t.Cleanup(func() { w.must(w.platform.Close()) })
	w.Server = forgetest.Serve(t, kind, w.repo)
	return w
}

func (w *world) newPreviews(dir string) *forge.Previews {
	w.Helper()
	far, err := forge.New(forge.Options{Kind: w.Kind, URL: w.URL, Project: forgetest.Project, Token: func() (string, error) { return forgetest.Token, nil }})
	w.must(err)
	repository := w.repository
	if repository == nil {
		source, err := git.Open(w.repo.Bare, "main")
		w.must(err)
		repository = forge.Here{Source: source}
	}
	return &forge.Previews{
		Forge: far, Repository: repository, Planner: w.platform, Dir: dir, Branch: "main", Instance: instance, Context: "hostctl",
		Poll: time.Hour, Log: slog.New(slog.NewTextHandler(w.logs, nil)),
	}
}

// start has previews run until w.stop is called.
func (w *world) start(p *forge.Previews) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	w.previews = p
	w.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// logs is what the previews log.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// commit makes a commit of a file on top of the branch main as it is, and returns it.
func (w *world) commit(file, text string) string {
	w.Helper()
	w.repo.Git("checkout", "--quiet", "--detach", "main")
	w.repo.Git("reset", "--quiet", "--hard")
	return w.more(file, text)
}

// more makes a commit of a file on top of the last one.
func (w *world) more(file, text string) string {
	w.Helper()
	w.repo.Write(file, text)
	return w.repo.Commit("Change " + file)
}

// moveMain pushes a commit of a file to the branch main.
func (w *world) moveMain(file, text string) {
	w.Helper()
	id := w.commit(file, text)
	w.repo.Git("branch", "--force", "main", id)
	w.repo.Push("--force", id+":main")
}

// open opens a pull request of a commit, and tells the previews.
func (w *world) open(commit string) (number int) {
	w.Helper()
	w.number++
	w.Open(w.number, commit)
	w.previews.Look(w.number)
	return w.number
}

// patience is how long anything may take.
const patience = 60 * time.Second

func (w *world) until(what string, ok func() bool) {
	w.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("waited in vain: %s; statuses %v\n%s\n%s", what, w.statusesNow(), w.Requests(), w.logs)
		}
	}
}

// status waits until a commit's newest status begins as wanted.
func (w *world) status(commit, state, description string) {
	w.Helper()
	var last forgetest.Status
	w.until(fmt.Sprintf("status %s %q", state, description), func() bool {
		if all := w.Statuses(commit); len(all) > 0 {
			last = all[len(all)-1]
		}
		return last.State == w.word(state) && strings.HasPrefix(last.Description, description)
	})
}

// word is the forge's word for a state.
func (w *world) word(state string) string {
	if w.Kind == forge.GitLab && (state == "failure" || state == "error") {
		return "failed"
	}
	return state
}

// said waits until the one comment of ours holds a text, and returns it.
func (w *world) said(number int, text string) forgetest.Comment {
	w.Helper()
	var found forgetest.Comment
	w.until(fmt.Sprintf("comment with %q", text), func() bool {
		n := 0
		for _, c := range w.Comments(number) {
			if c.Login == forgetest.Login {
				found = c
				n++
			}
		}
		if n > 1 {
			w.Fatalf("there are %d comments of ours", n)
		}
		return n == 1 && strings.Contains(found.Body, text)
	})
	return found
}

func webroot(name string) string {
	return "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: " + name + "}\nspec:\n  runtime: {type: static}\n"
}

// statusesNow are those of the newest commit, for a test that fails.
func (w *world) statusesNow() []forgetest.Status {
	return w.Statuses(w.repo.Git("rev-parse", "HEAD"))
}
