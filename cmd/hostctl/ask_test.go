package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

// answering is a hostd that plans for others, and applies nothing. It counts what it was asked.
type answering struct {
	*http.Server
	platform *wire.Platform
	loop     *reconciler.Loop // that doesn't run
	asked    atomic.Int64
	followed atomic.Int64
	socket   string
}

func (p place) answering() *answering {
	p.t.Helper()
	ctx := context.Background()
	platform, err := wire.Open(ctx, wire.Config{
		State: p.state, Agent: filepath.Dir(p.repo) + "/node-agent", Repo: p.repo + ".git", Branch: "main", Program: "hostd", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	platform.Connect = gatedBy(p.gate)
	a := &answering{
		platform: platform, socket: filepath.Join(p.state, web.SocketName),
		loop: &reconciler.Loop{Reconciler: platform.Reconciler, Feed: &reconciler.Feed{}},
	}
	local := web.Local(a.loop)
	a.Server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/local/v1/plan":
			a.asked.Add(1)
		case strings.HasPrefix(r.URL.Path, "/local/v1/follow/"):
			a.followed.Add(1)
		}
		local.ServeHTTP(w, r)
	})}
	p.t.Cleanup(func() { _ = errors.Join(a.Close(), platform.Close()) })
	a.listen(p.t)
	return a
}

func (a *answering) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", a.socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = a.Serve(l) }()
}

// aside hides the socket while fn runs, so that everything has to plan by itself.
func (a *answering) aside(t *testing.T, fn func()) {
	t.Helper()
	hidden := a.socket + ".hidden"
	if err := os.Rename(a.socket, hidden); err != nil {
		t.Fatal(err)
	}
	fn()
	if err := os.Rename(hidden, a.socket); err != nil {
		t.Fatal(err)
	}
}

