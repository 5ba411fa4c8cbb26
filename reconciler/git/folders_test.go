package git_test

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/schema"
)

// TestFolders: a folder keeps its id for as long as nothing below it changes, and is walked as Walk walks it.
func TestFolders(t *testing.T) {
	r := newRepo(t)
	r.write("tenants/acme/sites/shop.yaml", "shop\n")
	r.write("tenants/globex/www.yaml", "www\n")
	r.write("README.md", "hello\n")
	first := r.commit("one")
	r.write("tenants/acme/sites/shop.yaml", "another shop\n")
	second := r.commit("two")
	r.push()
	folders := func(commit string) map[string]schema.FolderEntry {
		tree := treeAt(t, r.source(), commit).(schema.Folders)
		out := map[string]schema.FolderEntry{}
		for _, path := range []string{"", "tenants", "nothing", "README.md"} {
			entries, err := tree.Folder(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				out[path+"/"+e.Name] = e
			}
		}
		return out
	}
	before, after := folders(first), folders(second)
	if len(before) != 4 || !before["/tenants"].Mode.IsDir() || before["/README.md"].Mode.IsDir() {
		t.Errorf("%+v", before)
	}
	for path, e := range before {
		if changed := path == "/tenants" || path == "tenants/acme"; (e != after[path]) != changed {
			t.Errorf("%s: %+v, and after a change of acme %+v", path, e, after[path])
		}
	}
	var got []string
	tree := treeAt(t, r.source(), second).(schema.Folders)
	for _, folder := range []string{"tenants/acme", "nothing"} {
		err := tree.WalkFolder(folder, func(path string, _ schema.BlobID, _ fs.FileMode) error {
			got = append(got, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"tenants/acme/sites/shop.yaml"}, got); diff != "" {
		t.Error(diff)
	}
}
