package schema_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hostctl/schema"
)

// folderTree is a MapTree that is Folders, as a commit is. It counts how often all of it was walked.
type folderTree struct {
	schema.MapTree
	whole *int
}

func (t folderTree) Walk(fn func(string, schema.BlobID, fs.FileMode) error) error {
	*t.whole++
	return t.MapTree.Walk(fn)
}

func (t folderTree) WalkFolder(path string, fn func(string, schema.BlobID, fs.FileMode) error) error {
	below := schema.MapTree{}
	for p, data := range t.MapTree {
		if strings.HasPrefix(p, path+"/") {
			below[p] = data
		}
	}
	return below.Walk(fn)
}

func (t folderTree) Folder(path string) ([]schema.FolderEntry, error) {
	if path != "" {
		path += "/"
	}
	text := map[string]string{}
	modes := map[string]fs.FileMode{}
	for _, p := range slices.Sorted(maps.Keys(t.MapTree)) {
		rest, ok := strings.CutPrefix(p, path)
		if !ok {
			continue
		}
		name, _, below := strings.Cut(rest, "/")
		text[name] += rest + "\x00" + t.MapTree[p] + "\x00"
		if below {
			modes[name] = fs.ModeDir
		}
	}
	var out []schema.FolderEntry
	for name, all := range text {
		out = append(out, schema.FolderEntry{Name: name, ID: schema.BlobID(fmt.Sprintf("%x", sha256.Sum256([]byte(all)))), Mode: modes[name]})
	}
	return out, nil
}

// TestChangedTenants: whatever is edited, and in whatever order, what is loaded of the tenants that have changed and of
// those that have to do with them is what loading everything comes to: the manifest, the warnings and the errors.
func TestChangedTenants(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	base["platform/plans/small.yaml"] = strings.Replace(base["platform/plans/small.yaml"], "zones: 3", "zones: 9", 1)
	whole, all := 0, 0 // of trees without errors
	rapid.Check(t, func(t *rapid.T) {
		tree := maps.Clone(base)
		cache := schema.NewCache()
		asked := maps.Clone(base)
		for range rapid.IntRange(2, 12).Draw(t, "commits") {
			good := maps.Clone(tree)
			for range rapid.IntRange(0, 2).Draw(t, "edits") {
				edit(t, tree)
			}
			want, wantErr := schema.Load(folderTree{tree, new(int)}, nil)
			if rapid.Bool().Draw(t, "ask") { // loading aside what may never come changes nothing
				edit(t, asked)
				want, wantErr := schema.Load(folderTree{asked, new(int)}, nil)
				got, err := schema.Load(folderTree{asked, new(int)}, cache.Aside())
				if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Fatalf("aside: got %v\nwant %v\n%s\n%v", err, wantErr, diff, asked)
				}
			}
			before := whole
			got, err := schema.Load(folderTree{tree, &whole}, cache)
			if all++; wantErr != nil {
				all, whole = all-1, before // to tell what is wrong, everything is looked at
			}
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("got  %v\nwant %v\n%v", err, wantErr, tree)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("-want +got\n%s\n%v", diff, tree)
			}
			if wantErr != nil && rapid.IntRange(0, 3).Draw(t, "mended") > 0 {
				tree = good
			}
		}
	})
	t.Logf("%d of %d loads looked at everything", whole, all)
	if whole > all/2 {
		t.Errorf("%d of %d loads looked at everything, not at what has changed alone", whole, all)
	}
}

// edit writes or removes a file. The names are few, so that tenants get in each other's way.
func edit(t *rapid.T, tree schema.MapTree) {
	tenant := rapid.SampledFrom([]string{"aa", "bb", "cc", "dd", "ee"}).Draw(t, "tenant")
	file := "tenants/" + tenant + "/" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "file") + ".yaml"
	switch rapid.IntRange(0, 20).Draw(t, "what") {
	case 0:
		delete(tree, file)
		return
	case 1:
		maps.DeleteFunc(tree, func(p, _ string) bool { return strings.HasPrefix(p, "tenants/"+tenant+"/") })
		return
	case 2:
		file = "platform/more.yaml"
		tree[file] = zoneFile(t, "shared")
		return
	case 3:
		tree["tenants/"+tenant+"/site/index.html"] = rapid.StringMatching(`[a-z]{3}`).Draw(t, "content")
		return
	case 4:
		tree[rapid.SampledFrom([]string{"README.md", "tenant/x.yaml", "tenants/x.yaml", "tenants/Aa/x.txt", "tenants/aa/x.txt"}).Draw(t, "odd")] = "a: b\n"
		return
	case 5:
		maps.DeleteFunc(tree, func(p, _ string) bool {
			return p == "tenant/x.yaml" || p == "tenants/x.yaml" || p == "tenants/Aa/x.txt" || p == "platform/more.yaml"
		})
		return
	case 6:
		tree[file] = "a: b: c\n"
		return
	case 7:
		kind := rapid.SampledFrom([]func(*rapid.T, string) string{databaseFile, valkeyFile}).Draw(t, "kind")
		tree[file] = kind(t, "d"+strings.TrimSuffix(file[len(file)-6:], ".yaml"))
	case 8, 9, 10:
		tree[file] = siteFile(t, strings.TrimSuffix(file[len(file)-6:], ".yaml"))
	case 11, 12, 13, 14:
		tree[file] = mailFile(t, strings.TrimSuffix(file[len(file)-6:], ".yaml"))
	default:
		tree[file] = zoneFile(t, "z"+strings.TrimSuffix(file[len(file)-6:], ".yaml"))
	}
	tree["tenants/"+tenant+"/tenant.yaml"] = fmt.Sprintf("apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: %s}\nspec: {plan: small, shards: {web: web-1, database: db-1, valkey: valkey-1}}\n", tenant)
}