func (p place) git(args ...string) (string, error) {
	cmd := exec.CommandContext(p.t.Context(), "git", append([]string{"-C", p.repo}, args...)...)
	cmd.Env = append(slices.Clone(p.env), "GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@hosting.test", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@hosting.test")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p place) mustGit(args ...string) string {
	p.t.Helper()
	out, err := p.git(args...)
	if err != nil {
		p.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func (p place) edit(file, text string) {
	p.t.Helper()
	file = filepath.Join(p.repo, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		p.t.Fatal(err)
	}
}

// applied pushes what is committed, and applies it.
func (p place) applied() {
	p.t.Helper()
	p.mustGit("push", "--quiet", "origin", "HEAD:main")
	p.hostctl("apply", "-C", p.repo, "-yes")
}

// A push says the same, plan or refusal, whether hostd plans it or the hook does, and so does every plan of a commit.
func TestHostdPlansWhatIsAsked(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for i := range 12 {
		p.edit(fmt.Sprintf("tenants/t%d/t.yaml", i), tenantFile(fmt.Sprintf("t%d", i), 0))
	}
	p.mustGit("add", "--all")
	p.mustGit("commit", "--quiet", "-m", "Tenants")
	p.applied()
	hostd := p.answering()
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const pushes = 8
	for range pushes {
		p.randomEdit(random)
		p.mustGit("add", "--all")
		p.mustGit("commit", "--quiet", "--allow-empty", "-m", "An edit"+[]string{"", "\n\nAllow-Destroy: Tenant/*"}[random.IntN(2)])
		head := strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))
		cold, coldErr := "", error(nil)
		hostd.aside(t, func() { cold, coldErr = p.push() })
		before := hostd.asked.Load()
		warm, warmErr := p.push()
		if hostd.asked.Load() != before+1 {
			t.Fatalf("hostd was asked %d times, want once", hostd.asked.Load()-before)
		}
		if warm != cold || fmt.Sprint(warmErr) != fmt.Sprint(coldErr) {
			t.Fatalf("the push says (%v)\n%s\nand without hostd (%v)\n%s", warmErr, warm, coldErr, cold)
		}
		if strings.Contains(cold, "pre-receive hook declined") {
			refused++
			p.mustGit("reset", "--quiet", "--hard", "HEAD~1")
			continue
		}
		p.mustGit("push", "--quiet", "origin", "HEAD:refs/heads/draft-"+head[:8])
		p.comparePlans(hostd, head)
		if random.IntN(2) == 0 {
			hostd.aside(t, p.applied)
		}
	}
	if refused == 0 || refused == pushes {
		t.Errorf("%d of %d pushes were refused, want some", refused, pushes)
	}
}

// push pushes the commit as far as pre-receive goes, and says what that said: another hook doesn't let git take it.
func (p place) push() (string, error) {
	p.t.Helper()
	update := p.repo + ".git/hooks/update"
	if err := os.Symlink("/bin/false", update); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.git("push", "--quiet", "origin", "HEAD:main")
	if err := os.Remove(update); err != nil {
		p.t.Fatal(err)
	}
	return out, err
}

// comparePlans plans and previews a commit with hostd and without.
func (p place) comparePlans(hostd *answering, commit string) {
	p.t.Helper()
	both := func(args ...string) {
		p.t.Helper()
		var out [2][]byte
		plan := func(i int) { out[i], _ = p.command(args...).CombinedOutput() } // it is an exit code that tells of changes
		hostd.aside(p.t, func() { plan(0) })
		before := hostd.asked.Load()
		plan(1)
		if !bytes.Equal(out[0], out[1]) || hostd.asked.Load() != before+1 {
			p.t.Fatalf("hostctl %v: asked %d times\n%s\nby itself\n%s", args, hostd.asked.Load()-before, out[1], out[0])
		}
	}
	bare := p.repo + ".git"
	saved := [2]string{filepath.Join(p.gate, "warm.plan"), filepath.Join(p.gate, "cold.plan")}
	both("plan", "-C", bare, "--rev", commit, "-json")
	both("plan", "-C", bare, "--rev", commit, "--allow-destroy", "Tenant/*")
	both("preview", "-C", bare, commit)
	_, _ = p.command("plan", "-C", bare, "--rev", commit, "-out", saved[0]).CombinedOutput()
	hostd.aside(p.t, func() { _, _ = p.command("plan", "-C", bare, "--rev", commit, "-out", saved[1]).CombinedOutput() })
	warm, warmErr := os.ReadFile(saved[0])
	cold, coldErr := os.ReadFile(saved[1])
	if !bytes.Equal(warm, cold) || os.IsNotExist(warmErr) != os.IsNotExist(coldErr) {
		p.t.Fatalf("the saved plan differs:\n%s\nby itself:\n%s", warm, cold)
	}
	_ = errors.Join(os.Remove(saved[0]), os.Remove(saved[1]))
}

func tenantFile(name string, records int) string {
	text := fmt.Sprintf("apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: %s}\nspec: {plan: small, shards: {web: web-1}}\n---\n"+
		"apiVersion: hosting/v1\nkind: Zone\nmetadata: {name: %[1]s}\nspec:\n  domain: %[1]s.test\n  records:\n    - {name: '@', type: MX, values: [10 mx.%[1]s.test.]}\n", name)
	for i := range records {
		text += fmt.Sprintf("    - {name: r%d, type: A, values: [192.0.2.%d]}\n", i, i+1)
	}
	return text
}

// randomEdit changes a tenant, makes one, takes one away, makes a mistake, or changes the platform.
func (p place) randomEdit(r *rand.Rand) {
	p.t.Helper()
	name := fmt.Sprintf("t%d", r.IntN(14))
	file := "tenants/" + name + "/t.yaml"
	switch r.IntN(8) {
	case 0:
		if err := os.RemoveAll(filepath.Join(p.repo, "tenants", name)); err != nil {
			p.t.Fatal(err)
		}
	case 1:
		p.edit(file, strings.Replace(tenantFile(name, 1), "plan: small", "plan: smal", 1))
	case 2:
		p.edit("platform/more.yaml", fmt.Sprintf("apiVersion: hosting/v1\nkind: Region\nmetadata: {name: r%d}\nspec: {displayName: R}\n", r.IntN(9)))
	default:
		p.edit(file, tenantFile(name, r.IntN(40)))
	}
}

// What hostd can't answer is planned without it.
func TestHostdDeclines(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.applied()
	head := strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))
	hostd := p.answering()
	client, err := web.Dial(t.Context(), hostd.socket)
	if err != nil {
		t.Fatal(err)
	}
	agent := hostd.platform.Policy.AgentBinary
	if _, err := client.Ask(t.Context(), reconciler.Ask{Commit: head, AgentBinary: agent}); err != nil {
		t.Fatalf("a good question: %v", err)
	}
	for name, q := range map[string]reconciler.Ask{
		"another agent":          {Commit: head, AgentBinary: "00"},
		"no commit":              {Commit: "main", AgentBinary: agent},
		"an unknown commit":      {Commit: strings.Repeat("1", 40), AgentBinary: agent},
		"a folder that is ours":  {Commit: head, AgentBinary: agent, Incoming: p.repo + "/.git/objects"},
		"the repository's own":   {Commit: head, AgentBinary: agent, Incoming: p.repo + ".git/objects"},
		"an unknown base":        {Commit: head, Base: strings.Repeat("1", 40), AgentBinary: agent},
		"more than is asked for": {Commit: head, AgentBinary: agent, AllowDestroy: []string{strings.Repeat("x", 2<<20)}},
	} {
		if _, err := client.Ask(t.Context(), q); !errors.Is(err, reconciler.ErrAsk) {
			t.Errorf("%s: %v, want it declined", name, err)
		}
	}
}

// A hostd that hangs holds up nobody: it is planned without it.
func TestHostdThatHangs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.applied()
	l, err := net.Listen("unix", filepath.Join(p.state, web.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p.mustGit("commit", "--quiet", "--allow-empty", "-m", "Nothing")
	if out := p.hostctl("plan", "-C", p.repo); !strings.Contains(out, "No changes.") {
		t.Errorf("it says %s", out)
	}
}
