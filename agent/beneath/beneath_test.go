package beneath_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hostctl/agent/beneath"
)

func me() beneath.Owner {
	return beneath.Owner{UID: os.Getuid(), GID: os.Getgid(), FileMode: 0o640, DirMode: 0o750}
}

func open(t *testing.T, dir string) *beneath.Dir {
	t.Helper()
	d, err := beneath.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for _, text := range []string{"one", "two"} {
		if err := d.Write("a/b/c.txt", []byte(text), me()); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "a/b/c.txt")); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
	}
	for path, mode := range map[string]fs.FileMode{"a": fs.ModeDir | 0o750, "a/b": fs.ModeDir | 0o750, "a/b/c.txt": 0o640} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "a/b")); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	for range 2 {
		if err := d.Remove("a/b/c.txt"); err != nil {
			t.Error(err)
		}
	}
	if err := d.Remove("no/such/folder"); err != nil {
		t.Error(err)
	}
}

func TestNothingOutside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	target := filepath.Join(outside, "f")
	if err := os.WriteFile(target, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"dir": outside, "file": target, "up": "..", "self": "self", "fine": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(target, filepath.Join(dir, "hard")); err != nil {
		t.Fatalf("temporary folders must be on one file system: %v", err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	for _, path := range []string{"dir/f", "dir/new", "file", "up/x", "self", "fine/x", "hard", "fifo", "../x", "/etc/x", "a/../../x"} {
		if err := d.Write(path, []byte("x"), me()); err == nil {
			t.Errorf("Write(%q) was done", path)
		}
		if f, _, err := d.File(path); err == nil {
			t.Errorf("File(%q) was opened", path)
			_ = f.Close()
		}
	}
	var odd *beneath.NotPlain
	if _, _, err := d.File("fifo"); !errors.As(err, &odd) || odd.What != "a FIFO" {
		t.Errorf("FIFO: %v", err)
	}
	if err := d.Remove("dir/f"); err == nil {
		t.Error("removed behind a symlink")
	}
	if b, err := os.ReadFile(target); err != nil || string(b) != "outside" {
		t.Errorf("outside: %q, %v", b, err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("outside there are %v", entries)
	}
}
