package wire

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestCache: what was put last is found by its key, by this program alone, and whatever else is in the file is nothing.
func TestCache(t *testing.T) {
	state := t.TempDir()
	u := cacheIn(state, "plan")
	if u.Get("a") != nil {
		t.Error("found in nothing")
	}
	u.Put("a", []byte("plan a\n"))
	if got := cacheIn(state, "plan").Get("a"); !bytes.Equal(got, []byte("plan a\n")) {
		t.Errorf("found %q", got)
	}
	if u.Get("b") != nil || u.Get("") != nil {
		t.Error("another key finds it")
	}
	if other := (&cacheFile{file: u.file, program: "1 2"}); other.Get("a") != nil {
		t.Error("another program finds it")
	}
	for _, text := range []string{"", "\x00", "\n", "a", string(u.head("a")[:10])} {
		if err := os.WriteFile(u.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if u.Get("a") != nil {
			t.Errorf("found in %q", text)
		}
	}
	var writers sync.WaitGroup
	for _, key := range []string{"c", "d"} {
		writers.Go(func() {
			for range 50 {
				u.Put(key, bytes.Repeat([]byte(key), 10_000))
				if got := u.Get(key); got != nil && !bytes.Equal(got, bytes.Repeat([]byte(key), 10_000)) {
					t.Errorf("found half of it: %d bytes", len(got))
				}
			}
		})
	}
	writers.Wait()
	files, err := filepath.Glob(filepath.Join(state, "cache", "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("it leaves %q, %v", files, err)
	}
}

// TestCacheReadOnly: a folder that can't be written to, or is none, is no reason to fail.
func TestCacheReadOnly(t *testing.T) {
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u := cacheIn(state, "plan")
	u.Put("a", []byte("plan"))
	if u.Get("a") != nil {
		t.Error("found where nothing can be put")
	}
}
