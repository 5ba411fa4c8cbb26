package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"hostctl/schema"
)

// TestManifest holds the demo's manifest against what a reader of its files expects.
func TestManifest(t *testing.T) {
	m := loadExample(t, "demo")
	ignore := cmpopts.IgnoreTypes(schema.Position{})
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got, ignore); diff != "" {
			t.Errorf("%s: -want +got\n%s", what, diff)
		}
	}
	check("platform", m.Platform, schema.Platform{
		Meta: schema.Meta{Kind: "Platform", Name: "hosting"}, Guardrails: schema.DefaultGuardrails, Domain: "hosting.test", Nameservers: []string{"ns1.hosting.test", "ns2.hosting.test"},
		Hostmaster: "hostmaster@hosting.test", TTL: 300, UIDs: schema.Range{First: 20000, Last: 59999},
	})
	check("cluster", m.Clusters[0], schema.Cluster{
		Meta: schema.Meta{Kind: "Cluster", Name: "eu-1"}, Region: "eu", Subnet: "10.77.0.0/24", HAProxy: schema.Infrastructure{Profile: "lb", Count: 1},
		PowerDNS: schema.Infrastructure{Profile: "dns", Count: 1}, ServiceDB: schema.Infrastructure{Profile: "servicedb", Count: 1},
	})
	check("shard", named(t, m.Shards, "web-1"), schema.Shard{Meta: schema.Meta{Kind: "Shard", Name: "web-1"}, Cluster: "eu-1", Role: "web", NodeCount: 2, Profile: "web"})
	check("plan", named(t, m.Plans, "small").Resources, schema.Resources{Memory: 512 << 20, CPU: 1, Disk: 5 << 30})
	check("fqdn", named(t, m.FQDNs, "www.globex.test"), schema.FQDN{Meta: schema.Meta{Kind: "FQDN", Name: "www.globex.test", Tenant: "globex"}, Hostname: "www.globex.test", Webroot: "www", ManageDNS: true, TTL: 600})
	check("zone", named(t, m.Zones, "hosting"), schema.Zone{
		Meta: schema.Meta{Kind: "Zone", Name: "hosting"}, Cluster: "eu-1", Domain: "hosting.test", Nameservers: []string{"ns1.hosting.test", "ns2.hosting.test"}, TTL: 300,
	})
	check("record", named(t, m.Records, "status"), schema.ZoneRecord{
		Meta: schema.Meta{Kind: "ZoneRecord", Name: "status", Tenant: "globex"}, Zone: "globex", FQDN: "status.globex.test", Type: "CNAME", TTL: 600, Values: []string{"www.globex.test."},
	})
	shop := named(t, m.Webroots, "shop")
	content := shop.Content
	shop.Content = nil
	check("webroot", shop, schema.Webroot{
		Meta: schema.Meta{Kind: "Webroot", Name: "shop", Tenant: "acme"}, Runtime: schema.Runtime{Type: "php", Version: "8.4"}, DocumentRoot: "public",
		Env:       map[string]string{"SHOP_CURRENCY": "EUR"},
		PHP:       schema.PHP{INI: map[string]string{"memory_limit": "128M"}, FPM: schema.FPM{MaxChildren: 5, IdleTimeoutSeconds: 30}},
		Redirects: []schema.Redirect{{From: "/old", To: "/", Status: 301}},
	})
	if len(content) != 1 || content[0].Path != "public/index.php" || content[0].Size == 0 || len(content[0].Blob) != 40 {
		t.Errorf("content: %+v", content)
	}
	if got := named(t, m.FQDNs, "shop.acme.test").Position.String(); got != "tenants/acme/shop.yaml:18:7" {
		t.Errorf("the position of shop.acme.test is %s", got)
	}
}

// named returns the one resource of a name.
func named[R any](t *testing.T, all []R, name string) R {
	t.Helper()
	i := slices.IndexFunc(all, func(r R) bool { return reflect.ValueOf(r).FieldByName("Name").String() == name })
	if i < 0 {
		t.Fatalf("there is no %T %s", *new(R), name)
	}
	return all[i]
}

