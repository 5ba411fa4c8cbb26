package valkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hostctl/executors"
	"hostctl/planner"
)

func hashOf(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// hash returns the hash of a user's password.
func (m *Manager) hash(o planner.ValkeyUser) (string, error) {
	if o.Password == (planner.Held{}) {
		return o.PasswordHash, nil
	}
	if m.o.Secrets == nil {
		return "", errors.New("this node holds no secrets")
	}
	password, err := m.o.Secrets.Value(o.Password)
	if err != nil {
		return "", err
	}
	if len(password) == 0 {
		return "", executors.Errorf(executors.Refused, "the password is empty")
	}
	return hashOf(password), nil
}

// makeUser brings a user about. Clients that are logged in have its new rights from then on; those that came with another password,
// or as a user that is locked now, are disconnected.
func (m *Manager) makeUser(ctx context.Context, have *records, o planner.ValkeyUser) error {
	if v, known := have.instances[instanceOf(o)]; !known || v.Kept {
		return executors.Errorf(executors.Refused, "the instance %s isn't here", instanceOf(o))
	}
	hash, err := m.hash(o)
	if err != nil {
		return err
	}
	if err := m.claimUser(ctx, have, o); err != nil {
		return err
	}
	was, known := have.users[o.Name]
	u := user{ValkeyUser: o, hash: hash}
	if u.before = was.hash; was.hash == hash {
		u.before = was.before
	}
	if !o.Retains || was.Instance != o.Instance {
		u.before = ""
	}
	if err := m.rememberUser(have, u); err != nil {
		return err
	}
	if known && was.Instance != o.Instance {
		if err := m.admit(ctx, have, instanceOf(was.ValkeyUser)); err != nil {
			return err
		}
	}
	if err := m.admit(ctx, have, instanceOf(o)); err != nil || !known || u.takes(was.hash) && u.takes(was.before) && !o.Locked {
		return err
	}
	return m.disconnect(ctx, instanceOf(o), o.User)
}

// takes reports whether a hash is that of a password with which a user logs in; "" is that of nobody.
func (u user) takes(hash string) bool { return hash == "" || hash == u.hash || hash == u.before }

// disconnect ends the connections of a user.
func (m *Manager) disconnect(ctx context.Context, instance, name string) error {
	c, err := m.open(ctx, instance)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, "CLIENT", "KILL", "USER", name)
	return errors.Join(err, c.Close())
}

// dropUser removes a user, whose connections the server ends.
func (m *Manager) dropUser(ctx context.Context, have *records, o planner.ValkeyUser) error {
	was, known := have.users[o.Name]
	if !known {
		return nil
	}
	delete(have.users, o.Name)
	if err := m.admit(ctx, have, instanceOf(was.ValkeyUser)); err != nil {
		return err
	}
	return m.forget(have, o.Ref())
}

// admit lets exactly those users in to an instance that have a record, with no right of before: the server loads all of them
// anew.
func (m *Manager) admit(ctx context.Context, have *records, name string) error {
	o, known := have.instances[name]
	if !known || o.Kept {
		return nil
	}
	password, err := m.password(name)
	if err != nil {
		return err
	}
	users := have.of(name)
	if text, err := readIfThere(m.acl(name)); err != nil || text != aclFile(password, users) {
		if err := put(m.acl(name), []byte(aclFile(password, users)), 0o640, uidOf(o)); err != nil {
			return err
		}
	}
	c, err := m.answering(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if same, err := admits(ctx, c, password, users); same || err != nil {
		return err
	}
	_, err = c.do(ctx, "ACL", "LOAD")
	var said refusal
	if errors.As(err, &said) {
		return executors.Errorf(executors.Refused, "the server doesn't take its users; why is in the node's log") // it would quote a hash
	}
	return err
}

// admits reports whether an instance lets exactly these in.
func admits(ctx context.Context, c *conn, password string, users []user) (bool, error) {
	live, err := admitted(ctx, c)
	if err != nil {
		return false, err
	}
	lines := aclLines(password, users)
	for _, line := range lines {
		if !live[line] {
			return false, nil
		}
	}
	return len(live) == len(lines), nil
}

// admitted reads who may log in, as lines of ACL LIST.
func admitted(ctx context.Context, c *conn) (map[string]bool, error) {
	reply, err := c.do(ctx, "ACL", "LIST")
	if err != nil {
		return nil, err
	}
	lines, err := texts(reply)
	if err != nil {
		return nil, err
	}
	live := make(map[string]bool, len(lines))
	for _, line := range lines {
		live[line] = true
	}
	return live, nil
}

// take moves a snapshot, where there is one, out of a folder that isn't root's, and makes it root's alone. What has its name and
// is something else stays.
func take(from, to string) error {
	f, err := openPlain(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if err := errors.Join(f.Chown(0, 0), f.Chmod(0o400), f.Close(), os.Rename(from, to)); err != nil {
		return err
	}
	now := unix.NsecToTimespec(time.Now().UnixNano()) // the trash keeps it from now on
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{now, now}, unix.AT_SYMLINK_NOFOLLOW)
}
