package generation_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hostctl/agent/generation"
)

func text(s string) []byte { return []byte(s) }

func TestGenerations(t *testing.T) {
	f := generation.Folder(t.TempDir())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := f.Current(); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	must(f.Make(0, 1, map[string][]byte{"a": text("1"), "b": text("1")}, nil))
	must(f.Use(1))
	if n, err := f.Current(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for range 2 { // the second clears what is left of the first
		must(f.Make(1, 2, map[string][]byte{"a": text("2"), "c": text("2")}, []string{"b", "none"}))
	}
	if b, err := os.ReadFile(filepath.Join(f.Dir(1), "a")); err != nil || string(b) != "1" {
		t.Errorf("the generation in use was changed: %q, %v", b, err)
	}
	must(f.Use(2))
	names, err := f.Files(2)
	if err != nil || !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("generation 2 has %v, %v", names, err)
	}
	must(f.Keep(2))
	if ns, err := f.Numbers(); err != nil || !slices.Equal(ns, []int{2}) {
		t.Errorf("left: %v, %v", ns, err)
	}
	for _, c := range []struct {
		put    map[string][]byte
		remove []string
		want   bool
	}{
		{nil, nil, false},
		{map[string][]byte{"a": text("2")}, []string{"b"}, false},
		{map[string][]byte{"a": text("3")}, nil, true},
		{map[string][]byte{"d": text("")}, nil, true},
		{nil, []string{"c"}, true},
	} {
		if got, err := f.Differs(2, c.put, c.remove); got != c.want || err != nil {
			t.Errorf("Differs(%v, %v) = %t, %v", c.put, c.remove, got, err)
		}
	}
	must(f.Use(0))
	must(f.Use(0))
	if n, err := f.Current(); n != 0 || err != nil {
		t.Error(n, err)
	}
}