// TestShortFormIsLongForm: the entries of fqdns and records are the same resources as documents of their own.
func TestShortFormIsLongForm(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	rapid.Check(t, func(t *rapid.T) {
		hosts := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z]{1,8}\.more\.example`), 0, 5, strings.ToLower).Draw(t, "hosts")
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{2,8}`), 0, 5, rapid.ID[string]).Draw(t, "names")
		ttl := rapid.IntRange(60, 604800).Draw(t, "ttl")
		short, long := webroot("more"), webroot("more")
		short += "  fqdns:\n    - extra.example\n"
		long += "---\napiVersion: hosting/v1\nkind: FQDN\nspec: {hostname: extra.example, webroot: more}\n"
		for _, h := range hosts {
			short += fmt.Sprintf("    - {hostname: %s, dns: {ttl: %d, manage: false}}\n", h, ttl)
			long += fmt.Sprintf("---\napiVersion: hosting/v1\nkind: FQDN\nspec: {hostname: %s, webroot: more, dns: {ttl: %d, manage: false}}\n", h, ttl)
		}
		zone := "---\napiVersion: hosting/v1\nkind: Zone\nmetadata: {name: more}\nspec:\n  domain: more.example\n"
		short, long = short+zone+"  records:\n    - {name: \"@\", type: MX, values: [\"10 b.example.\", \"10 a.example.\"]}\n", long+zone
		long += "---\napiVersion: hosting/v1\nkind: ZoneRecord\nspec: {zone: more, name: more.example., type: MX, values: [\"10 A.example.\", \"10 b.example.\"]}\n"
		for _, n := range names {
			short += fmt.Sprintf("    - {name: x-%s, type: A, ttl: %d, values: [192.0.2.1]}\n", n, ttl)
			long += fmt.Sprintf("---\napiVersion: hosting/v1\nkind: ZoneRecord\nspec: {zone: more, name: x-%s, type: A, ttl: %d, values: [192.0.2.1]}\n", n, ttl)
		}
		if diff := cmp.Diff(loadWith(t, base, short), loadWith(t, base, long), cmpopts.IgnoreTypes(schema.Position{}, schema.Part{})); diff != "" {
			t.Fatalf("-short +long\n%s", diff)
		}
	})
}

func webroot(name string) string {
	return "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: " + name + "}\nspec:\n  runtime: {type: static}\n"
}

