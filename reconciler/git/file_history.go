package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"hostctl/reconciler"
)

var _ reconciler.Historian = (*Source)(nil)

// maxHistory is how many commits one look at a file's history walks at most; the page that it comes to may be short.
const maxHistory = 5_000

// History implements reconciler.Historian. It follows first parents: what a branch did is told by the commit that merged it.
func (s *Source) History(ctx context.Context, from, path string, limit int) (commits []reconciler.CommitInfo, next string, err error) {
	if !plumbing.IsHash(from) {
		return nil, "", fmt.Errorf("read the history of %s: %q is no commit id", path, from)
	}
	repo, err := s.repository()
	if err != nil {
		return nil, "", fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	c, err := repo.CommitObject(plumbing.NewHash(from))
	for walked := 0; err == nil && c != nil; walked++ {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		if len(commits) == limit || walked == maxHistory {
			return commits, c.Hash.String(), nil
		}
		var parent *object.Commit
		if parent, err = firstParent(c); err != nil {
			break
		}
		var changed bool
		if changed, err = changes(c, parent, path); err == nil && changed {
			var info reconciler.CommitInfo
			if info, err = told(c, parent); err == nil {
				commits = append(commits, info)
			}
		}
		c = parent
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the history of %s: %w", path, notFound(err))
	}
	return commits, "", nil
}

// firstParent returns nil where history begins, or a shallow clone ends.
func firstParent(c *object.Commit) (*object.Commit, error) {
	if len(c.ParentHashes) == 0 {
		return nil, nil
	}
	p, err := c.Parent(0)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, nil
	}
	return p, err
}

// changes reports whether a commit has another file at a path than its parent.
func changes(c, parent *object.Commit, path string) (bool, error) {
	now, err := blobAt(c, path)
	if err != nil {
		return false, err
	}
	before, err := blobAt(parent, path)
	return now != before, err
}

// blobAt returns the id of a file in a commit, zero where there is none.
func blobAt(c *object.Commit, path string) (plumbing.Hash, error) {
	if c == nil {
		return plumbing.ZeroHash, nil
	}
	t, err := c.Tree()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	e, err := t.FindEntry(path)
	if errors.Is(err, object.ErrEntryNotFound) || errors.Is(err, object.ErrDirectoryNotFound) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return e.Hash, nil
}

func told(c, parent *object.Commit) (reconciler.CommitInfo, error) {
	info := infoOf(c)
	folders, err := foldersOf(c, parent)
	return reconciler.CommitInfo{
		Commit: info.Commit, Author: info.Author, Time: info.Time.UTC().Format(time.RFC3339), Subject: info.Subject, Folders: folders,
	}, err
}

// foldersOf returns the folders that a commit changes, as authorisation counts them: two levels of tenants and clusters.
func foldersOf(c, parent *object.Commit) ([]string, error) {
	now, err := c.Tree()
	if err != nil {
		return nil, err
	}
	before := &object.Tree{}
	if parent != nil {
		if before, err = parent.Tree(); err != nil {
			return nil, err
		}
	}
	var folders []string
	for _, top := range differing(now, before) {
		if top != "tenants" && top != "clusters" {
			folders = append(folders, top)
			continue
		}
		a, err := subtree(now, top)
		if err != nil {
			return nil, err
		}
		b, err := subtree(before, top)
		if err != nil {
			return nil, err
		}
		for _, name := range differing(a, b) {
			folders = append(folders, top+"/"+name)
		}
	}
	slices.Sort(folders)
	return folders, nil
}

func subtree(t *object.Tree, name string) (*object.Tree, error) {
	for _, e := range t.Entries {
		if e.Name == name && e.Mode == filemode.Dir {
			return t.Tree(name)
		}
	}
	return &object.Tree{}, nil
}

// differing returns the names of a tree's entries that aren't the same in another.
func differing(a, b *object.Tree) []string {
	entries := map[string]object.TreeEntry{}
	for _, e := range b.Entries {
		entries[e.Name] = e
	}
	var names []string
	for _, e := range a.Entries {
		if entries[e.Name] != e {
			names = append(names, e.Name)
		}
		delete(entries, e.Name)
	}
	for name := range entries {
		names = append(names, name)
	}
	return names
}
