package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/schema"
)

// source is what a verb reads: a commit, or the files of a folder.
type source struct {
	tree   schema.Tree
	commit string // "" where the files aren't just those of a commit
	name   string // for people
}

// tree returns the revision that was asked for; without one, the files of the folder, which are those of a commit where
// nothing differs from it. A bare repository has no files: there it is the branch.
func (o *options) tree(ctx context.Context, rev string) (source, error) {
	repo, err := git.Open(o.dir, o.branch)
	switch {
	case errors.Is(err, git.ErrNoRepository) && rev == "":
		return o.folder()
	case err != nil:
		return source{}, err
	case rev != "":
		return revision(ctx, repo, rev)
	}
	switch bare, err := repo.Bare(); {
	case err != nil:
		return source{}, err
	case bare:
		return revision(ctx, repo, o.branch)
	}
	s, err := o.folder()
	if err != nil {
		return source{}, err
	}
	s.commit, err = commitOf(ctx, repo, s.tree)
	return s, err
}

func (o *options) folder() (source, error) {
	tree, err := schema.Dir(o.dir)
	if err != nil {
		return source{}, err
	}
	return source{tree: tree, name: o.dir}, nil
}

func revision(ctx context.Context, repo *git.Source, rev string) (source, error) {
	commit, err := repo.Resolve(ctx, rev)
	if err != nil {
		return source{}, err
	}
	tree, err := repo.Tree(ctx, commit)
	if err != nil {
		return source{}, err
	}
	return source{tree: tree, commit: commit, name: fmt.Sprintf("commit %.12s", commit)}, nil
}

// commitOf returns the checked-out commit where the folder's files are exactly its files, and "" otherwise.
func commitOf(ctx context.Context, repo *git.Source, folder schema.Tree) (string, error) {
	head, err := repo.Resolve(ctx, "HEAD")
	if errors.Is(err, reconciler.ErrNoCommit) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	committed, err := repo.Tree(ctx, head)
	if err != nil {
		return "", err
	}
	a, errA := blobs(folder)
	b, errB := blobs(committed)
	if err := errors.Join(errA, errB); err != nil {
		return "", err
	}
	if !maps.Equal(a, b) {
		return "", nil
	}
	return head, nil
}

func blobs(t schema.Tree) (map[string]schema.BlobID, error) {
	m := map[string]schema.BlobID{}
	err := t.Walk(func(path string, blob schema.BlobID, _ fs.FileMode) error {
		m[path] = blob
		return nil
	})
	return m, err
}
