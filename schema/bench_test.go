package schema_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hostctl/schema"
)

// BenchmarkLoad reads 10,000 tenants, each one file with the tenant, a site of ten host names and a zone: first with
// nothing known, then with a cache that knows every blob, then with one file changed.
func BenchmarkLoad(b *testing.B) {
	tree := manyTenants(b, 10_000)
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			mustLoad(b, tree, nil)
		}
	})
	cache := schema.NewCache()
	mustLoad(b, tree, cache)
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			mustLoad(b, tree, cache)
		}
	})
	b.Run("changed", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			tree.set("tenants/t00001/tenant.yaml", strings.Replace(tenantFile("t00001"), "www.", fmt.Sprintf("www%d.", n), 1))
			mustLoad(b, tree, cache)
		}
	})
	b.Run("memory", func(b *testing.B) {
		var before, after runtime.MemStats
		for b.Loop() {
			runtime.GC()
			runtime.ReadMemStats(&before)
			m := mustLoad(b, tree, nil)
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(m)
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-manifest")
	})
}

func mustLoad(tb testing.TB, t schema.Tree, c schema.Cache) schema.Manifest {
	m, err := schema.Load(t, c)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// indexTree is a Tree in memory that finds blobs by id, as git does.
type indexTree struct {
	paths []string
	ids   map[string]schema.BlobID
	blobs map[schema.BlobID][]byte
}

func (t *indexTree) set(path, data string) {
	if _, ok := t.ids[path]; !ok {
		t.paths = append(t.paths, path)
	}
	id := schema.GitBlobID([]byte(data))
	t.ids[path], t.blobs[id] = id, []byte(data)
}

func (t *indexTree) Walk(fn func(string, schema.BlobID, fs.FileMode) error) error {
	for _, p := range t.paths {
		if err := fn(p, t.ids[p], 0); err != nil {
			return err
		}
	}
	return nil
}

func (t *indexTree) Read(id schema.BlobID) ([]byte, error) { return t.blobs[id], nil }

// manyTenants is a repository with n tenants.
func manyTenants(tb testing.TB, n int) *indexTree {
	tb.Helper()
	t := &indexTree{ids: map[string]schema.BlobID{}, blobs: map[schema.BlobID][]byte{}}
	archive := mustArchive(tb, "testdata/base.txtar")
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "tenants/") {
			t.set(f.Name, strings.Replace(string(f.Data), "records: 60", "records: 600", 1))
		}
	}
	for i := range n {
		name := fmt.Sprintf("t%05d", i)
		t.set("tenants/"+name+"/tenant.yaml", tenantFile(name))
	}
	return t
}

// tenantFile declares a tenant with a site of ten host names, and a zone.
func tenantFile(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: hosting/v1
kind: Tenant
metadata:
  name: %[1]s
spec:
  plan: small
  shards: {web: web-1}
---
apiVersion: hosting/v1
kind: Webroot
metadata:
  name: site
spec:
  runtime: {type: php, version: "8.4"}
  documentRoot: public
  fqdns:
`, name)
	for _, host := range []string{"www", "shop", "blog", "api", "cdn", "img", "static", "docs", "status"} {
		fmt.Fprintf(&b, "    - %s.%s.test\n", host, name)
	}
	fmt.Fprintf(&b, `    - %[1]s.test
---
apiVersion: hosting/v1
kind: Zone
metadata:
  name: main
spec:
  domain: %[1]s.test
  records:
    - {name: "@", type: MX, values: ["10 mail.example.com."]}
    - {name: "@", type: TXT, values: ["v=spf1 mx -all"]}
`, name)
	return b.String()
}

// BenchmarkDir reads the same repository from a folder.
func BenchmarkDir(b *testing.B) {
	root := b.TempDir()
	tree := manyTenants(b, 10_000)
	for _, p := range tree.paths {
		write(b, filepath.Join(root, p), string(tree.blobs[tree.ids[p]]))
	}
	for b.Loop() {
		folder, err := schema.Dir(root)
		if err != nil {
			b.Fatal(err)
		}
		mustLoad(b, folder, nil)
		if err := folder.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
