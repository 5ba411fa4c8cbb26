package logs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	return string(b)
}

// Logs that are large are put aside, the oldest go; the web server is told once, and a program that appends goes on.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	now, reopened := time.Now(), 0
	r := Rotation{Dir: dir, Limit: 10, Keep: 2, Now: func() time.Time { return now }, Reopen: func(context.Context) error { reopened++; return nil }}
	access, small, app := filepath.Join(dir, "a.access.log"), filepath.Join(dir, "b.access.log"), filepath.Join(dir, "a.app.log")
	for _, path := range []string{access, small, app} {
		if err := Make(path, os.Getgid()); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.OpenFile(app, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	write(t, small, "small")
	for _, text := range []string{"one", "two", "three"} {
		long := strings.Repeat(text, 4)
		write(t, access, long)
		if _, err := program.WriteString(long); err != nil {
			t.Fatal(err)
		}
		if err := r.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{access, app} {
		if got := read(path) + "|" + read(path+".1") + "|" + read(path+".2") + "|" + read(path+".3"); got != "|"+strings.Repeat("three", 4)+"|"+strings.Repeat("two", 4)+"|absent" {
			t.Errorf("%s: %q", path, got)
		}
		if st, err := os.Lstat(path); err != nil || st.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
	if read(small) != "small" || reopened != 3 {
		t.Errorf("a small log: %q; the web server was told %d times", read(small), reopened)
	}
	now = now.Add(25 * time.Hour)
	if err := r.Once(t.Context()); err != nil || read(small) != "" || read(small+".1") != "small" {
		t.Errorf("a day later a small log is %q, before it %q, %v", read(small), read(small+".1"), err)
	}
	if err := r.Once(t.Context()); err != nil || read(small+".2") != "absent" {
		t.Errorf("an empty log was put aside: %v", err)
	}
	now = now.Add(32 * 24 * time.Hour)
	if err := r.Once(t.Context()); err != nil || read(small+".1") != "absent" {
		t.Errorf("a month later a log that was put aside is there: %v", err)
	}
}

// What isn't a log of ours is left alone, a symlink above all.
func TestSymlinks(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(out, []byte(strings.Repeat("x", 99)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.access.log", "a.app.log"} {
		if err := os.Symlink(out, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := Make(filepath.Join(dir, name), os.Getgid()); !errors.Is(err, unix.ELOOP) {
			t.Errorf("made through a symlink: %v", err)
		}
	}
	r := Rotation{Dir: dir, Limit: 10, Reopen: func(context.Context) error { return nil }}
	if err := r.Once(t.Context()); err != nil || len(read(out)) != 99 {
		t.Errorf("a symlink was followed: %v, %d bytes are left", err, len(read(out)))
	}
}
