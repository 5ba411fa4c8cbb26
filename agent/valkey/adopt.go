package valkey

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"hostctl/agent/beneath"
	"hostctl/executors"
	"hostctl/planner"
)

// claim gives an instance the data that is in its place, where nobody here has made it and it is to be taken over. What else is
// there without a record is somebody else's, and stays as it is.
func (m *Manager) claim(ctx context.Context, have *records, o planner.Valkey) error {
	if _, known := have.instances[o.Name]; known {
		return nil
	}
	data, err := beneath.Open(m.data(o.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = data.Close() }() // nothing is written through it
	switch empty, err := data.Empty(); {
	case err != nil || empty:
		return err
	case o.Source != nil:
		return executors.Errorf(executors.Conflict, "there is data in %s that nobody here has made, where the copy belongs; move it away", m.data(o.Name))
	case !o.Adopt:
		return executors.Errorf(executors.Conflict, "there is data in %s that nobody here has made; take it over with metadata.adopt: true, or choose another name", m.data(o.Name))
	}
	return give(ctx, data, uidOf(o))
}

// give makes all that is in a folder a user's. Nothing is given away before all of it was found to be folders and plain files.
func give(ctx context.Context, data *beneath.Dir, uid int) error {
	var files []*os.File
	var folders []*beneath.Dir
	defer func() {
		for _, f := range files {
			_ = f.Close() // nothing was written
		}
		for _, d := range folders {
			_ = d.Close()
		}
	}()
	err := data.Walk(ctx, func(e beneath.Entry) error {
		switch e.Type() {
		case unix.S_IFDIR:
			d, err := data.Sub(e.Path)
			if err == nil {
				folders = append(folders, d)
			}
			return err
		case unix.S_IFREG:
			f, _, err := data.File(e.Path)
			if err == nil {
				files = append(files, f)
			}
			return err
		}
		return &beneath.NotPlain{Path: e.Path, What: "a symlink"}
	})
	if err != nil {
		return executors.Errorf(executors.Refused, "the data that is to be taken over: %w", err)
	}
	var errs []error
	for _, d := range folders {
		errs = append(errs, d.Own(beneath.Owner{UID: uid, GID: uid, DirMode: 0o700}))
	}
	for _, f := range files {
		errs = append(errs, f.Chown(uid, uid), f.Chmod(0o600))
	}
	return errors.Join(errs...)
}

// claimUser refuses a user that an instance has already, and nobody here has made, unless it is to be taken over: then its
// password and rights become what is declared, as with any other.
func (m *Manager) claimUser(ctx context.Context, have *records, o planner.ValkeyUser) error {
	if was, known := have.users[o.Name]; o.Adopt || known && was.Instance == o.Instance {
		return nil
	}
	c, err := m.answering(ctx, instanceOf(o))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // all was read
	live, err := admitted(ctx, c)
	if err != nil {
		return err
	}
	for line := range live {
		if strings.HasPrefix(line, "user "+o.User+" ") {
			return executors.Errorf(executors.Conflict, "instance %s has a user %s already, and nobody here has made it; take it over with metadata.adopt: true, or choose another name", instanceOf(o), o.User)
		}
	}
	return nil
}
