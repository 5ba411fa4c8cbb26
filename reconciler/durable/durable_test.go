package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"hostctl/reconciler/durable"
)

// A file is replaced whole, for its owner alone; one that can't be replaced stays, and nothing is left beside it.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	for _, text := range []string{"first", "second, and longer"} {
		if err := durable.WriteFile(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != text {
			t.Errorf("%q, %v; want %q", b, err, text)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(folder, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if there, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(there) > 0 {
		t.Errorf("left: %v, %v", there, err)
	}
}
