package schema

import (
	"io/fs"
	"slices"
	"strings"
)

// Folders is the ability of a Tree to tell what is in a folder without walking what is below it, so that what is known
// needn't be walked again.
type Folders interface {
	Tree
	// Folder returns what is directly in a folder ("" is the root, "tenants" one below it), in any order; nothing where
	// there is no such folder.
	Folder(path string) ([]FolderEntry, error)
	// WalkFolder is Walk of the files below a folder; of none where there is no such folder.
	WalkFolder(path string, fn func(path string, blob BlobID, mode fs.FileMode) error) error
}

// FolderEntry is a file or a folder that is in another one.
type FolderEntry struct {
	Name string
	ID   BlobID      // of a file its blob; of a folder an id of all that is below it: the same id is always the same files
	Mode fs.FileMode // fs.ModeDir of a folder; of a file as Walk passes it
}

func (e FolderEntry) isTenant() bool { return e.Mode.IsDir() && CheckSlug(e.Name) == nil }

// contents are the folders of a repository that loading looks at, by id.
type contents struct {
	top     []FolderEntry     // what is in the root, sorted by name; without the id of tenants/
	tenants map[string]BlobID // tenant -> its folder
}

// contentsOf reads the folders of a tree. It is false where a tenant can't be told by its folder alone: where there is
// anything in tenants/ but folders with the names of tenants.
func contentsOf(t Folders) (contents, bool, error) {
	top, err := t.Folder("")
	if err != nil {
		return contents{}, false, err
	}
	tenants, err := t.Folder("tenants")
	if err != nil {
		return contents{}, false, err
	}
	out := contents{top: slices.Clone(top), tenants: make(map[string]BlobID, len(tenants))}
	slices.SortFunc(out.top, func(a, b FolderEntry) int { return strings.Compare(a.Name, b.Name) })
	for i, e := range out.top {
		if e.Name == "tenants" || !isTopFolder(e.Name) {
			out.top[i].ID = "" // the one is looked at closer, and of the others the name is
		}
	}
	for _, e := range tenants {
		if !e.isTenant() {
			return contents{}, false, nil
		}
		out.tenants[e.Name] = e.ID
	}
	return out, true, nil
}

// changed returns the tenants whose folders differ, sorted. It is false where anything else differs.
func (c contents) changed(now contents) ([]string, bool) {
	if !slices.Equal(c.top, now.top) {
		return nil, false
	}
	var out []string
	for t, id := range now.tenants {
		if c.tenants[t] != id {
			out = append(out, t)
		}
	}
	for t := range c.tenants {
		if _, ok := now.tenants[t]; !ok {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out, true
}

// someTenants is a tree of the platform's folders and those of some tenants.
type someTenants struct {
	Folders
	tenants []string // sorted
}

// Walk implements Tree.
func (t someTenants) Walk(fn func(path string, blob BlobID, mode fs.FileMode) error) error {
	for _, top := range topFolders {
		if top == "tenants" {
			continue
		}
		if err := t.WalkFolder(top, fn); err != nil {
			return err
		}
	}
	for _, tenant := range t.tenants {
		if err := t.WalkFolder("tenants/"+tenant, fn); err != nil {
			return err
		}
	}
	return nil
}
