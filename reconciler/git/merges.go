package git

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// ownFiles returns the paths that a commit itself changes. Of a merge that is what differs from its first parent, less the
// files that it merely takes from the other: those that the first parent has left as they were where the two part. What both
// have changed is the merge's own, and so is what it takes back.
func ownFiles(c *object.Commit) ([]string, error) {
	files, err := changedFiles(c)
	if err != nil || c.NumParents() != 2 || len(files) == 0 {
		return files, err
	}
	first, err := c.Parent(0)
	if err != nil {
		return nil, err
	}
	other, err := c.Parent(1)
	if err != nil {
		return nil, err
	}
	bases, err := first.MergeBase(other)
	if err != nil || len(bases) != 1 {
		return files, err
	}
	var trees [4]*object.Tree
	for i, commit := range []*object.Commit{bases[0], first, other, c} {
		if trees[i], err = commit.Tree(); err != nil {
			return nil, err
		}
	}
	var failed error
	files = slices.DeleteFunc(files, func(path string) bool {
		var at [4]fileID
		for i, tree := range trees {
			var err error
			if at[i], err = fileIn(tree, path); err != nil {
				failed = errors.Join(failed, fmt.Errorf("read %s: %w", path, err))
				return false
			}
		}
		base, first, other, merged := at[0], at[1], at[2], at[3]
		return base == first && other == merged
	})
	return files, failed
}

// fileID is what a tree holds at a path; zero where that is nothing.
type fileID struct {
	mode filemode.FileMode
	blob plumbing.Hash
}

func fileIn(tree *object.Tree, path string) (fileID, error) {
	e, err := tree.FindEntry(path)
	switch {
	case errors.Is(err, object.ErrEntryNotFound), errors.Is(err, object.ErrDirectoryNotFound), errors.Is(err, object.ErrFileNotFound):
		return fileID{}, nil
	case err != nil:
		return fileID{}, err
	}
	return fileID{e.Mode, e.Hash}, nil
}
