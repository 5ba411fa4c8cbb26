package webroots_test

import (
	"os"
	"path/filepath"
	"testing"

	"hostctl/agent/webroots"
	"hostctl/executors"
	"hostctl/planner"
)

// TestG10_OnlyKeptDataIsDeleted: a site that is in use can't be deleted; one that was kept, or says so itself, goes with
// its record and leaves its neighbour alone.
func TestG10_OnlyKeptDataIsDeleted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("sites belong to users of their own: run this as root")
	}
	root := t.TempDir()
	m := webroots.New(webroots.Options{Root: root, GID: os.Getgid()})
	site := func(name string) planner.Webroot {
		return planner.Webroot{Meta: planner.Meta{Target: "web-1", Name: "acme." + name}, Tenant: "acme", Site: name, UID: 20000}
	}
	apply := func(c planner.Change) error { return m.Apply(t.Context(), []planner.Change{c})[0] }
	for _, name := range []string{"blog", "shop"} {
		if err := apply(planner.Change{Action: planner.Create, New: site(name)}); err != nil {
			t.Fatal(err)
		}
	}
	upload := filepath.Join(root, "acme/shop/upload.txt")
	if err := os.WriteFile(upload, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := apply(planner.Change{Action: planner.Delete, Old: site("shop")}); executors.KindOf(err) != executors.Refused {
		t.Errorf("a site in use: %v, want it refused", err)
	}
	if _, err := os.Stat(upload); err != nil {
		t.Fatal(err)
	}
	kept := site("shop")
	kept.Kept = true
	for range 2 {
		if err := apply(planner.Change{Action: planner.Delete, Old: kept}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{"acme/shop": false, ".hostctl/acme.shop.json": false, "acme/blog/index.html": true} {
		if _, err := os.Stat(filepath.Join(root, path)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	marked := site("blog")
	marked.Purge = true
	if err := apply(planner.Change{Action: planner.Delete, Old: marked}); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(root, ".hostctl")); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
