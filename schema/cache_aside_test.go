package schema_test

import (
	"maps"
	"testing"

	"hostctl/schema"
)

// TestAsideForgetsNothing: a tree that is loaded aside as a whole doesn't make the next load of the branch a whole one.
func TestAsideForgetsNothing(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	cache := schema.NewCache()
	load := func(tree schema.MapTree, cache schema.Cache) (whole int) {
		t.Helper()
		if _, err := schema.Load(folderTree{tree, &whole}, cache); err != nil {
			t.Fatal(err)
		}
		return whole
	}
	other := maps.Clone(base)
	other["platform/platform.yaml"] += "# changed\n"
	if n := load(base, cache); n != 1 {
		t.Fatalf("the first load looked at everything %d times, want once", n)
	}
	if n := load(other, cache.Aside()); n != 1 {
		t.Errorf("a change of the platform aside looked at everything %d times, want once", n)
	}
	if n := load(base, cache); n != 0 {
		t.Errorf("the load after it looked at everything %d times, want never", n)
	}
}
