// Package users is the executor of tenants' Unix users on a node: a user and a group of the allocated id, without a
// password, without a shell, its home the tenant's folder. It runs the distribution's own tools (useradd(8) and its kin), so
// their locking and their rules hold. Who may log in by SFTP has a file of public keys, that sshd reads at each login.
package users

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hostctl/agent/allow"
	"hostctl/agent/argv"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Options say where the node's users are kept. The zero value is the system itself.
type Options struct {
	Node string // target of what is observed
	Root string // "" or another root folder, for tests; as useradd's --root

	WebGID int // group of the web server, that goes through tenants' folders
}

// Manager is the executor.
type Manager struct{ o Options }

// New returns the executor.
func New(o Options) *Manager { return &Manager{o: o} }

// entry is a line of passwd, with what shadow says of it.
type entry struct {
	login, home, shell string
	uid, gid           int
	locked             bool
	barred             bool // its password field begins with !, by which sshd takes it for locked (sshd(8), LOGIN PROCESS)
}

// Apply implements executors.Executor.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for i, c := range cs {
		if ctx.Err() != nil {
			errs[i] = executors.NotTried(ctx)
			continue
		}
		if err := m.apply(ctx, c); err != nil {
			errs[i] = executors.Errorf(kindOf(err), "%s: %w", c.Ref(), err)
		}
	}
	return errs
}

func kindOf(err error) executors.Kind {
	switch k := executors.KindOf(err); {
	case k != executors.Unknown:
		return k
	case argv.Code(err) == 8, argv.Code(err) == 1: // the user has a process; the files are locked (useradd(8), EXIT VALUES)
		return executors.Busy
	}
	return executors.Unknown
}

func (m *Manager) apply(ctx context.Context, c planner.Change) error {
	o := c.New
	if o == nil {
		o = c.Old
	}
	u, ok := o.(planner.User)
	if !ok {
		return executors.Errorf(executors.Refused, "users are all that is applied here")
	}
	if err := check(u); err != nil {
		return executors.Errorf(executors.Refused, "%w", err)
	}
	if c.New == nil {
		return m.delete(ctx, u)
	}
	if old, ok := c.Old.(planner.User); ok && old.Login != u.Login {
		if err := check(old); err != nil {
			return executors.Errorf(executors.Refused, "%w", err)
		}
		if err := m.delete(ctx, old); err != nil {
			return err
		}
	}
	return m.make(ctx, u)
}

func check(u planner.User) error {
	if err := schema.CheckSlug(u.Name); err != nil {
		return err
	}
	if err := allow.Login(u.Login); err != nil {
		return err
	}
	if err := allow.UID(u.UID); err != nil {
		return err
	}
	return errors.Join(checkKeys(u.Keys), checkLimits(u.Limits))
}

// make brings a user about. A login that has another id, and an id that has another login, are somebody else's: files
// on disk belong to ids, so neither is ever changed.
func (m *Manager) make(ctx context.Context, u planner.User) error {
	all, err := m.read()
	if err != nil {
		return err
	}
	for _, e := range all {
		if (e.login == u.Login) != (e.uid == u.UID) {
			return executors.Errorf(executors.Conflict, "login %s has id %d here, and should be %s with id %d", e.login, e.uid, u.Login, u.UID)
		}
	}
	switch have, there := find(all, u.Login); {
	case !there:
		err = m.create(ctx, u)
	case have.home != home(u.Name), have.shell != shell, have.locked != u.Locked, have.barred:
		_, err = m.run(ctx, "usermod", "--home", home(u.Name), "--shell", shell, "--password", noPassword, "--expiredate", expiry(u), u.Login)
	}
	if err != nil {
		return err
	}
	if err := m.putLimits(u); err != nil {
		return err
	}
	if err := m.admit(ctx, u); err != nil || !u.Locked {
		return err
	}
	return m.end(ctx, u.UID)
}

const (
	shell      = "/usr/sbin/nologin"
	noPassword = "*" // none that is typed in has that hash (shadow(5)), and the account isn't locked by it
)

func home(tenant string) string { return filepath.Join(planner.TenantsRoot, tenant) }

// expiry is the day from which the account can't be used; an empty one means never. It locks every way in, where a locked
// password would stop passwords only, of which there are none.
func expiry(u planner.User) string {
	if u.Locked {
		return "1970-01-02"
	}
	return ""
}

func (m *Manager) create(ctx context.Context, u planner.User) error {
	id := strconv.Itoa(u.UID)
	// 9: the group is there, from an attempt that got no further. Whether its id is right, useradd's --gid then shows.
	if _, err := m.run(ctx, "groupadd", "--gid", id, u.Login); err != nil && argv.Code(err) != 9 {
		return err
	}
	gid, err := m.group(u.Login)
	if err != nil {
		return err
	}
	if gid != u.UID {
		return executors.Errorf(executors.Conflict, "group %s has id %d here, and should have %d", u.Login, gid, u.UID)
	}
	_, err = m.run(ctx, "useradd", "--no-create-home", "--no-log-init", "--uid", id, "--gid", id,
		"--home-dir", home(u.Name), "--shell", shell, "--password", noPassword, "--expiredate", expiry(u), u.Login)
	return err
}

