// Package beneath works on files in folders that somebody else may change at any moment, such as a tenant's site. Every
// path is resolved by the kernel beneath a folder that is held open, with no symlink followed on the way
// (openat2(2): RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS), and what is done is done to what was opened,
// never to a path a second time.
package beneath

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is a folder that is held open.
type Dir struct{ f *os.File }

// Owner is whom new files and folders belong to, and their modes.
type Owner struct {
	UID, GID          int
	FileMode, DirMode uint32
	Pass              int // id of a group that may go through folders too; 0: none
}

// NotPlain is what stands in the way: a symlink, FIFO, socket, device, or a file with several names.
type NotPlain struct {
	Path string
	What string
}

func (e *NotPlain) Error() string { return fmt.Sprintf("%s is %s", e.Path, e.What) }

const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// Open holds a folder whose path only root can change.
func Open(dir string) (*Dir, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Dir{f: os.NewFile(uintptr(fd), dir)}, nil
}

// Close lets the folder go.
func (d *Dir) Close() error { return d.f.Close() }

func (d *Dir) fd() int { return int(d.f.Fd()) }

// open resolves a relative path beneath the folder.
func (d *Dir) open(rel string, flags uint64, mode uint64) (*os.File, error) {
	for {
		fd, err := unix.Openat2(d.fd(), rel, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: resolve})
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path.Join(d.f.Name(), rel)), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // a rename went on meanwhile
			continue
		case errors.Is(err, unix.ELOOP):
			return nil, &NotPlain{Path: rel, What: "a symlink, or behind one"}
		case errors.Is(err, unix.EXDEV):
			return nil, &NotPlain{Path: rel, What: "outside of its folder"}
		}
		return nil, &fs.PathError{Op: "open", Path: rel, Err: err}
	}
}

// Sub holds a folder beneath this one.
func (d *Dir) Sub(rel string) (*Dir, error) {
	f, err := d.open(rel, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f: f}, nil
}

// Make holds the folder rel beneath this one, and makes what isn't there of it. Only folders that it makes get the owner;
// those that are there are left as they are.
func (d *Dir) Make(rel string, o Owner) (*Dir, error) {
	at, err := d.Sub(".")
	if err != nil {
		return nil, err
	}
	for _, part := range split(rel) {
		next, err := at.makeOne(part, o)
		_ = at.Close() // only ever held for its path
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (d *Dir) makeOne(name string, o Owner) (*Dir, error) {
	err := unix.Mkdirat(d.fd(), name, 0o700)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	made := err == nil
	sub, err := d.Sub(name)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, &NotPlain{Path: name, What: "no folder"}
	}
	if err != nil || !made {
		return sub, err
	}
	if err := sub.Own(o); err != nil {
		return nil, errors.Join(err, sub.Close())
	}
	return sub, nil
}

// Own gives the folder itself, and nothing in it, an owner and a mode.
func (d *Dir) Own(o Owner) error {
	// O_PATH descriptors can't be changed; this one is opened from it, so it is the same folder.
	f, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing is written through it
	mode := o.DirMode
	if o.Pass != 0 {
		mode |= 0o010 // what a list allows to others than the owner, the bits of the group bound (acl(5))
	}
	if err := own(f, o.UID, o.GID, mode); err != nil || o.Pass == 0 {
		return err
	}
	return pass(f, o.Pass, mode)
}

// own is by descriptor. Owner first: a change of owner takes set-id bits away.
func own(f *os.File, uid, gid int, mode uint32) error {
	var st unix.Stat_t
	fd := int(f.Fd())
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if int(st.Uid) != uid || int(st.Gid) != gid {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return fmt.Errorf("change owner of %s: %w", f.Name(), err)
		}
		st.Mode = 0
	}
	if st.Mode&0o7777 != mode {
		if err := unix.Fchmod(fd, mode); err != nil {
			return fmt.Errorf("change mode of %s: %w", f.Name(), err)
		}
	}
	return nil
}

// Stat returns what the folder itself is.
func (d *Dir) Stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(d.fd(), &st)
	return st, err
}

// Empty reports whether nothing is in the folder.
func (d *Dir) Empty() (bool, error) {
	f, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// File opens a plain file to be read: not a symlink, FIFO, socket or device, and with one name only. errors.Is(err,
// fs.ErrNotExist) where there is none.
func (d *Dir) File(rel string) (*os.File, unix.Stat_t, error) {
	f, st, err := d.file(rel)
	if err != nil {
		return nil, st, err
	}
	if what := special(st); what != "" {
		return nil, st, errors.Join(&NotPlain{Path: rel, What: what}, f.Close())
	}
	return f, st, nil
}

// file opens what has a name, unless opening it is refused by itself.
func (d *Dir) file(rel string) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	// O_NONBLOCK: opening a FIFO must not wait for its writer.
	f, err := d.open(rel, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	switch {
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return nil, st, &NotPlain{Path: rel, What: "a socket or device"}
	case errors.Is(err, unix.ENOTDIR):
		return nil, st, &NotPlain{Path: rel, What: "behind what is no folder"}
	case err != nil:
		return nil, st, err
	}
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, st, errors.Join(err, f.Close())
	}
	return f, st, nil
}

func special(st unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if st.Nlink > 1 {
			return "a hard link to another file"
		}
		return ""
	case unix.S_IFDIR:
		return "a folder"
	case unix.S_IFIFO:
		return "a FIFO"
	}
	return "a device"
}

// Write puts a file with these bytes in place of rel, whole: written beside it, then renamed. Folders on the way are made.
// What is there must be a plain file (see File).
func (d *Dir) Write(rel string, data []byte, o Owner) error {
	dir, err := d.Make(path.Dir(rel), o)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	name := path.Base(rel)
	switch f, _, err := dir.File(name); {
	case err == nil:
		_ = f.Close() // only looked at
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	tmp := ".hostctl-" + rand.Text()
	if err := dir.create(tmp, data, o); err != nil {
		return errors.Join(err, dir.unlink(tmp))
	}
	if err := unix.Renameat(dir.fd(), tmp, dir.fd(), name); err != nil {
		return errors.Join(&fs.PathError{Op: "rename", Path: rel, Err: err}, dir.unlink(tmp))
	}
	return nil
}

func (d *Dir) create(name string, data []byte, o Owner) error {
	f, err := d.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, own(f, o.UID, o.GID, o.FileMode), f.Sync(), f.Close())
}

// Remove removes a file; one that isn't there is removed already. The name goes, whatever it is; nothing is followed.
func (d *Dir) Remove(rel string) error {
	dir, err := d.Sub(path.Dir(rel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	return dir.unlink(path.Base(rel))
}

// RemoveEmpty removes the folder rel if nothing is in it.
func (d *Dir) RemoveEmpty(rel string) error {
	dir, err := d.Sub(path.Dir(rel))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	return unix.Unlinkat(dir.fd(), path.Base(rel), unix.AT_REMOVEDIR)
}

func (d *Dir) unlink(name string) error {
	if err := unix.Unlinkat(d.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "unlink", Path: name, Err: err}
	}
	return nil
}

// split returns the parts of a path. An absolute one begins with an empty part, which names nothing.
func split(rel string) []string {
	rel = path.Clean(rel)
	if rel == "." {
		return nil
	}
	return strings.Split(rel, "/")
}
