package reconciler_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// TestPreviewWithMemo: what is remembered of one plan isn't taken for what another one starts from.
func TestPreviewWithMemo(t *testing.T) {
	w := newWorld(t)
	w.rec.Memo, w.rec.Cache = &planner.Memo{}, schema.NewCache()
	c := firstConfig(minimal(t))
	tree := c.tree(t)
	for i := range 8 {
		name := fmt.Sprintf("tenant-%d", i)
		tree["tenants/"+name+"/tenant.yaml"] = document("Tenant", name, "plan: small", "shards: {web: web-1}") + "---\n" +
			document("Webroot", "www", `runtime: {type: php, version: "8.3"}`, "php: {ini: {memory_limit: 64M}}", "fqdns: [www."+name+".test]")
	}
	w.applied(tree)
	more := func(tree schema.MapTree, tenant string) schema.MapTree {
		tree = maps.Clone(tree)
		file := "tenants/" + tenant + "/tenant.yaml"
		tree[file] = strings.Replace(tree[file], "64M", "128M", 1)
		return tree
	}
	base := w.push(more(tree, "tenant-1"))
	head := w.push(more(more(tree, "tenant-1"), "tenant-2"))
	v, err := w.rec.Preview(context.Background(), base, head)
	w.must(err)
	if len(v.Now.Changes) == 0 || len(v.Change.Changes) == 0 {
		t.Fatal("nothing is to be changed")
	}
	for _, c := range v.Change.Changes {
		if owner := c.Owner().Tenant; owner != "tenant-2" {
			t.Errorf("it says that the change changes %s of tenant %q, and that is another's", c.Ref(), owner)
		}
	}
}
