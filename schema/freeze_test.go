package schema_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"hostctl/schema"
)

// TestG08_FolderOfBefore: where one tenant's files can't be read, the rest is read with that tenant's files of before.
func TestG08_FolderOfBefore(t *testing.T) {
	before := treeOf(mustArchive(t, "testdata/base.txtar"))
	now := maps.Clone(before)
	delete(now, "tenants/acme/tenant.yaml")
	now["tenants/acme/broken.yaml"] = "kind: [\n"
	now["tenants/globex/extra.yaml"] = "apiVersion: hosting/v1\nkind: Zone\nmetadata: {name: extra}\nspec: {domain: extra.test}\n"
	_, err := schema.Load(now, nil)
	bad, ok := schema.InTenants(err)
	if !ok || len(bad) != 1 || len(bad["acme"]) == 0 {
		t.Fatalf("errors by tenant: %v, %v", bad, ok)
	}
	m, err := schema.Load(schema.WithTenants(now, map[string]schema.Tree{"acme": before}), nil)
	if err != nil {
		t.Fatal(err)
	}
	tenant := slices.ContainsFunc(m.Tenants, func(t schema.Tenant) bool { return t.Name == "acme" })
	zone := slices.ContainsFunc(m.Zones, func(z schema.Zone) bool { return z.Name == "extra" })
	if !tenant || !zone {
		t.Errorf("acme is declared: %v; what globex has added: %v; want both", tenant, zone)
	}
}

// TestG08_ElsewhereNothingIsTaken: what is wrong with the platform's own files can't be confined to a tenant.
func TestG08_ElsewhereNothingIsTaken(t *testing.T) {
	for _, path := range []string{"platform/x.yaml", "clusters/eu-1/x.yaml", "tenants/x.yaml"} {
		tree := treeOf(mustArchive(t, "testdata/base.txtar"))
		tree[path] = "kind: [\n"
		_, err := schema.Load(tree, nil)
		if bad, ok := schema.InTenants(err); err == nil || ok {
			t.Errorf("%s: %v, confined to %v", path, err, bad)
		}
	}
	if _, ok := schema.InTenants(errors.New("disk full")); ok {
		t.Error("an error of the tree is taken for one of a file")
	}
}

// missing is a tree that lacks a blob that it names, as after a fetch that was cut off.
type missing struct {
	schema.MapTree
	path string
}

func (m missing) Read(blob schema.BlobID) ([]byte, error) {
	if schema.GitBlobID([]byte(m.MapTree[m.path])) == blob {
		return nil, errors.New("object not found")
	}
	return m.MapTree.Read(blob)
}

// TestG08_MissingBlob: a tree that isn't whole declares nothing at all, rather than less.
func TestG08_MissingBlob(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	for path := range base {
		m, err := schema.Load(missing{base, path}, nil)
		if _, ok := schema.InTenants(err); err == nil || ok || len(m.Tenants)+len(m.Hosts) > 0 {
			t.Errorf("without %s: %v, and %d tenants", path, err, len(m.Tenants))
		}
	}
}
