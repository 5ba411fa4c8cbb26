package git

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"hostctl/schema"
)

// MaxBlob is the size in bytes of the largest file that is read. A configuration has none near it; whoever pushes one
// must not take the memory of the daemon.
const MaxBlob = 64 << 20

// tree is the files of one commit.
type tree struct {
	source *Source
	root   plumbing.Hash

	mu      sync.Mutex // go-git's object store is for one goroutine
	objects store      // nil: closed
}

// Close implements io.Closer: it closes the packs that were read, which else waits for the garbage collector. The tree
// may be read again.
func (t *tree) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.close()
}

func (t *tree) close() error {
	if t.objects == nil {
		return nil
	}
	err := t.objects.Close()
	t.objects = nil
	return err
}

// reopen opens the object store as it is on disk now.
func (t *tree) reopen() error {
	if err := t.close(); err != nil {
		return err
	}
	t.objects = t.source.storage(filesystem.Options{KeepDescriptors: true})
	return nil
}

// Walk implements schema.Tree. git sorts a folder as if its name ended in a slash, so walking it in its own order is
// walking full paths in lexical order.
func (t *tree) Walk(fn func(path string, blob schema.BlobID, mode fs.FileMode) error) error {
	return t.walk("", t.root, fn)
}

func (t *tree) walk(dir string, id plumbing.Hash, fn func(string, schema.BlobID, fs.FileMode) error) error {
	entries, err := t.entries(id)
	if err != nil {
		return fmt.Errorf("read folder %q: %w", dir, err)
	}
	for _, e := range entries {
		if e.Mode == filemode.Dir {
			if err := t.walk(dir+e.Name+"/", e.Hash, fn); err != nil {
				return err
			}
			continue
		}
		if err := fn(dir+e.Name, schema.BlobID(e.Hash.String()), fileMode(e.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// Folder implements schema.Folders.
func (t *tree) Folder(path string) ([]schema.FolderEntry, error) {
	id, err := t.folder(path)
	if err != nil || id.IsZero() {
		return nil, err
	}
	entries, err := t.entries(id)
	if err != nil {
		return nil, fmt.Errorf("read folder %q: %w", path, err)
	}
	out := make([]schema.FolderEntry, len(entries))
	for i, e := range entries {
		out[i] = schema.FolderEntry{Name: e.Name, ID: schema.BlobID(e.Hash.String()), Mode: fs.ModeDir}
		if e.Mode != filemode.Dir {
			out[i].Mode = fileMode(e.Mode)
		}
	}
	return out, nil
}

// WalkFolder implements schema.Folders.
func (t *tree) WalkFolder(path string, fn func(path string, blob schema.BlobID, mode fs.FileMode) error) error {
	id, err := t.folder(path)
	if err != nil || id.IsZero() {
		return err
	}
	return t.walk(path+"/", id, fn)
}

// folder finds a folder; zero where there is none.
func (t *tree) folder(path string) (plumbing.Hash, error) {
	at := t.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			break
		}
		entries, err := t.entries(at)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read folder %q: %w", path, err)
		}
		i := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name && e.Mode == filemode.Dir })
		if i < 0 {
			return plumbing.ZeroHash, nil
		}
		at = entries[i].Hash
	}
	return at, nil
}

func (t *tree) entries(id plumbing.Hash) ([]object.TreeEntry, error) {
	var entries []object.TreeEntry
	err := t.find(plumbing.TreeObject, id, func(o plumbing.EncodedObject) error {
		var dir object.Tree
		if err := dir.Decode(o); err != nil {
			return err
		}
		entries = dir.Entries
		return nil
	})
	return entries, err
}

// fileMode is git's mode as the one of package fs. A submodule is an irregular file.
func fileMode(m filemode.FileMode) fs.FileMode {
	switch m {
	case filemode.Regular, filemode.Deprecated:
		return 0o644
	case filemode.Executable:
		return 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	}
	return fs.ModeIrregular
}

// Read implements schema.Tree.
func (t *tree) Read(blob schema.BlobID) ([]byte, error) {
	if !plumbing.IsHash(string(blob)) {
		return nil, fmt.Errorf("read blob %q: not a blob id", blob)
	}
	var b []byte
	err := t.find(plumbing.BlobObject, plumbing.NewHash(string(blob)), func(o plumbing.EncodedObject) (err error) {
		b, err = readAll(o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", blob, err)
	}
	return b, nil
}

func readAll(o plumbing.EncodedObject) (b []byte, err error) {
	if o.Size() > MaxBlob {
		return nil, fmt.Errorf("%d bytes are more than the %d that a file may have", o.Size(), MaxBlob)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b = make([]byte, o.Size())
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}

// find passes an object to fn. One that isn't found may have moved to another pack since the store was opened.
func (t *tree) find(kind plumbing.ObjectType, id plumbing.Hash, fn func(plumbing.EncodedObject) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.objects != nil {
		if o, err := t.objects.EncodedObject(kind, id); err == nil {
			return fn(o)
		}
	}
	if err := t.reopen(); err != nil {
		return err
	}
	o, err := t.objects.EncodedObject(kind, id)
	if err != nil {
		return err
	}
	return fn(o)
}
