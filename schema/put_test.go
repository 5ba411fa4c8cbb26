package schema_test

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/schema"
)

func TestPut(t *testing.T) {
	tree := schema.MapTree{
		"tenants/acme/acme.yaml": "# the tenant\napiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: acme}\nspec: {plan: small}\n" +
			"--- # its site\n# a comment\nkind: Webroot\nmetadata: {name: shop}\nspec: {}\n",
		"tenants/other/other.yaml":        "kind: Tenant\nmetadata: {name: other}\n",
		"tenants/other/webroot-wiki.yaml": "kind: FQDN\nmetadata: {name: wiki.example}\n",
		"tenants/other/webroot-docs.yaml": "half: [written\n",
	}
	for _, c := range []struct {
		name, data, owner string
		tops              []string
		want              schema.MapTree
	}{
		{"one that is there is replaced, and what stands beside it stays", "kind: Tenant\nmetadata: {name: acme}\nspec: {plan: big}\n", "", []string{"tenants"}, schema.MapTree{
			"tenants/acme/acme.yaml": "kind: Tenant\nmetadata: {name: acme}\nspec: {plan: big}\n" +
				"---\n# a comment\nkind: Webroot\nmetadata: {name: shop}\nspec: {}\n",
		}},
		{"a new one gets a file, with its comment", "kind: Tenant\nmetadata: {name: new}\n---\n# of new\nkind: Webroot\nmetadata: {name: shop}\n...\n", "", []string{"tenants"}, schema.MapTree{
			"tenants/new/tenant-new.yaml":   "kind: Tenant\nmetadata: {name: new}\n",
			"tenants/new/webroot-shop.yaml": "# of new\nkind: Webroot\nmetadata: {name: shop}\n...\n",
		}},
		{"an owner that is named", "kind: Webroot\nmetadata: {name: blog}\n", "other", []string{"tenants"}, schema.MapTree{
			"tenants/other/webroot-blog.yaml": "kind: Webroot\nmetadata: {name: blog}\n",
		}},
		{"a file of its name that holds other things keeps them", "kind: Webroot\nmetadata: {name: wiki}\n---\nkind: Webroot\nmetadata: {name: docs}\n", "other", []string{"tenants"}, schema.MapTree{
			"tenants/other/webroot-wiki.yaml": "kind: FQDN\nmetadata: {name: wiki.example}\n---\nkind: Webroot\nmetadata: {name: wiki}\n",
			"tenants/other/webroot-docs.yaml": "half: [written\n---\nkind: Webroot\nmetadata: {name: docs}\n",
		}},
		{"the platform's own", "kind: Region\nmetadata: {name: eu}\n---\nkind: Cluster\nmetadata: {name: eu-1}\n---\nkind: Shard\nmetadata: {name: web-1}\n", "", []string{"platform", "clusters"}, schema.MapTree{
			"platform/region-eu.yaml":         "kind: Region\nmetadata: {name: eu}\n",
			"clusters/eu-1/cluster-eu-1.yaml": "kind: Cluster\nmetadata: {name: eu-1}\n",
			"clusters/eu-1/shard-web-1.yaml":  "kind: Shard\nmetadata: {name: web-1}\n",
		}},
		{"what is so already", "# a comment\nkind: Webroot\nmetadata: {name: shop}\nspec: {}\n", "acme", []string{"tenants"}, schema.MapTree{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := schema.Put(tree, "in.yaml", []byte(c.data), c.owner, c.tops...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPutRefuses(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"kind: Tenant\nmetadata: {name: acme}\n---\n\nkind: Shard\nmetadata: {name: web-1}\n",
			"in.yaml:5:1: a Shard belongs below clusters/<cluster>/, and this takes what belongs below tenants/<tenant>/"},
		{"kind: Webroot\nmetadata: {name: shop}\n", "in.yaml:1:1: whose the Webroot shop is isn't said; put it below its Tenant or Cluster, or name that"},
		{"kind: Wbroot\nmetadata: {name: shop}\n", `in.yaml:1:1: "Wbroot" isn't a kind; the kinds: 'hostctl explain'`},
		{"kind: Tenant\nmetadata: {name: ../x}\n", "in.yaml:1:1: a Tenant without a name to file it under; add metadata.name"},
		{"--- {kind: Tenant, metadata: {name: acme}}\n--- {kind: Tenant, metadata: {name: other}}\n",
			"in.yaml:1:1: can't be cut into its documents; write each below a line of its own that says ---"},
	} {
		if _, err := schema.Put(schema.MapTree{}, "in.yaml", []byte(c.data), "", "tenants"); err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.data, err, c.want)
		}
	}
}

// What is laid over a tree is read like what was there.
func TestWith(t *testing.T) {
	tree := schema.With(schema.MapTree{"a": "1", "b": "2"}, schema.MapTree{"b": "3", "c": "4"})
	got := map[string]string{}
	err := tree.Walk(func(path string, blob schema.BlobID, _ fs.FileMode) error {
		data, err := tree.Read(blob)
		got[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "3", "c": "4"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzPut(f *testing.F) {
	f.Add("kind: Tenant\nmetadata: {name: acme}\n--- # x\nkind: Webroot\nmetadata: {name: shop}\n", "acme")
	f.Add("---\n---\n", "")
	f.Fuzz(func(t *testing.T, data, owner string) {
		files, err := schema.Put(schema.MapTree{}, "in.yaml", []byte(data), owner, "tenants", "platform", "clusters")
		if err != nil {
			return
		}
		again, err := schema.Put(schema.With(schema.MapTree{}, files), "in.yaml", []byte(data), owner, "tenants", "platform", "clusters")
		if err != nil || len(again) > 0 {
			t.Errorf("put twice: %v %v", again, err)
		}
	})
}
