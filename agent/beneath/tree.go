package beneath

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Entry is a folder, a plain file or a symlink beneath a folder.
type Entry struct {
	Path     string
	Mode     uint32 // as stat(2) has it, with the type
	UID, GID int
	Size     int64  // of a file
	Modified int64  // nanoseconds since 1970, of a file
	Link     string // what a symlink holds
}

// Type is what the entry is: unix.S_IFDIR, S_IFREG or S_IFLNK.
func (e Entry) Type() uint32 { return e.Mode & unix.S_IFMT }

// deepestWalk is how deep a tree may be that is walked through.
const deepestWalk = 256

// Walk calls fn for all that is beneath the folder, for each folder before what is in it. Symlinks are entries by themselves
// and never followed; FIFOs, sockets and devices are passed over, and so is what goes meanwhile.
func (d *Dir) Walk(ctx context.Context, fn func(Entry) error) error { return d.walk(ctx, "", 0, fn) }

func (d *Dir) walk(ctx context.Context, at string, depth int, fn func(Entry) error) error {
	if depth > deepestWalk {
		return &NotPlain{Path: at, What: fmt.Sprintf("deeper than %d folders", deepestWalk)}
	}
	names, err := d.names(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		e, ok, err := d.entry(name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		e.Path = path.Join(at, name)
		if err := fn(e); err != nil {
			return err
		}
		if e.Type() != unix.S_IFDIR {
			continue
		}
		sub, err := d.Sub(name)
		var other *NotPlain
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.As(err, &other) {
			continue // it was a folder just now
		}
		if err != nil {
			return err
		}
		err = sub.walk(ctx, e.Path, depth+1, fn)
		if err := errors.Join(err, sub.Close()); err != nil {
			return err
		}
	}
	return nil
}

// names returns the names in the folder.
func (d *Dir) names(ctx context.Context) ([]string, error) {
	f, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	var names []string
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := f.Readdirnames(1024)
		names = append(names, more...)
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// entry returns what has a name in the folder, if it is an entry.
func (d *Dir) entry(name string) (Entry, bool, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return Entry{}, false, nil
		}
		return Entry{}, false, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	e := Entry{Mode: st.Mode, UID: int(st.Uid), GID: int(st.Gid)}
	switch e.Type() {
	case unix.S_IFDIR:
		return e, true, nil
	case unix.S_IFREG:
		e.Size, e.Modified = st.Size, st.Mtim.Nano()
		return e, true, nil
	case unix.S_IFLNK:
		held := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(d.fd(), name, held)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // it was a symlink just now
			return Entry{}, false, nil
		}
		if err != nil {
			return Entry{}, false, &fs.PathError{Op: "readlink", Path: name, Err: err}
		}
		e.Link = string(held[:n])
		return e, true, nil
	}
	return Entry{}, false, nil
}

// FileOf opens a file as File does, and also one with several names if it is a user's: nobody else's data can be in it.
func (d *Dir) FileOf(rel string, uid int) (*os.File, unix.Stat_t, error) {
	f, st, err := d.file(rel)
	if err != nil {
		return nil, st, err
	}
	if what := special(st); what != "" && (st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != uid) {
		return nil, st, errors.Join(&NotPlain{Path: rel, What: what}, f.Close())
	}
	return f, st, nil
}

// Put writes a file whole in place of what has its name, which must not be a folder: beside it, then renamed. Its folder must
// be there. The file has the owner, and the time at which it was modified in nanoseconds since 1970.
func (d *Dir) Put(rel string, o Owner, modified int64, write func(io.Writer) error) error {
	dir, err := d.Sub(path.Dir(rel))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	tmp := ".hostctl-" + rand.Text()
	f, err := dir.open(tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = errors.Join(own(f, o.UID, o.GID, o.FileMode), setModified(f, modified))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.unlink(tmp))
	}
	if err := unix.Renameat(dir.fd(), tmp, dir.fd(), path.Base(rel)); err != nil {
		return errors.Join(&fs.PathError{Op: "rename", Path: rel, Err: err}, dir.unlink(tmp))
	}
	return nil
}

// Touch sets when a plain file was modified, in nanoseconds since 1970.
func (d *Dir) Touch(rel string, modified int64) error {
	f, _, err := d.File(rel)
	if err != nil {
		return err
	}
	return errors.Join(setModified(f, modified), f.Close())
}

func setModified(f *os.File, at int64) error {
	t := unix.NsecToTimespec(at)
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), []unix.Timespec{t, t}, 0)
}

// Link makes a symlink, in place of what has its name, which must not be a folder.
func (d *Dir) Link(rel, holds string, uid, gid int) error {
	dir, err := d.Sub(path.Dir(rel))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	tmp := ".hostctl-" + rand.Text()
	if err := unix.Symlinkat(holds, dir.fd(), tmp); err != nil {
		return &fs.PathError{Op: "symlink", Path: rel, Err: err}
	}
	err = unix.Fchownat(dir.fd(), tmp, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		err = unix.Renameat(dir.fd(), tmp, dir.fd(), path.Base(rel))
	}
	if err != nil {
		return errors.Join(&fs.PathError{Op: "symlink", Path: rel, Err: err}, dir.unlink(tmp))
	}
	return nil
}

// Flush writes to disk all that was written to the folder's file system.
func (d *Dir) Flush() error {
	f, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	return unix.Syncfs(int(f.Fd()))
}
