package beneath

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Size is how much is beneath a folder.
type Size struct {
	Bytes int64 // allocated; a file with several names counts with each of them
	Files int64 // and folders, this one not counted
}

// tooDeep is where measuring stops going down: nobody's site is that deep, and each level holds a folder open.
const tooDeep = 128

// Measure adds up what is beneath the folder. Symlinks count as what they are and are never followed. What goes meanwhile
// isn't counted, what lies too deep isn't either. It stops between two folders when ctx is done.
func (d *Dir) Measure(ctx context.Context) (Size, error) {
	var s Size
	return s, d.measure(ctx, &s, 0)
}

func (d *Dir) measure(ctx context.Context, s *Size, depth int) error {
	if err := ctx.Err(); err != nil || depth > tooDeep {
		return err
	}
	f, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if err := d.measureOne(ctx, name, s, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d *Dir) measureOne(ctx context.Context, name string, s *Size, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	s.Bytes += st.Blocks * 512
	s.Files++
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	sub, err := d.Sub(name)
	var other *NotPlain
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.As(err, &other) {
		return nil // it was a folder just now
	}
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }() // only held for its path
	return sub.measure(ctx, s, depth+1)
}
