package valkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hostctl/agent/argv"
	"hostctl/agent/s6"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	// settle is how long an instance may take until it answers: it reads its data first.
	settle = 60 * time.Second
	// writing is how long it may take to write all of it.
	writing = 5 * time.Minute
	// grace is how long it may take to end; it writes a snapshot then.
	grace = 2 * time.Minute
)

// makeInstance brings an instance about, or keeps its data where nobody declares it any more. The record is written first, so
// that what was made is known to be ours even if nothing came after.
func (m *Manager) makeInstance(ctx context.Context, have *records, o planner.Valkey) error {
	if was, known := have.instances[o.Name]; known && was.Port != o.Port {
		return executors.Errorf(executors.Conflict, "it is there with port %d, and its data is of the user that goes with it", was.Port)
	}
	for name, other := range have.instances {
		if name != o.Name && other.Port == o.Port {
			return executors.Errorf(executors.Conflict, "port %d is that of %s", o.Port, name)
		}
	}
	if err := m.claim(ctx, have, o); err != nil {
		return err
	}
	switch was := have.instances[o.Name]; {
	case o.Kept:
		return errors.Join(m.remember(have, o), m.makeHome(o), m.stop(ctx, o))
	case o.Source != nil:
		return m.copyFrom(ctx, have, o)
	case was.Source != nil:
		if err := m.switchTo(ctx, was); err != nil {
			return err
		}
	}
	if err := m.remember(have, o); err != nil {
		return err
	}
	return m.serve(ctx, have, o)
}

// serve has an instance answer with its settings and users. One that moves takes no writes from then on.
func (m *Manager) serve(ctx context.Context, have *records, o planner.Valkey) error {
	if err := m.prepare(o); err != nil {
		return err
	}
	if o.MovedTo == "" {
		if err := remove(m.frozen(o.Name)); err != nil {
			return err
		}
	}
	if err := m.start(ctx, have, o); err != nil {
		return err
	}
	c, err := m.answering(ctx, o.Name)
	if err != nil {
		return err
	}
	adjust := m.adjust
	if o.MovedTo != "" {
		adjust = m.freeze
	}
	if err := adjust(ctx, c, o); err != nil {
		return errors.Join(err, c.Close())
	}
	return errors.Join(c.Close(), m.admit(ctx, have, o.Name))
}

// prepare makes what an instance needs before it starts.
func (m *Manager) prepare(o planner.Valkey) error {
	if err := m.makeHome(o); err != nil {
		return err
	}
	run, gid := m.run(o.Name), uidOf(o)
	if err := errors.Join(folder(m.o.Run, 0o755, 0, 0), folder(run, 0o750, 0, gid), folder(filepath.Dir(m.socket(o.Name)), 0o700, gid, gid)); err != nil {
		return err
	}
	for _, name := range []string{caFile, certFile, keyFile} {
		b, err := os.ReadFile(filepath.Join(m.o.TLS, name))
		if err != nil {
			return err
		}
		if have, err := readIfThere(filepath.Join(run, name)); err == nil && have == string(b) {
			continue
		}
		if err := put(filepath.Join(run, name), b, 0o440, gid); err != nil {
			return err
		}
	}
	return nil
}

// makeHome makes the folders of an instance's data, and the agent's password.
func (m *Manager) makeHome(o planner.Valkey) error {
	home, uid := m.home(o.Name), uidOf(o)
	if err := errors.Join(folder(filepath.Dir(home), 0o711, 0, 0), folder(home, 0o710, 0, uid), folder(m.data(o.Name), 0o700, uid, uid)); err != nil {
		return err
	}
	if _, err := os.Lstat(m.admin(o.Name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return put(m.admin(o.Name), []byte(rand.Text()+rand.Text()), 0o600, 0)
}

// folder makes a folder, in one of root's, and gives it away.
func folder(path string, mode fs.FileMode, uid, gid int) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(os.Lchown(path, uid, gid), os.Chmod(path, mode))
}

// start starts an instance that doesn't run. Its data is read as it was last written: an instance that is to append to a file
// from now on, and has a snapshot, is told so once it has read that (adjust).
func (m *Manager) start(ctx context.Context, have *records, o planner.Valkey) error {
	state, err := m.o.Scan.State(ctx, service(o.Name))
	if err != nil || state.Up {
		return err
	}
	first := o
	first.Persistence = m.written(o)
	password, err := m.password(o.Name)
	if err != nil {
		return err
	}
	gid := uidOf(o)
	err = errors.Join(put(m.conf(o.Name), []byte(m.configuration(first)), 0o640, gid), put(m.acl(o.Name), []byte(aclFile(password, have.of(o.Name))), 0o640, gid))
	if err != nil {
		return err
	}
	return m.add(ctx, o)
}

// written is the way of persistence in which an instance's data was written, its own where there is none yet.
func (m *Manager) written(o planner.Valkey) schema.Persistence {
	conf, _ := readIfThere(m.conf(o.Name))
	_, err := os.Lstat(filepath.Join(m.data(o.Name), appendFolder))
	appends := err == nil && !strings.Contains(conf, "\nappendonly \"no\"\n")
	_, err = os.Lstat(filepath.Join(m.data(o.Name), snapshotFile))
	switch {
	case appends:
		return schema.PersistAOF
	case o.Persistence == schema.PersistAOF && err == nil:
		return schema.PersistRDB
	}
	return o.Persistence
}

// add starts the service of an instance whose files are there.
func (m *Manager) add(ctx context.Context, o planner.Valkey) error {
	id := strconv.Itoa(uidOf(o))
	err := m.o.Scan.Add(ctx, s6.Service{
		Name: service(o.Name), Grace: grace,
		Run: []string{"s6-applyuidgid", "-u", id, "-g", id, "-G", id, "valkey-server", m.conf(o.Name)},
	})
	if err != nil {
		return executors.Errorf(executors.Busy, "start the instance: %w", err)
	}
	return nil
}

// password is the agent's own.
func (m *Manager) password(name string) (string, error) {
	b, err := os.ReadFile(m.admin(name))
	return string(b), err
}

// open connects to an instance as the agent.
func (m *Manager) open(ctx context.Context, name string) (*conn, error) {
	password, err := m.password(name)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, m.socket(name))
	if err != nil {
		return nil, err
	}
	if _, err := c.do(ctx, "AUTH", agentUser, password); err != nil {
		return nil, errors.Join(fmt.Errorf("log in: %w", err), c.Close())
	}
	return c, nil
}