func (m *Manager) delete(ctx context.Context, u planner.User) error {
	all, err := m.read()
	if err != nil {
		return err
	}
	if e, ok := find(all, u.Login); ok {
		if e.uid != u.UID {
			return executors.Errorf(executors.Conflict, "login %s has id %d here, not %d: it is somebody else's", u.Login, e.uid, u.UID)
		}
		if err := m.shutOut(ctx, u); err != nil {
			return err
		}
		if err := m.remove(ctx, u.Login); err != nil {
			return err
		}
	}
	if err := errors.Join(unlink(m.keyFile(u.Login)), unlink(m.limitsFile(u.Login))); err != nil {
		return err
	}
	if gid, err := m.group(u.Login); err != nil || gid != u.UID {
		return err
	}
	_, err = m.run(ctx, "groupdel", u.Login)
	return err
}

// remove removes a login. What still runs as it is let end for a moment: a pool that was removed finishes its requests.
func (m *Manager) remove(ctx context.Context, login string) error {
	const inUse, none = 8, 6 // userdel(8), EXIT VALUES
	last := time.Now().Add(patience)
	for {
		_, err := m.run(ctx, "userdel", login)
		if err == nil || argv.Code(err) == none {
			return nil
		}
		if argv.Code(err) != inUse || time.Now().After(last) {
			return err
		}
		select {
		case <-ctx.Done():
			return executors.NotTried(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

const patience = 5 * time.Second

// Observe implements executors.Observer: the logins with our prefix.
func (m *Manager) Observe(context.Context) ([]planner.Object, error) {
	all, err := m.read()
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, e := range all {
		if allow.Login(e.login) != nil || filepath.Dir(e.home) != planner.TenantsRoot {
			continue
		}
		keys, err := m.keys(e)
		if err != nil {
			return nil, err
		}
		limits, err := m.limits(e.login)
		if err != nil {
			return nil, err
		}
		objects = append(objects, planner.User{
			Meta:  planner.Meta{Target: m.o.Node, Name: filepath.Base(e.home)},
			Login: e.login, UID: e.uid, Locked: e.locked, Keys: keys, Limits: limits,
		})
	}
	return objects, nil
}

// Present implements executors.Reader. All users are one file.
func (m *Manager) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	all, err := m.Observe(ctx)
	if err != nil {
		return nil, err
	}
	there := make(planner.State, len(all))
	for _, o := range all {
		there[o.Ref()] = o
	}
	found := map[planner.Ref]planner.Object{}
	for _, r := range refs {
		if o, ok := there[r]; ok {
			found[r] = o
		}
	}
	return found, nil
}

func (m *Manager) run(ctx context.Context, words ...string) (string, error) {
	if m.o.Root != "" {
		words = append([]string{words[0], "--root", m.o.Root}, words[1:]...)
	}
	return argv.Run(ctx, words...)
}

func find(all []entry, login string) (entry, bool) {
	for _, e := range all {
		if e.login == login {
			return e, true
		}
	}
	return entry{}, false
}

// read returns all users: passwd(5), with the expiry of shadow(5).
func (m *Manager) read() ([]entry, error) {
	expired, barred := map[string]bool{}, map[string]bool{}
	lines, err := m.lines("shadow", 9)
	if err != nil {
		return nil, err
	}
	for _, f := range lines {
		expired[f[0]] = f[7] == "1" // in days since 1970
		barred[f[0]] = strings.HasPrefix(f[1], "!")
	}
	if lines, err = m.lines("passwd", 7); err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range lines {
		uid, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("passwd: user %s: %w", f[0], err)
		}
		gid, err := strconv.Atoi(f[3])
		if err != nil {
			return nil, fmt.Errorf("passwd: user %s: %w", f[0], err)
		}
		all = append(all, entry{login: f[0], uid: uid, gid: gid, home: f[5], shell: f[6], locked: expired[f[0]], barred: barred[f[0]]})
	}
	return all, nil
}

// group returns the id of a group, -1 where there is none.
func (m *Manager) group(name string) (int, error) {
	lines, err := m.lines("group", 4)
	if err != nil {
		return 0, err
	}
	for _, f := range lines {
		if f[0] == name {
			return strconv.Atoi(f[2])
		}
	}
	return -1, nil
}

// lines reads a file of /etc with that many fields a line.
func (m *Manager) lines(name string, fields int) ([][]string, error) {
	b, err := os.ReadFile(filepath.Join(m.o.Root, "/etc", name))
	if err != nil {
		return nil, err
	}
	var out [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) == fields {
			out = append(out, f)
		}
	}
	return out, nil
}
