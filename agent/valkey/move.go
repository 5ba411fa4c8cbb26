package valkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hostctl/agent/allow"
	"hostctl/executors"
	"hostctl/planner"
)

// frozen is a file that names the freeze that an instance is in: another one for each time that it was closed, and there only
// while nothing can be written. So two who name the same one have the same data.
func (m *Manager) frozen(name string) string { return filepath.Join(m.home(name), "frozen") }

// copied is a file that names the freeze whose data a copy has, once it has all of it.
func (m *Manager) copied(name string) string { return filepath.Join(m.home(name), "copied") }

// incoming is where what comes from another node is until it is all here.
func (m *Manager) incoming(name string) string {
	return filepath.Join(m.o.Data, "incoming", name+".rdb")
}

// isHalf reports whether an instance is a copy that isn't whole.
func (m *Manager) isHalf(o planner.Valkey) bool {
	of, err := readIfThere(m.copied(o.Name))
	return o.Source != nil && (err != nil || of == "")
}

// freeze closes a running instance to all writes, and names the freeze when that is done. Its users read on.
func (m *Manager) freeze(ctx context.Context, c *conn, o planner.Valkey) error {
	closed, err := isClosed(ctx, c)
	if err != nil {
		return err
	}
	if !closed {
		if err := remove(m.frozen(o.Name)); err != nil {
			return err
		}
	}
	if err := m.adjust(ctx, c, o); err != nil {
		return err
	}
	if _, err := os.Lstat(m.frozen(o.Name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return put(m.frozen(o.Name), []byte(rand.Text()), 0o600, 0)
}

func isClosed(ctx context.Context, c *conn) (bool, error) {
	reply, err := c.do(ctx, "CONFIG", "GET", "min-replicas-to-write")
	if err != nil {
		return false, err
	}
	pair, err := texts(reply)
	return err == nil && len(pair) == 2 && pair[1] == "1", err
}

// Snapshot returns all that an instance holds that moves to a node, and which freeze it is in. It refuses every other. Without data
// the snapshot is nil.
//
// It doesn't wait for what is being applied, which may itself wait for another node. That the instance was in one freeze
// before and after is what makes the snapshot one of that freeze.
func (m *Manager) Snapshot(ctx context.Context, name, node string, data bool) (freeze string, snapshot *os.File, err error) {
	tenant, instance, _ := strings.Cut(name, ".")
	if err := allow.Site(name, tenant, instance); err != nil {
		return "", nil, err
	}
	have, err := m.records()
	if err != nil {
		return "", nil, err
	}
	if o, known := have.instances[name]; !known || o.Kept || o.MovedTo == "" || o.MovedTo != node {
		return "", nil, executors.Errorf(executors.Refused, "instance %s doesn't move to node %s", name, node)
	}
	c, err := m.open(ctx, name)
	if err != nil {
		return "", nil, fmt.Errorf("the instance doesn't answer: %w", err)
	}
	defer func() { _ = c.Close() }() // all was read
	freeze, err = m.frozenIn(ctx, c, name)
	if err != nil || !data {
		return freeze, nil, err
	}
	return m.snapshotOf(ctx, c, name, freeze)
}

func (m *Manager) snapshotOf(ctx context.Context, c *conn, name, freeze string) (string, *os.File, error) {
	if err := snapshot(ctx, c); err != nil {
		return "", nil, err
	}
	f, err := openPlain(filepath.Join(m.data(name), snapshotFile))
	if err != nil {
		return "", nil, err
	}
	switch now, err := m.frozenIn(ctx, c, name); {
	case err != nil:
		return "", nil, errors.Join(err, f.Close())
	case now != freeze:
		return "", nil, errors.Join(errors.New("it was opened meanwhile"), f.Close())
	}
	return freeze, f, nil
}

// frozenIn returns which freeze an instance is in.
func (m *Manager) frozenIn(ctx context.Context, c *conn, name string) (string, error) {
	freeze, err := readIfThere(m.frozen(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	closed, err := isClosed(ctx, c)
	if err != nil {
		return "", err
	}
	if !closed || freeze == "" {
		return "", executors.Errorf(executors.Drifted, "the instance can be written to, so it can't be copied: somebody has opened it; the next run closes it")
	}
	return freeze, nil
}

// copyFrom makes an instance a copy of the one that it is to take the place of, closed to writes. One that is whole stays as it
// is: whether it is of the freeze that the other one is in is seen when it is switched to. What else was there goes, after a
// snapshot into the trash.
func (m *Manager) copyFrom(ctx context.Context, have *records, o planner.Valkey) error {
	was, known := have.instances[o.Name]
	if known && was.Source != nil && !was.Kept && !m.isHalf(was) {
		if err := m.remember(have, o); err != nil {
			return err
		}
		return m.serve(ctx, have, o)
	}
	if m.o.Pull == nil {
		return executors.Errorf(executors.Refused, "nothing is copied to this node")
	}
	freeze, err := m.bring(ctx, o)
	if err != nil {
		return err
	}
	if known {
		if err := m.clear(ctx, was); err != nil {
			return err
		}
	}
	if err := errors.Join(m.remember(have, o), m.makeHome(o)); err != nil {
		return err
	}
	if err := os.Rename(m.incoming(o.Name), filepath.Join(m.data(o.Name), snapshotFile)); err != nil {
		return err
	}
	if err := errors.Join(syncFolder(m.data(o.Name)), put(m.copied(o.Name), []byte(freeze), 0o600, 0)); err != nil {
		return err
	}
	return m.serve(ctx, have, o)
}

// bring writes a snapshot of the source where only root comes, and returns which freeze it is of. What is in the place of the
// copy stays until it is all here.
func (m *Manager) bring(ctx context.Context, o planner.Valkey) (freeze string, err error) {
	path := m.incoming(o.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	freeze, err = m.o.Pull(ctx, *o.Source, o.Name, f)
	return freeze, errors.Join(err, f.Chown(uidOf(o), uidOf(o)), f.Sync(), f.Close())
}

// switchTo checks that a copy is of the freeze that its source is in still. Where it isn't, it is to be made anew.
func (m *Manager) switchTo(ctx context.Context, was planner.Valkey) error {
	if m.isHalf(was) {
		return executors.Errorf(executors.Drifted, "what is there is a copy that isn't whole, and nobody is switched to it; the next run copies anew")
	}
	if m.o.Pull == nil {
		return executors.Errorf(executors.Refused, "nothing is copied to this node")
	}
	of, err := readIfThere(m.copied(was.Name))
	if err != nil {
		return err
	}
	now, err := m.o.Pull(ctx, *was.Source, was.Name, nil)
	if err != nil || now == of {
		return err
	}
	if err := remove(m.copied(was.Name)); err != nil {
		return err
	}
	return executors.Errorf(executors.Drifted, "the instance on node %s could be written to since it was copied, and nobody is switched to the copy; the next run copies anew", was.Source.Node)
}

// openPlain opens a file in a folder that isn't root's; what has its name and is something else is refused.
func openPlain(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the snapshot: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case !info.Mode().IsRegular():
		return nil, errors.Join(fmt.Errorf("%s isn't a file", path), f.Close())
	}
	return f, nil
}
