package git

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"hostctl/reconciler/git/gittest"
	"hostctl/schema"
)

// A mirror of many packs becomes one of few, and what was being read goes on being read; where a branch was before it was
// rewritten is forgotten in the end.
func TestMirrorRepacks(t *testing.T) {
	root := t.TempDir()
	r := gittest.New(t, root, "a.git")
	s := gittest.Serve(t, root, gittest.Options{})
	push := func(args ...string) string {
		r.Write("a.yaml", time.Now().String())
		commit := r.Commit("change")
		r.Push(append(args, "HEAD:main")...)
		return commit
	}
	first := push()
	m, err := OpenMirror(t.Context(), Remote{URL: s.URL + "/a.git"}, filepath.Join(t.TempDir(), "m"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := m.Tree(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	push()
	if _, err := m.poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Git("checkout", "--quiet", "--orphan", "other")
	last := push("--force")
	if _, err := m.poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, err := filepath.Glob(filepath.Join(m.gitDir, filepath.FromSlash(rewritten), "*"))
	if err != nil || len(old) != 1 {
		t.Fatalf("of a rewritten branch it keeps %q, %v", old, err)
	}
	if err := m.tidyUpNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(m.gitDir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Errorf("it has the packs %q, %v", packs, err)
	}
	blobs := 0
	entries, err := tree.(schema.Folders).Folder("")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := tree.Read(e.ID); err != nil {
			t.Error(err)
		}
		blobs++
	}
	if head, err := m.Head(t.Context()); err != nil || head != last || blobs != 1 {
		t.Errorf("its head is %s, %v, want %s; it has read %d files", head, err, last, blobs)
	}
	long := time.Now().Add(-2 * rewrittenFor)
	if err := os.Chtimes(old[0], long, long); err != nil {
		t.Fatal(err)
	}
	if err := m.tidyUpNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	name := plumbing.ReferenceName(rewritten + filepath.Base(old[0]))
	if at, err := m.readRef(name); !errors.Is(err, plumbing.ErrReferenceNotFound) {
		t.Errorf("after a long time it still keeps %s, %v", at, err)
	}
}
