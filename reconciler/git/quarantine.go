package git

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/helper/mount"
	"github.com/go-git/go-billy/v5/helper/polyfill"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"hostctl/reconciler"
)

// OpenQuarantine opens a repository together with the objects of a push that is not accepted yet: the folder that git
// names in GIT_OBJECT_DIRECTORY while pre-receive runs (git-receive-pack(1), "Quarantine Environment").
func OpenQuarantine(dir, branch, objects string) (*Source, error) {
	s, err := Open(dir, branch)
	if err != nil {
		return nil, err
	}
	s.incoming = objects
	return s, nil
}

var _ reconciler.Incoming = (*Source)(nil)

// quarantines begin the names of the folders that git makes for a push, in its objects (tmp-objdir.c; before git 2.35
// without tmp_objdir).
var quarantines = []string{"tmp_objdir-incoming-", "incoming-"}

// Incoming implements reconciler.Incoming: it opens this repository together with the objects of a push to it. Any other
// folder than one that git has made for a push to this very repository is refused.
func (s *Source) Incoming(objects string) (reconciler.Source, error) {
	if err := s.owns(objects); err != nil {
		return nil, fmt.Errorf("read a push to %s: %w", s.gitDir, err)
	}
	with := *s
	with.incoming = objects
	return &with, nil
}

// owns returns nil where a folder holds the objects of a push to this repository.
func (s *Source) owns(objects string) error {
	own, err := os.Stat(filepath.Join(s.commonDir, "objects"))
	if err != nil {
		return err
	}
	dir, name := filepath.Split(objects)
	parent, err := os.Stat(dir)
	if err != nil {
		return err
	}
	made := false
	for _, begin := range quarantines {
		made = made || strings.HasPrefix(name, begin)
	}
	if !filepath.IsAbs(objects) || !os.SameFile(own, parent) || !made {
		return fmt.Errorf("%q is not a folder that git makes there", objects)
	}
	info, err := os.Lstat(objects)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a folder", objects)
	}
	return nil
}

// store is what go-git needs of a repository on disk.
type store interface {
	storage.Storer
	io.Closer
}

// withIncoming lays the objects of a push over those of the repository.
func (s *Source) withIncoming(kept *filesystem.Storage, o filesystem.Options) store {
	fs := polyfill.New(mount.New(osfs.New(s.gitDir), "objects", osfs.New(s.incoming)))
	return layered{Storage: kept, incoming: filesystem.NewStorageWithOptions(fs, cache.NewObjectLRU(cacheSize), o)}
}

// layered is a repository whose objects are looked for among those of a push first.
type layered struct {
	*filesystem.Storage
	incoming *filesystem.Storage
}

// EncodedObject implements storer.EncodedObjectStorer.
func (l layered) EncodedObject(kind plumbing.ObjectType, id plumbing.Hash) (plumbing.EncodedObject, error) {
	o, err := l.incoming.EncodedObject(kind, id)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return l.Storage.EncodedObject(kind, id)
	}
	return o, err
}

// HasEncodedObject implements storer.EncodedObjectStorer.
func (l layered) HasEncodedObject(id plumbing.Hash) error {
	if err := l.incoming.HasEncodedObject(id); err == nil {
		return nil
	}
	return l.Storage.HasEncodedObject(id)
}

// EncodedObjectSize implements storer.EncodedObjectStorer.
func (l layered) EncodedObjectSize(id plumbing.Hash) (int64, error) {
	if n, err := l.incoming.EncodedObjectSize(id); err == nil {
		return n, nil
	}
	return l.Storage.EncodedObjectSize(id)
}

// Close implements io.Closer.
func (l layered) Close() error { return errors.Join(l.incoming.Close(), l.Storage.Close()) }
