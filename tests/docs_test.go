package tests

import (
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hostctl/examples"
	"hostctl/schema"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(apiVersion: .*?)```")

// The examples of docs/sites.md are what they say: a repository that holds them, and nothing else of a tenant's, is sound.
func TestDocsSites(t *testing.T) {
	page, err := os.ReadFile("../docs/sites.md")
	if err != nil {
		t.Fatal(err)
	}
	tree := schema.MapTree{}
	add := func(path, text string) { tree[path] = text }
	demo := examples.Minimal()
	err = fs.WalkDir(demo, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, "tenants/") {
			return err
		}
		b, err := fs.ReadFile(demo, path)
		add(path, string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	add("platform/region.yaml", `apiVersion: hosting/v1
kind: Region
metadata: {name: eu}
spec:
  runtimes:
    - type: static
    - {type: php, versions: ["8.4"]}
    - {type: node, versions: ["20"]}
    - {type: python, versions: ["3.13"]}
    - {type: ruby, versions: ["3.3"]}
`)
	add("platform/plans/docs.yaml", "apiVersion: hosting/v1\nkind: HostingPlan\nmetadata: {name: docs}\nspec:\n  limits: {webroots: 20, fqdns: 20}\n")
	add("tenants/docs/docs.yaml", "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: docs}\nspec:\n  plan: docs\n  shards: {web: web-1}\n")
	add("tenants/docs/shop/server.js", "// a file of the site\n")
	add("tenants/docs/shop/public/style.css", "body{}\n")
	blocks := yamlBlock.FindAllSubmatch(page, -1)
	if len(blocks) < 4 {
		t.Fatalf("docs/sites.md has %d examples", len(blocks))
	}
	for i, b := range blocks {
		add("tenants/docs/"+strconv.Itoa(i)+".yaml", string(b[1]))
	}
	m, err := schema.Load(tree, nil)
	if err != nil {
		t.Fatalf("docs/sites.md:\n%v", err)
	}
	if len(m.Webroots) != len(blocks) {
		t.Errorf("%d webroots of %d examples", len(m.Webroots), len(blocks))
	}
}