func databaseFile(t *rapid.T, name string) string {
	return fmt.Sprintf("apiVersion: hosting/v1\nkind: Database\nmetadata: {name: %s}\nspec:\n  users:\n    - {name: %s, privileges: %s, password: {generate: true}}\n",
		strings.Trim(name, "/."), rapid.SampledFrom([]string{"app", "cron", "other"}).Draw(t, "user"), rapid.SampledFrom([]string{"readonly", "admin"}).Draw(t, "privileges"))
}

func valkeyFile(t *rapid.T, name string) string {
	return fmt.Sprintf("apiVersion: hosting/v1\nkind: ValkeyInstance\nmetadata: {name: %s}\nspec:\n  maxMemory: %s\n  users:\n    - {name: %s, password: {generate: true}}\n",
		strings.Trim(name, "/."), rapid.SampledFrom([]string{"64Mi", "1Gi"}).Draw(t, "memory"), rapid.SampledFrom([]string{"app", "cron"}).Draw(t, "user"))
}

var domains = []string{"one.example", "two.example", "sub.one.example", "three.example", "deep.sub.one.example", "four.example"}

func domain(t *rapid.T) string { return rapid.SampledFrom(domains).Draw(t, "domain") }

func siteFile(t *rapid.T, name string) string {
	var b strings.Builder
	if rapid.Bool().Draw(t, "job") {
		fmt.Fprintf(&b, "apiVersion: hosting/v1\nkind: CronJob\nmetadata: {name: tidy}\nspec: {webroot: w%s, schedule: '@daily', argv: [tidy]}\n---\n", strings.Trim(name, "/."))
	}
	fmt.Fprintf(&b, "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: w%s}\nspec:\n  runtime: {type: static}\n  fqdns:\n", strings.Trim(name, "/."))
	for range rapid.IntRange(1, 2).Draw(t, "names") {
		fmt.Fprintf(&b, "    - %s%s\n", rapid.SampledFrom([]string{"", "www.", "a.", "b.", "c.d."}).Draw(t, "label"), domain(t))
	}
	return b.String()
}

func zoneFile(t *rapid.T, name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: hosting/v1\nkind: Zone\nmetadata: {name: %s}\nspec:\n  domain: %s\n", strings.ReplaceAll(name, "/", ""), domain(t))
	n := rapid.IntRange(0, 3).Draw(t, "records")
	if n > 0 {
		b.WriteString("  records:\n")
	}
	for range n {
		label := rapid.SampledFrom([]string{"@", "www", "a", "b", "*", "*.c", "sub"}).Draw(t, "record")
		target := rapid.SampledFrom([]string{"", "www.", "a.", "b.", "x.c."}).Draw(t, "to") + domain(t) + "."
		fmt.Fprintf(&b, "    - %s\n", rapid.SampledFrom([]string{
			fmt.Sprintf("{name: %q, type: CNAME, values: [%s]}", label, target),
			fmt.Sprintf("{name: %q, type: MX, values: [\"10 %s\"]}", label, target),
			fmt.Sprintf("{name: %q, type: NS, values: [%s]}", label, target),
			fmt.Sprintf("{name: %q, type: A, values: [192.0.2.1]}", label),
		}).Draw(t, "what record"))
	}
	return b.String()
}

func mailFile(t *rapid.T, name string) string {
	var b strings.Builder
	name = "m" + strings.Trim(name, "/.")
	of := domain(t)
	fmt.Fprintf(&b, "apiVersion: hosting/v1\nkind: EmailDomain\nmetadata: {name: %s}\nspec: {domain: %s, servers: [mx.%s], catchAll: %s}\n", name, of, domain(t), name)
	fmt.Fprintf(&b, "---\napiVersion: hosting/v1\nkind: EmailAccount\nmetadata: {name: %s}\nspec: {address: info@%s}\n", name, of)
	if rapid.Bool().Draw(t, "forward") {
		fmt.Fprintf(&b, "---\napiVersion: hosting/v1\nkind: EmailForward\nmetadata: {name: %s}\nspec: {address: info@%s, destinations: [info@%s]}\n", name, of, domain(t))
	}
	return b.String()
}
