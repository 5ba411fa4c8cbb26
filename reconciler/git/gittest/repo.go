package gittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Repo is a bare repository and a work tree that pushes to it, both git's own.
type Repo struct {
	Bare string // folder of the bare repository
	Work string // folder of the work tree; its branch is main, its remote origin

	t testing.TB
}

// New makes an empty bare repository of a name, as "platform.git", below a folder, and a work tree elsewhere.
func New(t testing.TB, root, name string) *Repo {
	t.Helper()
	bare := filepath.Join(root, name)
	Git(t, root, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	return At(t, bare)
}

// At makes an empty work tree of a bare repository that is there.
func At(t testing.TB, bare string) *Repo {
	t.Helper()
	r := Of(t, bare, filepath.Join(t.TempDir(), "work"))
	Git(t, bare, "init", "--quiet", "--initial-branch=main", r.Work)
	Git(t, r.Work, "remote", "add", "origin", r.Bare)
	return r
}

// Of is a bare repository and a work tree that are there. The work tree's remote origin must be the repository.
func Of(t testing.TB, bare, work string) *Repo { return &Repo{t: t, Bare: bare, Work: work} }

// Write writes a file of the work tree.
func (r *Repo) Write(path, text string) {
	r.t.Helper()
	file := filepath.Join(r.Work, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// Commit commits all there is in the work tree, also where nothing has changed, and returns the commit.
func (r *Repo) Commit(message string) string {
	r.t.Helper()
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Git("rev-parse", "HEAD")
}

// Push pushes to the bare repository, as Push("HEAD:main") or Push("--force", "HEAD:refs/pull/1/head").
func (r *Repo) Push(args ...string) {
	r.t.Helper()
	r.Git(append([]string{"push", "--quiet", "origin"}, args...)...)
}

// Has reports whether the bare repository has a commit.
func (r *Repo) Has(commit string) bool {
	cmd := exec.CommandContext(r.t.Context(), "git", "cat-file", "-e", commit+"^{commit}")
	cmd.Dir, cmd.Env = r.Bare, Env()
	return cmd.Run() == nil
}

// Git runs git in the work tree and returns what it prints.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return Git(r.t, r.Work, args...)
}

// Git runs git in a folder, without anybody's configuration, and returns what it prints.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, Env()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// Env returns the environment in which git runs in tests: an author, nobody's configuration, and nothing that goes on
// after the command.
func Env() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@acme.example", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@acme.example",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0")
}
