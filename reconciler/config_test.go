package reconciler_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hostctl/examples"
	"hostctl/schema"
)

// minimal is examples/minimal as a tree.
func minimal(t testing.TB) schema.MapTree {
	t.Helper()
	tree := schema.MapTree{}
	err := fs.WalkDir(examples.Minimal(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(examples.Minimal(), path)
		tree[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// with returns a tree with one text replaced everywhere by another. That it is there is made sure of.
func with(t testing.TB, tree schema.MapTree, old, replacement string) schema.MapTree {
	t.Helper()
	out, found := schema.MapTree{}, false
	for path, text := range tree {
		found = found || strings.Contains(text, old)
		out[path] = strings.ReplaceAll(text, old, replacement)
	}
	if !found {
		t.Fatalf("no file of the tree holds %q", old)
	}
	return out
}

// config is a config repository, in the few choices that random histories make.
type config struct {
	base    schema.MapTree
	hosts   int
	shards  map[string]int // web shard -> nodes
	lbs     int
	image   string // of web nodes: another one replaces them
	homes   map[string]string
	sites   map[[2]string]string // tenant, webroot -> PHP version, or static
	names   map[string][2]string // host name -> tenant, webroot
	zones   map[string]bool      // tenants whose own zone is declared
	records map[string]string    // tenant -> address of the name "extra" in its zone
}

func firstConfig(base schema.MapTree) *config {
	return &config{
		base: base, hosts: 1, shards: map[string]int{"web-1": 2}, lbs: 1, image: "hostctl/web:v1",
		homes: map[string]string{"acme": "web-1"}, sites: map[[2]string]string{{"acme", "www"}: "static"},
		names: map[string][2]string{"a.acme.test": {"acme", "www"}}, zones: map[string]bool{"acme": true}, records: map[string]string{},
	}
}

func (c *config) clone() *config {
	d := *c
	d.shards, d.homes, d.sites = maps.Clone(c.shards), maps.Clone(c.homes), maps.Clone(c.sites)
	d.names, d.zones, d.records = maps.Clone(c.names), maps.Clone(c.zones), maps.Clone(c.records)
	return &d
}

// mutate changes a config in one place and makes it consistent again.
func (c *config) mutate(t *rapid.T) {
	tenant := rapid.SampledFrom([]string{"acme", "globex", "initech"}).Draw(t, "tenant")
	shard := rapid.SampledFrom([]string{"web-1", "web-2"}).Draw(t, "shard")
	site := [2]string{tenant, rapid.SampledFrom([]string{"www", "blog"}).Draw(t, "site")}
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name") + "." + tenant + ".test"
	switch rapid.IntRange(0, 12).Draw(t, "mutation") {
	case 0:
		c.hosts = rapid.IntRange(1, 2).Draw(t, "hosts")
	case 1:
		c.shards[shard] = rapid.IntRange(0, 2).Draw(t, "nodes")
	case 2:
		c.lbs = rapid.IntRange(1, 2).Draw(t, "lbs")
	case 3:
		c.image = rapid.SampledFrom([]string{"hostctl/web:v1", "hostctl/web:v2"}).Draw(t, "image")
	case 4:
		delete(c.homes, tenant)
	case 5, 6:
		c.homes[tenant] = shard
	case 7:
		delete(c.sites, site)
	case 8, 9:
		c.sites[site] = rapid.SampledFrom([]string{"static", "8.3", "8.4"}).Draw(t, "runtime")
	case 10:
		c.names[name] = site
	case 11:
		delete(c.names, name)
	case 12:
		c.zones[tenant] = rapid.Bool().Draw(t, "zone")
		c.records[tenant] = rapid.SampledFrom([]string{"", "192.0.2.77", "192.0.2.78"}).Draw(t, "record")
	}
	c.repair()
}

func (c *config) repair() {
	if c.shards["web-1"] == 0 {
		c.shards["web-1"] = 1
	}
	for t, shard := range c.homes {
		if c.shards[shard] == 0 {
			c.homes[t] = "web-1"
		}
	}
	maps.DeleteFunc(c.sites, func(s [2]string, _ string) bool { return c.homes[s[0]] == "" })
	maps.DeleteFunc(c.names, func(_ string, s [2]string) bool { return c.sites[s] == "" })
}

// tree writes the config as a repository.
func (c *config) tree(t testing.TB) schema.MapTree {
	tree := maps.Clone(c.base)
	delete(tree, "tenants/acme/acme.yaml")
	tree = with(t, tree, "webroots: 2", "webroots: 9")
	tree = with(t, tree, "- type: static", "- type: static\n    - type: php\n      versions: [\"8.3\", \"8.4\"]")
	tree = with(t, tree, "image: hostctl/web:v1", "image: "+c.image)
	tree = with(t, tree, "{profile: lb, count: 1}", fmt.Sprintf("{profile: lb, count: %d}", c.lbs))
	tree = with(t, tree, "nodeCount: 1", fmt.Sprintf("nodeCount: %d", c.shards["web-1"]))
	if c.hosts > 1 {
		tree["clusters/eu-1/host-2.yaml"] = document("Host", "host-2",
			"address: 127.0.0.2", "docker: {endpoint: 'unix:///var/run/docker-2.sock'}", "portRange: {first: 20000, last: 20999}")
	}
	if n := c.shards["web-2"]; n > 0 {
		tree["clusters/eu-1/web-2.yaml"] = document("Shard", "web-2", "role: web", "profile: web", fmt.Sprintf("nodeCount: %d", n))
	}
	for tenant := range c.homes {
		tree["tenants/"+tenant+"/tenant.yaml"] = c.tenant(tenant)
	}
	return tree
}

func (c *config) tenant(tenant string) string {
	docs := []string{document("Tenant", tenant, "plan: small", "shards: {web: "+c.homes[tenant]+"}")}
	for _, webroot := range []string{"blog", "www"} {
		site := [2]string{tenant, webroot}
		runtime := "runtime: {type: static}"
		switch version := c.sites[site]; version {
		case "":
			continue
		case "static":
		default:
			runtime = fmt.Sprintf("runtime: {type: php, version: %q}", version)
		}
		var names []string
		for _, n := range slices.Sorted(maps.Keys(c.names)) {
			if c.names[n] == site {
				names = append(names, n)
			}
		}
		docs = append(docs, document("Webroot", webroot, runtime, "fqdns: ["+strings.Join(names, ", ")+"]"))
	}
	if c.zones[tenant] {
		records := "records: []"
		if a := c.records[tenant]; a != "" {
			records = "records: [{name: extra, type: A, values: [" + a + "]}]"
		}
		docs = append(docs, document("Zone", tenant, "domain: "+tenant+".test", records))
	}
	return strings.Join(docs, "---\n")
}

func document(kind, name string, spec ...string) string {
	return fmt.Sprintf("apiVersion: hosting/v1\nkind: %s\nmetadata:\n  name: %s\nspec:\n  %s\n", kind, name, strings.Join(spec, "\n  "))
}
