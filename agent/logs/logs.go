// Package logs keeps the logs of sites on a node: what is asked of each (access), what goes wrong with it (error), and what
// its own program (app) and its jobs (cron) say.
//
//	/var/log/sites                        root:root 0711
//	/var/log/sites/acme.shop.access.log   of group t-acme, 0640
//	/var/log/sites/acme.shop.access.log.1 the one before, up to .7
//
// The folder is root's: a tenant reads its own logs, and can't put anything in their place.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Folder is where logs are by default.
const Folder = "/var/log/sites"

const (
	limit = 16 << 20       // bytes: a log that has more is put aside
	age   = 24 * time.Hour // so is one that was begun before that
	keep  = 7              // so many are kept of each
	month = 31 * age       // and none for longer: a site that went writes no more
	every = time.Minute
)

// Make makes a log that a group may read, if there is none, and its folder.
func Make(path string, gid int) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // the logs in it are closed themselves
		return err
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // whatever the umask
		return err
	}
	f, err := open(path, unix.O_CREAT|unix.O_APPEND|unix.O_WRONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o640), f.Chown(-1, gid), f.Close())
}

// open opens a log, and nothing that is a symlink.
func open(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Rotation puts logs aside that have grown large or old, and removes those that were put aside long ago.
type Rotation struct {
	Dir    string                      // "" is Folder
	Limit  int64                       // bytes; 0 is 16 MiB
	Keep   int                         // 0 is 7
	Reopen func(context.Context) error // makes the web server open its logs anew
	Now    func() time.Time            // nil is time.Now
	Log    *slog.Logger
}

// Run rotates once a minute until ctx is done.
func (r Rotation) Run(ctx context.Context) {
	for {
		if err := r.Once(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("rotate logs", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// Once looks at all logs once.
func (r Rotation) Once(ctx context.Context) error {
	r = r.filled()
	entries, err := os.ReadDir(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	reopen := false
	for _, e := range entries {
		path := filepath.Join(r.Dir, e.Name())
		if !strings.HasSuffix(e.Name(), ".log") || !e.Type().IsRegular() {
			errs = append(errs, r.expire(path))
			continue
		}
		due, err := r.due(path)
		if err != nil || !due {
			errs = append(errs, err)
			continue
		}
		if strings.HasSuffix(path, ".app.log") || strings.HasSuffix(path, ".cron.log") {
			err = r.copyAside(path)
		} else {
			err = r.moveAside(path)
			reopen = true
		}
		errs = append(errs, err)
	}
	if reopen {
		errs = append(errs, r.Reopen(ctx))
	}
	return errors.Join(errs...)
}

func (r Rotation) filled() Rotation {
	if r.Dir == "" {
		r.Dir = Folder
	}
	if r.Limit == 0 {
		r.Limit = limit
	}
	if r.Keep == 0 {
		r.Keep = keep
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	return r
}

// expire removes a log that was put aside a month ago.
func (r Rotation) expire(path string) error {
	if number := strings.TrimPrefix(filepath.Ext(path), "."); !strings.HasSuffix(path, ".log."+number) || len(number) != 1 || number < "1" || number > "9" {
		return nil
	}
	st, err := os.Lstat(path)
	if err != nil || r.Now().Sub(st.ModTime()) < month {
		return err
	}
	return os.Remove(path)
}

// due reports whether a log is to be put aside: it is large, or the one before was put aside a day ago and it isn't empty.
func (r Rotation) due(path string) (bool, error) {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return st.Size() >= r.Limit || r.Now().Sub(begun(path, st)) >= age, nil
}

// begun is when a log was begun: when the one before was put aside. The first one's birth nobody has noted but the kernel.
func begun(path string, st fs.FileInfo) time.Time {
	if before, err := os.Lstat(path + ".1"); err == nil {
		return before.ModTime()
	}
	var x unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &x); err == nil && x.Mask&unix.STATX_BTIME != 0 {
		return time.Unix(x.Btime.Sec, int64(x.Btime.Nsec))
	}
	return st.ModTime()
}

// shift makes room for path.1.
func (r Rotation) shift(path string) error {
	for i := r.Keep; i >= 1; i-- {
		from := fmt.Sprintf("%s.%d", path, i)
		var err error
		if i == r.Keep {
			err = os.Remove(from)
		} else {
			err = os.Rename(from, fmt.Sprintf("%s.%d", path, i+1))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// moveAside puts a log of the web server aside, which goes on writing to it until it opens its logs anew.
func (r Rotation) moveAside(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if err := r.shift(path); err != nil {
		return err
	}
	if err := os.Rename(path, path+".1"); err != nil {
		return err
	}
	now := r.Now()
	return errors.Join(os.Chtimes(path+".1", now, now), Make(path, int(st.Gid)))
}

// copyAside copies a program's log aside and empties it: nobody can tell the program to open another one. It appends, so
// it goes on at the new beginning; what it writes in between is lost.
func (r Rotation) copyAside(path string) error {
	from, err := open(path, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // what was written was synced by nobody
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	if err := r.shift(path); err != nil {
		return err
	}
	if err := Make(path+".1", int(st.Gid)); err != nil {
		return err
	}
	to, err := open(path+".1", unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.LimitReader(from, 4*r.Limit))
	return errors.Join(err, to.Close(), from.Truncate(0))
}
