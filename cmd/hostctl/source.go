package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/schema"
)

// source is what a verb reads: a commit, or the files of a folder.
type source struct {
	tree   schema.Tree
	commit string // "" where the files aren't just those of a commit
	name   string // for people

	repository string // the folder of the git repository; "" where there is none
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
		return o.revision(ctx, repo, rev)
	}
	switch bare, err := repo.Bare(); {
	case err != nil:
		return source{}, err
	case bare:
		return o.head(ctx, repo)
	}
	s, err := o.folder()
	if err != nil {
		return source{}, err
	}
	s.repository = o.dir
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

func (o *options) head(ctx context.Context, repo *git.Source) (source, error) {
	commit, err := repo.Head(ctx)
	if err != nil {
		return source{}, err
	}
	return o.commit(ctx, repo, commit)
}

func (o *options) revision(ctx context.Context, repo *git.Source, rev string) (source, error) {
	commit, err := repo.Resolve(ctx, rev)
	if err != nil {
		return source{}, err
	}
	return o.commit(ctx, repo, commit)
}

func (o *options) commit(ctx context.Context, repo *git.Source, commit string) (source, error) {
	tree, err := repo.Tree(ctx, commit)
	if err != nil {
		return source{}, err
	}
	return source{tree: tree, commit: commit, name: fmt.Sprintf("commit %.12s", commit), repository: o.dir}, nil
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
	same, err := sameFiles(folder, committed)
	if err != nil || !same {
		return "", err
	}
	return head, nil
}

// sameFiles reports whether a folder holds just the files of a commit, as far as they are read.
func sameFiles(folder, committed schema.Tree) (bool, error) {
	here, err := blobs(folder)
	if err != nil {
		return false, err
	}
	there, err := blobs(committed)
	if err != nil || len(here) != len(there) {
		return false, err
	}
	for path, blob := range here {
		// What a folder names without a blob is a link, or too large to be read, and refused if it matters.
		if other, ok := there[path]; !ok || blob != other && blob != "" {
			return false, nil
		}
	}
	return true, nil
}

// read are the top folders that schema.Load reads. What else a repository holds changes nothing.
var read = []string{"platform", "clusters", "tenants"}

func blobs(t schema.Tree) (map[string]schema.BlobID, error) {
	m := map[string]schema.BlobID{}
	err := t.Walk(func(path string, blob schema.BlobID, _ fs.FileMode) error {
		if top, _, _ := strings.Cut(path, "/"); slices.Contains(read, top) {
			m[path] = blob
		}
		return nil
	})
	return m, err
}
