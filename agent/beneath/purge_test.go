package beneath_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestRemoveAll: all of a tree goes, however deep and wide, and nothing that a link in it leads to.
func TestRemoveAll(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	keep := filepath.Join(outside, "keep")
	must(t, os.WriteFile(keep, []byte("x"), 0o600))
	deep := filepath.Join(dir, "site")
	for range 200 {
		deep = filepath.Join(deep, "d")
	}
	must(t, os.MkdirAll(deep, 0o700))
	for i := range 1500 {
		must(t, os.WriteFile(filepath.Join(dir, "site", fmt.Sprint(i)), nil, 0o600))
	}
	for _, at := range []string{filepath.Join(dir, "site"), deep} {
		must(t, os.Symlink(outside, filepath.Join(at, "link")))
		must(t, os.Symlink(keep, filepath.Join(at, "file")))
		must(t, os.Link(keep, filepath.Join(at, "hard")))
	}
	d := open(t, dir)
	for range 2 { // what is gone is removed
		must(t, d.RemoveAll(t.Context(), "site"))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if b, err := os.ReadFile(keep); err != nil || string(b) != "x" {
		t.Errorf("what a link led to: %q, %v", b, err)
	}

	must(t, os.Symlink(outside, filepath.Join(dir, "site")))
	must(t, d.RemoveAll(t.Context(), "site"))
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
}

func TestRemoveAllStops(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "site/a"), 0o700))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, dir).RemoveAll(ctx, "site"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "site/a")); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
