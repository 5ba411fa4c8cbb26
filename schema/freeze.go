package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Frozen is a tenant whose files can't be read as they are: what is declared of it is as an earlier commit had it.
type Frozen struct {
	Tenant string   `json:"tenant"`
	Commit string   `json:"commit"` // whose files count
	Errors []string `json:"errors"` // what has to be mended, "path:line:col: …"
}

// InTenants sorts what is wrong with a repository by tenant. It is false if anything stands outside the tenants' folders,
// or if err isn't about files at all.
func InTenants(err error) (map[string]Errors, bool) {
	var errs Errors
	if !errors.As(err, &errs) {
		return nil, false
	}
	byTenant := map[string]Errors{}
	for _, e := range errs {
		tenant := file{path: e.File}.owner()
		if !strings.HasPrefix(e.File, "tenants/") || CheckSlug(tenant) != nil {
			return nil, false
		}
		byTenant[tenant] = append(byTenant[tenant], e)
	}
	return byTenant, true
}

// WithTenants returns a tree in which the folders of some tenants are those of other trees. A tenant whose tree has no
// such folder has none.
func WithTenants(t Tree, from map[string]Tree) Tree { return &patched{Tree: t, from: from} }

type patched struct {
	Tree
	from map[string]Tree
}

type treeFile struct {
	path string
	blob BlobID
	mode fs.FileMode
}

// Walk implements Tree.
func (p *patched) Walk(fn func(path string, blob BlobID, mode fs.FileMode) error) error {
	var files []treeFile
	err := p.Tree.Walk(func(path string, blob BlobID, mode fs.FileMode) error {
		if _, frozen := p.from[tenantOf(path)]; !frozen {
			files = append(files, treeFile{path, blob, mode})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, tenant := range sortedKeys(p.from) {
		err := p.from[tenant].Walk(func(path string, blob BlobID, mode fs.FileMode) error {
			if tenantOf(path) == tenant {
				files = append(files, treeFile{path, blob, mode})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read what tenant %s was: %w", tenant, err)
		}
	}
	return inOrder(files, fn)
}

// inOrder calls fn with files by the order of their paths, as Tree.Walk promises.
func inOrder(files []treeFile, fn func(path string, blob BlobID, mode fs.FileMode) error) error {
	slices.SortFunc(files, func(a, b treeFile) int { return strings.Compare(a.path, b.path) })
	for _, f := range files {
		if err := fn(f.path, f.blob, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// Read implements Tree.
func (p *patched) Read(blob BlobID) ([]byte, error) {
	data, err := p.Tree.Read(blob)
	if err == nil {
		return data, nil
	}
	for _, tenant := range sortedKeys(p.from) {
		if old, oldErr := p.from[tenant].Read(blob); oldErr == nil {
			return old, nil
		}
	}
	return nil, err
}

// tenantOf is the tenant whose folder a path is in, or "".
func tenantOf(path string) string {
	if !strings.HasPrefix(path, "tenants/") {
		return ""
	}
	return file{path: path}.owner()
}
