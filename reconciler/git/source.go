// Package git reads the config repository: a local bare repository that is pushed to, or the one of a work tree. Only
// what is committed counts; work trees and the index are never looked at.
//
// Other programs write to the repository while it is open here: pushes add packs and move branches, gc replaces both. So
// references are read from disk each time, and each Tree opens the object store anew.
package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"hostctl/reconciler"
	"hostctl/schema"
)

// ErrNoRepository says that a folder is not a git repository.
var ErrNoRepository = errors.New("not a git repository; make one with 'hostctl init'")

// Source is the branch of a repository that is made true. It may be used by several goroutines.
type Source struct {
	gitDir    string // where HEAD is
	commonDir string // where refs and objects are; differs from gitDir in a linked work tree
	branch    plumbing.ReferenceName
	tags      map[string]string // that a push brings; see WithTags
	incoming  string            // objects of a push that isn't accepted yet; "" outside of one
}

var _ reconciler.Source = (*Source)(nil)

// Open opens the repository in a folder, bare or with a work tree, to follow a branch. With branch "" that is the branch
// that HEAD names, even if it has no commit yet.
func Open(dir, branch string) (*Source, error) {
	s, err := openSource(dir, branch)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	return s, nil
}

func openSource(dir, branch string) (*Source, error) {
	gitDir, commonDir, err := find(dir)
	if err != nil {
		return nil, err
	}
	s := &Source{gitDir: gitDir, commonDir: commonDir}
	if branch != "" {
		s.branch = plumbing.NewBranchReferenceName(strings.TrimPrefix(branch, "refs/heads/"))
		return s, nil
	}
	repo, err := s.repository()
	if err != nil {
		return nil, err
	}
	head, err := repo.Reference(plumbing.HEAD, false)
	if err != nil {
		return nil, fmt.Errorf("read HEAD: %w", err)
	}
	if head.Type() != plumbing.SymbolicReference || !head.Target().IsBranch() {
		return nil, errors.New("HEAD names no branch; name the branch to follow")
	}
	s.branch = head.Target()
	return s, nil
}

// find returns the folders that hold HEAD and the objects of the repository in dir.
func find(dir string) (gitDir, commonDir string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	if isRepository(dir) {
		return dir, dir, nil
	}
	gitDir = filepath.Join(dir, ".git")
	info, err := os.Stat(gitDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", "", ErrNoRepository
	case err != nil:
		return "", "", err
	case info.IsDir():
		return gitDir, gitDir, nil
	}
	return findLinked(dir, gitDir)
}

// findLinked follows the file .git of a linked work tree (gitrepository-layout(5), "gitfile" and "commondir").
func findLinked(dir, gitFile string) (gitDir, commonDir string, err error) {
	b, err := os.ReadFile(gitFile)
	if err != nil {
		return "", "", err
	}
	to, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
	if !ok {
		return "", "", ErrNoRepository
	}
	gitDir = within(dir, to)
	switch b, err = os.ReadFile(filepath.Join(gitDir, "commondir")); {
	case errors.Is(err, os.ErrNotExist):
		return gitDir, gitDir, nil
	case err != nil:
		return "", "", err
	}
	return gitDir, within(gitDir, strings.TrimSpace(string(b))), nil
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// isRepository looks for what git itself looks for.
func isRepository(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// Branch returns the short name of the branch that is followed.
func (s *Source) Branch() string { return s.branch.Short() }

// repository opens the repository as it is on disk now.
func (s *Source) repository() (*gogit.Repository, error) {
	return gogit.Open(s.storage(filesystem.Options{}), nil)
}

func (s *Source) storage(o filesystem.Options) store {
	o.AlternatesFS = osfs.New("/") // objects/info/alternates names folders anywhere, by whole paths
	fs := osfs.New(s.gitDir)
	if s.commonDir != s.gitDir {
		fs = dotgit.NewRepositoryFilesystem(fs, osfs.New(s.commonDir))
	}
	kept := filesystem.NewStorageWithOptions(fs, cache.NewObjectLRU(cacheSize), o)
	if s.incoming == "" {
		return kept
	}
	return s.withIncoming(kept, o)
}

// cacheSize is for the objects that deltas build on.
const cacheSize = 32 * cache.MiByte

// Head implements reconciler.Source.
func (s *Source) Head(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	repo, err := s.repository()
	if err != nil {
		return "", fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	ref, err := repo.Reference(s.branch, true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return "", fmt.Errorf("branch %s of %s: %w", s.Branch(), s.gitDir, reconciler.ErrNoCommit)
	}
	if err != nil {
		return "", fmt.Errorf("read branch %s of %s: %w", s.Branch(), s.gitDir, err)
	}
	return ref.Hash().String(), nil
}

// Resolve implements reconciler.Source. It takes what git rev-parse takes, as far as go-git knows it: full and short
// commit ids, branches, tags, HEAD, and these with ~ and ^.
func (s *Source) Resolve(ctx context.Context, rev string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	repo, err := s.repository()
	if err != nil {
		return "", fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	hash, err := repo.ResolveRevision(plumbing.Revision(rev))
	if err != nil {
		return "", fmt.Errorf("resolve revision %q: %w", rev, notFound(err))
	}
	c, err := repo.CommitObject(*hash)
	if err != nil {
		return "", fmt.Errorf("resolve revision %q: %w", rev, notFound(err))
	}
	return c.Hash.String(), nil
}

// ErrNoRevision says that a revision names no commit of the repository.
var ErrNoRevision = errors.New("no such commit here; see 'git log', or push it first")

func notFound(err error) error {
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound), errors.Is(err, plumbing.ErrObjectNotFound):
		return ErrNoRevision
	case errors.Is(err, io.EOF): // go-git, of HEAD~7 where there are fewer
		return ErrNoRevision
	}
	return err
}

// Tree implements reconciler.Source. The tree can be read for as long as the repository keeps the commit, also while it
// is pushed to and repacked. It is an io.Closer.
func (s *Source) Tree(ctx context.Context, commit string) (schema.Tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !plumbing.IsHash(commit) {
		return nil, fmt.Errorf("read commit %q: not a commit id", commit)
	}
	t := &tree{source: s}
	if err := t.reopen(); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	c, err := object.GetCommit(t.objects, plumbing.NewHash(commit))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", commit, notFound(err))
	}
	t.root = c.TreeHash
	return t, nil
}