// answering connects to an instance once it has read its data.
func (m *Manager) answering(ctx context.Context, name string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		c, err := m.open(ctx, name)
		if err == nil {
			if _, err = c.do(ctx, "PING"); err == nil {
				return c, nil
			}
			said := endScript(ctx, c, err)
			_ = c.Close()
			if said != nil {
				return nil, said
			} // it is loading
		}
		select {
		case <-ctx.Done():
			return nil, executors.Errorf(executors.Busy, "the instance doesn't answer (%w); what it says is in the node's log", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// endScript ends a script that keeps an instance from answering (BUSY), and refuses where it can't be ended alone.
func endScript(ctx context.Context, c *conn, err error) error {
	var said refusal
	if !errors.As(err, &said) || !strings.HasPrefix(string(said), "BUSY") {
		return nil
	}
	_, err = c.do(ctx, "SCRIPT", "KILL")
	if errors.As(err, &said) && strings.HasPrefix(string(said), "UNKILLABLE") {
		return executors.Errorf(executors.Refused, "a script of the tenant's runs on, and has written: it ends with the instance only; 's6-svc -k' on its service, within the node, ends that")
	}
	return nil
}

// stop ends an instance with all of its data in a snapshot, whatever its way of persistence. Its users are gone by then.
func (m *Manager) stop(ctx context.Context, o planner.Valkey) error {
	name := service(o.Name)
	state, err := m.o.Scan.State(ctx, name)
	if err != nil {
		return err
	}
	if state.Up {
		c, err := m.answering(ctx, o.Name)
		if err != nil {
			return err
		}
		_, err = c.doWithin(ctx, writing, "SAVE")
		if err := errors.Join(err, c.Close()); err != nil {
			return fmt.Errorf("write a snapshot: %w", err)
		}
	}
	return m.halt(ctx, o)
}

// halt ends an instance with what it has written.
func (m *Manager) halt(ctx context.Context, o planner.Valkey) error {
	if err := m.o.Scan.Remove(ctx, service(o.Name), grace); err != nil {
		return err
	}
	if err := end(ctx, uidOf(o)); err != nil {
		return err
	}
	return os.RemoveAll(m.run(o.Name))
}

// end kills what else runs as the user of an instance: another instance may have its port, and so its user, one day.
func end(ctx context.Context, uid int) error {
	const none = 1 // no process matched, pkill(1)
	if _, err := argv.Run(ctx, "pkill", "-KILL", "-U", strconv.Itoa(uid)); err != nil && argv.Code(err) != none {
		return fmt.Errorf("end what runs as user %d: %w", uid, err)
	}
	return nil
}

// drop removes an instance for good, once a snapshot of it is in the trash. Only one that was kept, or was declared to be deleted
// with its data, may go, and a copy that nobody was switched to.
func (m *Manager) drop(ctx context.Context, have *records, o planner.Valkey) error {
	was, known := have.instances[o.Name]
	if copied := o.Source != nil && (!known || was.Source != nil); !o.Kept && !o.Purge && !copied {
		return executors.Errorf(executors.Refused, "it holds data, and nobody has said that it may go: it was neither kept before, nor is its deletionPolicy Delete")
	}
	if !known {
		return remove(m.incoming(o.Name))
	}
	if err := m.clear(ctx, was); err != nil {
		return err
	}
	return m.forget(have, o.Ref())
}

// clear stops an instance and removes all that it has, once a snapshot is in the trash; of half a copy there is none.
func (m *Manager) clear(ctx context.Context, o planner.Valkey) error {
	half, stop := m.isHalf(o), m.stop
	if half {
		stop = m.halt
	}
	if err := stop(ctx, o); err != nil {
		return err
	}
	if !half {
		if err := m.discard(o.Name); err != nil {
			return err
		}
	}
	return os.RemoveAll(m.home(o.Name))
}
