package beneath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// deepest is how many folders are open at once while a tree is removed. What lies deeper is first moved up.
const deepest = 64

// Rename moves what has a name in the folder to a name in another folder of the same file system. It takes what is at the
// name, whatever it is, and follows nothing. What has the new name already must be an empty folder.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	if err := unix.Renameat(d.fd(), name, to.fd(), newName); err != nil {
		return &fs.PathError{Op: "rename", Path: name, Err: err}
	}
	return nil
}

// RemoveAll removes what has a name in the folder, with all that is beneath it. Symlinks are removed, never followed; what
// is mounted beneath is not entered. It stops between two files when ctx is done; what is gone already is success.
func (d *Dir) RemoveAll(ctx context.Context, name string) error {
	p := purge{ctx: ctx, root: d}
	if err := p.remove(d, name, 0); err != nil {
		return err
	}
	for ; p.last > 0; p.last-- { // what lay too deep, and deeper than that
		n := p.last
		if err := p.remove(d, moved(n), 0); err != nil {
			return err
		}
		if p.last > n {
			p.last++ // more was moved up meanwhile
		}
	}
	return nil
}

type purge struct {
	ctx  context.Context
	root *Dir
	last int // number of the last folder that was moved up
}

func moved(n int) string { return fmt.Sprintf(".deep-%d", n) }

func (p *purge) remove(in *Dir, name string, depth int) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	err := unix.Unlinkat(in.fd(), name, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM):
		return &fs.PathError{Op: "unlink", Path: name, Err: err}
	}
	if depth >= deepest {
		p.last++
		return in.Rename(name, p.root, moved(p.last))
	}
	if err := p.empty(in, name, depth); err != nil {
		return err
	}
	if err := unix.Unlinkat(in.fd(), name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: name, Err: err}
	}
	return nil
}

// empty removes what is in a folder.
func (p *purge) empty(in *Dir, name string, depth int) error {
	dir, err := in.Sub(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	for {
		names, err := p.some(dir)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, n := range names {
			if err := p.remove(dir, n, depth+1); err != nil {
				return err
			}
		}
	}
}

// some returns names of a folder, from its beginning: those before were removed.
func (p *purge) some(dir *Dir) ([]string, error) {
	f, err := dir.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	names, err := f.Readdirnames(1024)
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return names, err
}
