package git_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/schema"
)

// repo is a bare repository and a work tree that pushes to it, by git itself: the other process.
type repo struct {
	t          testing.TB
	bare, work string
}

func newRepo(t testing.TB) *repo {
	t.Helper()
	r := &repo{t: t, bare: filepath.Join(t.TempDir(), "bare repo.git"), work: filepath.Join(t.TempDir(), "work")}
	if err := git.Init(r.bare); err != nil {
		t.Fatal(err)
	}
	run(t, ".", "clone", "--quiet", r.bare, r.work)
	return r
}

// run runs git in a folder without anybody's configuration.
func run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@acme.example", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@acme.example",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0") // nothing goes on after the command
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(path, text string) {
	r.t.Helper()
	file := filepath.Join(r.work, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// commit commits all there is in the work tree and returns the commit.
func (r *repo) commit(message string) string {
	r.t.Helper()
	run(r.t, r.work, "add", "--all")
	run(r.t, r.work, "commit", "--quiet", "--allow-empty", "--message", message)
	return run(r.t, r.work, "rev-parse", "HEAD")
}

func (r *repo) push(args ...string) {
	r.t.Helper()
	run(r.t, r.work, append([]string{"push", "--quiet", "origin"}, args...)...)
}

func (r *repo) source() *git.Source {
	r.t.Helper()
	s, err := git.Open(r.bare, "main")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func TestHead(t *testing.T) {
	r := newRepo(t)
	s := r.source()
	if _, err := s.Head(t.Context()); !errors.Is(err, reconciler.ErrNoCommit) {
		t.Fatalf("Head of an empty repository: %v, want ErrNoCommit", err)
	}
	for i := range 3 { // each push is seen by the source that was opened before all
		r.write("a.yaml", fmt.Sprint(i))
		want := r.commit("change")
		r.push("HEAD:main")
		if i == 1 {
			run(t, r.bare, "pack-refs", "--all")
		}
		got, err := s.Head(t.Context())
		if err != nil || got != want {
			t.Fatalf("Head = %s, %v; want %s", got, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	r := newRepo(t)
	want := r.commit("first")
	r.push("HEAD:main")
	linked := filepath.Join(t.TempDir(), "linked")
	run(t, r.work, "worktree", "add", "--quiet", "-b", "other", linked)
	for _, dir := range []string{r.bare, r.work, filepath.Join(r.work, ".git"), linked} {
		s, err := git.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		branch := "main"
		if dir == linked {
			branch = "other"
		}
		if s.Branch() != branch {
			t.Errorf("branch of %s = %s, want %s", dir, s.Branch(), branch)
		}
		if got, err := s.Head(t.Context()); err != nil || got != want {
			t.Errorf("Head of %s = %s, %v; want %s", dir, got, err, want)
		}
	}
	if _, err := git.Open(t.TempDir(), ""); !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("Open of an empty folder: %v, want ErrNoRepository", err)
	}
	run(t, r.work, "checkout", "--quiet", "--detach")
	if _, err := git.Open(r.work, ""); err == nil || !strings.Contains(err.Error(), "name the branch") {
		t.Errorf("Open with a detached HEAD: %v", err)
	}
}

func TestResolve(t *testing.T) {
	r := newRepo(t)
	first := r.commit("first")
	second := r.commit("second")
	run(t, r.work, "tag", "--annotate", "--message", "a tag", "v1", first)
	r.push("HEAD:main", "v1")
	s := r.source()
	for rev, want := range map[string]string{
		second: second, second[:10]: second, "main": second, "refs/heads/main": second, "HEAD": second,
		"HEAD~1": first, "main^": first, "v1": first,
	} {
		if got, err := s.Resolve(t.Context(), rev); err != nil || got != want {
			t.Errorf("Resolve(%q) = %s, %v; want %s", rev, got, err, want)
		}
	}
	for _, rev := range []string{"nowhere", strings.Repeat("0", 40), "HEAD~7", "", run(t, r.work, "rev-parse", "HEAD^{tree}")} {
		if got, err := s.Resolve(t.Context(), rev); !errors.Is(err, git.ErrNoRevision) {
			t.Errorf("Resolve(%q) = %s, %v; want ErrNoRevision", rev, got, err)
		}
	}
}

// file is what Walk passes.
type file struct {
	Path, Text string
	Mode       fs.FileMode
}

func files(t testing.TB, tree schema.Tree) []file {
	t.Helper()
	var out []file
	err := tree.Walk(func(path string, blob schema.BlobID, mode fs.FileMode) error {
		f := file{Path: path, Mode: mode}
		if mode&fs.ModeIrregular == 0 {
			b, err := tree.Read(blob)
			if err != nil {
				return err
			}
			f.Text = string(b)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func treeAt(t testing.TB, s *git.Source, commit string) schema.Tree {
	t.Helper()
	tree, err := s.Tree(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTree(t *testing.T) {
	r := newRepo(t)
	for _, path := range []string{"a/x.yaml", "a-b", "a.b", "a/b/c", "a0", "tenants/acme/shop.yaml", "ä ö/ü\n.yaml"} {
		r.write(path, "text of "+path)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(r.work, "link")); err != nil {
		t.Fatal(err)
	}
	r.write("run", "#!")
	if err := os.Chmod(filepath.Join(r.work, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, r.work, "add", ".")
	run(t, r.work, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",module")
	run(t, r.work, "commit", "--quiet", "--message", "files")
	r.push("HEAD:main")
	s := r.source()
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []file{
		{"a-b", "text of a-b", 0o644},
		{"a.b", "text of a.b", 0o644},
		{"a/b/c", "text of a/b/c", 0o644},
		{"a/x.yaml", "text of a/x.yaml", 0o644},
		{"a0", "text of a0", 0o644},
		{"link", "/etc/passwd", fs.ModeSymlink | 0o777},
		{"module", "", fs.ModeIrregular},
		{"run", "#!", 0o755},
		{"tenants/acme/shop.yaml", "text of tenants/acme/shop.yaml", 0o644},
		{"ä ö/ü\n.yaml", "text of ä ö/ü\n.yaml", 0o644},
	}
	got := files(t, treeAt(t, s, head))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(got, func(a, b file) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("Walk isn't in lexical order of paths")
	}
	for _, commit := range []string{"main", "", strings.Repeat("0", 40)} {
		if _, err := s.Tree(t.Context(), commit); err == nil {
			t.Errorf("Tree(%q) succeeded", commit)
		}
	}
}

// A tree that is being read stays readable while pushes and gc replace the files it is read from.
func TestTreeOutlivesRepack(t *testing.T) {
	r := newRepo(t)
	for i := range 50 {
		r.write(fmt.Sprintf("dir%d/file.yaml", i), strings.Repeat(fmt.Sprint("line ", i, "\n"), 50))
	}
	first := r.commit("first")
	r.push("HEAD:main")
	s := r.source()
	tree := treeAt(t, s, first)
	want := files(t, tree)
	untouched := treeAt(t, s, first)
	for i := range 3 {
		r.write("new.yaml", fmt.Sprint(i))
		commit := r.commit("more")
		r.push("HEAD:main")
		run(t, r.bare, "gc", "--quiet", "--prune=now")
		for _, tree := range []schema.Tree{tree, untouched} {
			if diff := cmp.Diff(want, files(t, tree)); diff != "" {
				t.Fatalf("files of the first commit after gc (-want +got):\n%s", diff)
			}
		}
		if n := len(files(t, treeAt(t, s, commit))); n != 51 {
			t.Fatalf("%d files in the new commit, want 51", n)
		}
	}
}

// A tree that was closed holds no descriptors, and opens what it needs when it is read again.
func TestTreeClose(t *testing.T) {
	r := newRepo(t)
	for i := range 200 { // more than receive.unpackLimit: the push makes a pack
		r.write(fmt.Sprintf("%d.yaml", i), fmt.Sprint(i))
	}
	commit := r.commit("files")
	r.push("HEAD:main")
	tree := treeAt(t, r.source(), commit)
	want := files(t, tree)
	before := descriptors(t, r.bare)
	if err := tree.(io.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t, r.bare); before == 0 || after != 0 {
		t.Errorf("%d descriptors before Close, %d after", before, after)
	}
	if diff := cmp.Diff(want, files(t, tree)); diff != "" {
		t.Errorf("files after Close (-want +got):\n%s", diff)
	}
}

// descriptors counts the open files below a folder.
func descriptors(t *testing.T, dir string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		if file, err := os.Readlink(l); err == nil && strings.HasPrefix(file, dir) {
			n++
		}
	}
	return n
}

func TestRelationAndBetween(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base")
	left := r.commit("left\n\nAllow-Destroy: zone/eu-1-dns/acme.example")
	run(t, r.work, "checkout", "--quiet", "-b", "side", base)
	right := r.commit("right")
	run(t, r.work, "checkout", "--quiet", "main")
	run(t, r.work, "merge", "--quiet", "--no-edit", "side")
	merge := r.commit("after the merge")
	r.push("main", "side")
	s := r.source()
	absent := strings.Repeat("1", 40)
	for _, tt := range []struct {
		a, b string
		want reconciler.Relation
	}{
		{base, base, reconciler.Same},
		{base, merge, reconciler.Ahead},
		{right, merge, reconciler.Ahead},
		{merge, left, reconciler.Behind},
		{merge, base, reconciler.Behind},
		{left, right, reconciler.Diverged},
		{right, left, reconciler.Diverged},
		{absent, merge, reconciler.Diverged},
	} {
		if got, err := s.Relation(t.Context(), tt.a, tt.b); err != nil || got != tt.want {
			t.Errorf("Relation(%.7s, %.7s) = %s, %v; want %s", tt.a, tt.b, got, err, tt.want)
		}
	}
	if _, err := s.Relation(t.Context(), base, absent); !errors.Is(err, git.ErrNoRevision) {
		t.Errorf("Relation to an absent commit: %v, want ErrNoRevision", err)
	}
	infos, err := s.Between(t.Context(), base, merge)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range infos {
		got = append(got, i.Commit)
	}
	want := strings.Fields(run(t, r.work, "rev-list", base+".."+merge))
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Between (-git +ours):\n%s", diff)
	}
}

func TestCommit(t *testing.T) {
	r := newRepo(t)
	parent := r.commit("first")
	id := r.commit("tenants/acme: a shop\n\nIt sells.\n\nAllow-Destroy: a/b/c")
	r.push("HEAD:main")
	got, err := r.source().Commit(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(got.Time); age < -time.Minute || age > time.Hour {
		t.Errorf("time = %s", got.Time)
	}
	got.Time = time.Time{}
	want := git.Info{
		Commit: id, Author: "Ann", Email: "ann@acme.example", Subject: "tenants/acme: a shop",
		Body: "It sells.\n\nAllow-Destroy: a/b/c", Parents: []string{parent},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Commit (-want +got):\n%s", diff)
	}
}

func TestInitWorkTree(t *testing.T) {
	bare := filepath.Join(t.TempDir(), "config.git")
	if err := git.Init(bare); err != nil {
		t.Fatal(err)
	}
	if err := git.Init(bare); err == nil {
		t.Error("Init of a repository that is there succeeded")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "platform"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "platform", "platform.yaml"), []byte("kind: Platform\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	by := git.Info{Author: "Ann", Email: "ann@acme.example", Time: time.Unix(1e9, 0), Subject: "the platform"}
	commit, err := git.InitWorkTree(dir, bare, by)
	if err != nil {
		t.Fatal(err)
	}
	if status := run(t, dir, "status", "--porcelain"); status != "" {
		t.Errorf("git sees uncommitted changes:\n%s", status)
	}
	run(t, dir, "push", "--quiet")
	run(t, bare, "fsck", "--strict")
	s, err := git.Open(bare, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Head(t.Context()); err != nil || got != commit {
		t.Errorf("Head = %s, %v; want %s", got, err, commit)
	}
}
