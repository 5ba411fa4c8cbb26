package users

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hostctl/agent/argv"
	"hostctl/agent/beneath"
	"hostctl/agent/webroots"
	"hostctl/planner"
	"hostctl/schema"
)

// checkKeys refuses what isn't a list of bare public keys, sorted, as package schema writes it: whatever else stands in such
// a file could let in others, or let them do more.
func checkKeys(keys []string) error {
	if len(keys) > schema.MaxSSHKeys {
		return fmt.Errorf("%d keys; at most %d are allowed", len(keys), schema.MaxSSHKeys)
	}
	for i, k := range keys {
		if written, err := schema.ParseSSHKey(k); err != nil {
			return fmt.Errorf("key %d %w", i, err)
		} else if written != k {
			return fmt.Errorf("key %d isn't written as this version writes it", i)
		}
	}
	if !slices.IsSorted(keys) {
		return errors.New("keys out of order")
	}
	return nil
}

// keyFile is AuthorizedKeysFile of the node's sshd_config(5). Its folder is root's, and nobody may list it.
func (m *Manager) keyFile(login string) string {
	return filepath.Join(m.o.Root, "/etc/hostctl/ssh", login)
}

// admit makes the keys of a user those that log it in. sshd reads them at each login. Sessions that a key has opened that is
// no more, or that a user has open who is locked now, are ended.
func (m *Manager) admit(ctx context.Context, u planner.User) error {
	had, err := m.keys(entry{login: u.Login, gid: u.UID})
	if err != nil {
		return err
	}
	if err := m.makeHome(u); err != nil {
		return err
	}
	if len(u.Keys) == 0 {
		return m.shutOut(ctx, u)
	}
	if !slices.Equal(had, u.Keys) {
		text := strings.Join(u.Keys, "\n") + "\n"
		if err := replace(m.keyFile(u.Login), []byte(text), 0o640, u.UID); err != nil { // sshd reads it as the user
			return err
		}
	}
	if u.Locked || slices.ContainsFunc(had, func(k string) bool { return !slices.Contains(u.Keys, k) }) {
		return m.endSessions(ctx, u)
	}
	return nil
}

// shutOut lets a user in no more.
func (m *Manager) shutOut(ctx context.Context, u planner.User) error {
	if err := unlink(m.keyFile(u.Login)); err != nil {
		return err
	}
	return m.endSessions(ctx, u)
}

// endSessions ends what sshd does for a user.
func (m *Manager) endSessions(ctx context.Context, u planner.User) error {
	if m.o.Root != "" {
		return nil // of another system
	}
	_, err := argv.Run(ctx, "pkill", "-KILL", "-u", strconv.Itoa(u.UID), "-x", "sshd-session")
	if argv.Code(err) == 1 { // there were none
		return nil
	}
	return err
}

// makeHome makes the tenant's folder, into which sshd locks the user: root's, writable by nobody else (sshd_config(5),
// ChrootDirectory). Who may not log in needs none; where there is one, its owner and modes are put right.
func (m *Manager) makeHome(u planner.User) error {
	root, err := beneath.Open(filepath.Join(m.o.Root, planner.TenantsRoot))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only held for its path
	if len(u.Keys) == 0 {
		there, err := root.Sub(u.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = there.Close() // only looked for
	}
	dir, err := webroots.Home(root, u.Name, u.UID, m.o.WebGID)
	if err != nil {
		return err
	}
	return dir.Close()
}

// maxKeyFile is far more than the keys of a tenant take.
const maxKeyFile = 1 << 20

// keys returns the lines of a user's file of keys; nil where there is none, or sshd takes none from it, for it isn't root's
// alone to write (sshd_config(5), StrictModes) or too large.
func (m *Manager) keys(e entry) ([]string, error) {
	path := m.keyFile(e.login)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Mode != unix.S_IFREG|0o640 || st.Uid != 0 || int(st.Gid) != e.gid || st.Size > maxKeyFile {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

// replace writes a file of root's beside its place and renames it there.
func replace(path string, text []byte, mode fs.FileMode, gid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil { //nolint:gosec // sshd passes through as the user
		return err
	}
	half := filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path))
	if err := unlink(half); err != nil {
		return err
	}
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chown(0, gid), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(half, path)
}

func unlink(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