func loadWith(t *rapid.T, base schema.MapTree, data string) schema.Manifest {
	tree := maps.Clone(base)
	tree["tenants/acme/more.yaml"] = data
	m, err := schema.Load(tree, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return m
}

// TestCache: a known blob isn't read again, and what comes out is the same, under other paths too.
func TestCache(t *testing.T) {
	tree := &countingTree{indexTree: manyTenants(t, 50)}
	cache := schema.NewCache()
	first := mustLoad(t, tree, cache)
	reads := tree.reads.Load()
	if reads == 0 {
		t.Fatal("nothing was read")
	}
	if diff := cmp.Diff(first, mustLoad(t, tree, cache)); diff != "" {
		t.Errorf("from the cache: %s", diff)
	}
	if again := tree.reads.Load(); again != reads {
		t.Errorf("%d blobs were read again", again-reads)
	}
	tree.set("tenants/t00007/renamed.yaml", "# a file that declares nothing\n")
	cache.Forget()
	mustLoad(t, tree, cache)
	if again := tree.reads.Load(); again != reads+1 {
		t.Errorf("%d blobs were read for one new file", again-reads)
	}
	if diff := cmp.Diff(first, mustLoad(t, tree, nil), cmpopts.IgnoreFields(schema.Manifest{}, "Parts")); diff != "" {
		t.Errorf("without a cache: %s", diff)
	}
}

type countingTree struct {
	*indexTree
	reads atomic.Int64
}

func (t *countingTree) Read(id schema.BlobID) ([]byte, error) {
	t.reads.Add(1)
	return t.indexTree.Read(id)
}

// TestCacheKeepsErrors: a broken file stays broken when its blob is known, and under each path that holds it.
func TestCacheKeepsErrors(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	base["tenants/acme/x.yaml"] = "a: b: c\n"
	cache := schema.NewCache()
	_, first := schema.Load(base, cache)
	base["tenants/globex/y.yaml"] = base["tenants/acme/x.yaml"]
	_, second := schema.Load(base, cache)
	if first == nil || second == nil || !strings.Contains(second.Error(), "tenants/globex/y.yaml:1:5") || !strings.Contains(second.Error(), "tenants/acme/x.yaml:1:5") {
		t.Errorf("first %v\nsecond %v", first, second)
	}
}

// TestErrorsLeaveTheRest: beside its errors Load returns what is right.
func TestErrorsLeaveTheRest(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	base["tenants/acme/tenant.yaml"] = "a: b: c\n"
	m, err := schema.Load(base, nil)
	if err == nil || len(m.Webroots) != 1 || m.Webroots[0].Tenant != "globex" {
		t.Errorf("%v, %d webroots", err, len(m.Webroots))
	}
}

// TestContentDeclaresNothing: YAML files of a site aren't resources, and a content folder has its limits.
func TestContentDeclaresNothing(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	base["tenants/acme/site.yaml"] = webroot("site") + "  content: {path: files}\n"
	base["tenants/acme/files/config.yaml"] = "not: {a: resource\n"
	m, err := schema.Load(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m.Webroots, func(w schema.Webroot) bool { return w.Name == "site" })
	if got := m.Webroots[i].Content; len(got) != 1 || got[0].Path != "config.yaml" || got[0].Size != int64(len(base["tenants/acme/files/config.yaml"])) {
		t.Errorf("content: %+v", got)
	}
	base["tenants/acme/files/a b.txt"] = "x"
	base["tenants/acme/files/large"] = strings.Repeat("x", schema.MaxContent)
	base["tenants/acme/files/lfs"] = "version https://git-lfs.github.com/spec/v1\n"
	want := "tenants/acme/files/lfs:1:1: is a git LFS pointer, not the file itself; take the file out of LFS (git lfs untrack) and commit it\n" +
		"tenants/acme/site.yaml:6:19: webroot/site: spec.content.path: the file tenants/acme/files/a b.txt: \"a b.txt\" isn't a valid path; use letters, digits and . _ - between single slashes; rename it\n" +
		"tenants/acme/site.yaml:6:19: webroot/site: spec.content.path: the files of tenants/acme/files/ have 1048637 bytes; at most 1048576 are allowed: leave content out and let the tenant bring them\n"
	if diff := cmp.Diff(want, report(base)); diff != "" {
		t.Error(diff)
	}
}

// TestJSONSchemas: each is complete in itself, tells what every field is for, and belongs to a kind.
func TestJSONSchemas(t *testing.T) {
	for _, kind := range schema.Kinds() {
		data, ok := schema.JSONSchema(kind)
		var document map[string]any
		if err := json.Unmarshal(data, &document); !ok || err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		visit(document, "", func(path string, s map[string]any) {
			if ref, ok := s["$ref"].(string); ok && !strings.HasPrefix(ref, "#/$defs/") {
				t.Errorf("%s: %s refers to %s", kind, path, ref)
			}
			properties, _ := s["properties"].(map[string]any)
			for name, p := range properties {
				about, _ := p.(map[string]any)
				if about["description"] == nil && about["$ref"] == nil {
					t.Errorf("%s: %s.%s has no description", kind, path, name)
				}
			}
		})
	}
	if _, ok := schema.JSONSchema("Nothing"); ok {
		t.Error("there is a schema of a kind that doesn't exist")
	}
}

func visit(v any, path string, fn func(string, map[string]any)) {
	switch t := v.(type) {
	case map[string]any:
		fn(path, t)
		for k, c := range t {
			visit(c, path+"/"+k, fn)
		}
	case []any:
		for i, c := range t {
			visit(c, fmt.Sprintf("%s/%d", path, i), fn)
		}
	}
}

// TestManyErrors: a document with more problems than anyone reads tells the first ones, soon.
func TestManyErrors(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	base["tenants/acme/x.yaml"] = webroot("site") + "  fqdns:\n" + strings.Repeat("    - a b\n", 20_000)
	if got := strings.Count(report(base), "\n"); got != 202 { // and the limit of the plan
		t.Errorf("%d errors", got)
	}
}
