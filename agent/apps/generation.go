package apps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"hostctl/agent/generation"
	"hostctl/agent/s6"
	"hostctl/executors"
	"hostctl/planner"
)

const (
	// settle is how long a new service may take until it answers.
	settle = 60 * time.Second
	// again is how long a service that answered before may take to do so again, before that is told.
	again = 5 * time.Second
	// draining is how long a service that is replaced may take over the requests it has. Those that go on for longer
	// (a WebSocket) are cut then.
	draining = 60 * time.Second
	// grace is how long a service may take to end once it is asked to (SIGTERM).
	grace = 30 * time.Second
)

// bring makes a runtime live. If nothing in it is new, it only makes sure that the current generation is.
func (m *Manager) bring(ctx context.Context, r planner.Runtime, file []byte) error {
	gens := m.gens(r.Name)
	now, err := gens.Current()
	if err != nil {
		return err
	}
	put := map[string][]byte{appFile: file}
	differs, err := gens.Differs(now, put, nil)
	if err != nil {
		return err
	}
	if !differs && now != 0 && m.ensure(ctx, r, now) == nil {
		return nil
	}
	next, err := nextNumber(gens)
	if err != nil {
		return err
	}
	if err := gens.Make(0, next, put, nil); err != nil {
		return fmt.Errorf("write what is to run: %w", err)
	}
	if err := m.start(ctx, r, next, settle); err != nil {
		return errors.Join(err, m.forget(context.WithoutCancel(ctx), r.Name, next))
	}
	if err := errors.Join(gens.Use(next), m.lead(r.Name, next)); err != nil {
		return err
	}
	m.retire(r.Name, now)
	return nil
}

// nextNumber is above that of every generation there is, also of those that are still finishing.
func nextNumber(gens generation.Folder) (int, error) {
	ns, err := gens.Numbers()
	if err != nil || len(ns) == 0 {
		return 1, err
	}
	return slices.Max(ns) + 1, nil
}

// start starts the service of a generation and waits until it answers.
func (m *Manager) start(ctx context.Context, r planner.Runtime, n int, patience time.Duration) error {
	if err := m.add(ctx, r.Name, n); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return m.answers(ctx, r, n, patience)
}

// add starts the service of a generation.
func (m *Manager) add(ctx context.Context, name string, n int) error {
	if err := errors.Join(makeOpen(m.o.Run), makeOpen(filepath.Dir(m.sockets(name))), makeOpen(m.sockets(name)), makeOpen(m.runDir(name, n))); err != nil {
		return err
	}
	err := m.o.Scan.Add(ctx, s6.Service{
		Name: service(name, n), Grace: grace,
		Run: []string{m.o.Program, "exec", filepath.Join(m.gens(name).Dir(n), appFile)},
	})
	if err != nil {
		return executors.Errorf(executors.Busy, "start the site's service: %w", err)
	}
	return nil
}

// makeOpen makes a folder of root's that others may pass through and not list.
func makeOpen(path string) error {
	if err := os.MkdirAll(path, 0o711); err != nil { //nolint:gosec // others pass through; what is in it is closed itself
		return err
	}
	return os.Chmod(path, 0o711) //nolint:gosec // whatever the umask
}

// ensure makes sure that the current generation is live.
func (m *Manager) ensure(ctx context.Context, r planner.Runtime, n int) error {
	state, err := m.o.Scan.State(ctx, service(r.Name, n))
	if err != nil {
		return err
	}
	open, err := listening()
	if err != nil {
		return err
	}
	switch listens := m.listens(open, r.Name, n); {
	case state.Up && listens && m.leads(r.Name, n):
		return nil
	case state.Up && !listens:
		return errors.New("it runs and doesn't listen") // the next generation will
	}
	if err := m.start(ctx, r, n, again); err != nil {
		return err
	}
	return m.lead(r.Name, n)
}

// lead makes nginx's way lead to the socket of a generation.
func (m *Manager) lead(name string, n int) error {
	return generation.Point(m.currentSocket(name), strconv.Itoa(n))
}

func (m *Manager) leads(name string, n int) bool {
	target, err := os.Readlink(m.currentSocket(name))
	return err == nil && target == strconv.Itoa(n)
}

func (m *Manager) currentSocket(name string) string { return filepath.Join(m.sockets(name), "current") }

// end ends a runtime: nobody is led to it any more.
func (m *Manager) end(r planner.Runtime) error {
	gens := m.gens(r.Name)
	numbers, err := gens.Numbers()
	if err != nil {
		return err
	}
	if err := errors.Join(gens.Use(0), unlink(m.currentSocket(r.Name))); err != nil {
		return err
	}
	for _, n := range numbers {
		m.retire(r.Name, n)
	}
	return nil
}

func unlink(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// retire ends the service of a generation that nobody is led to any more, once it has answered what it was asked, and
// doesn't wait for that.
func (m *Manager) retire(name string, n int) {
	if n == 0 {
		return
	}
	m.retired.Go(service(name, n), func(ctx context.Context) {
		m.drained(ctx, name, n)
		_ = m.forget(ctx, name, n) // tried again when the agent starts
	})
}

// Wait returns when every service that was to finish has.
func (m *Manager) Wait() { m.retired.Wait() }

// drained waits until a generation's socket has no connection, twice in a row: nginx may just be on its way from the
// symlink to the socket.
func (m *Manager) drained(ctx context.Context, name string, n int) {
	ctx, cancel := context.WithTimeout(ctx, draining)
	defer cancel()
	for quiet := 0; quiet < 2; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		if busy, err := connections(m.socket(name, n)); err == nil && busy == 0 {
			quiet++
		} else {
			quiet = 0
		}
	}
}

// forget removes all there is of a generation: its service first.
func (m *Manager) forget(ctx context.Context, name string, n int) error {
	if err := m.o.Scan.Remove(ctx, service(name, n), grace+5*time.Second); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(m.runDir(name, n)), m.gens(name).Drop(n)); err != nil {
		return err
	}
	// What is empty now goes too; what isn't stays.
	for _, dir := range []string{m.sockets(name), string(m.gens(name))} {
		if os.Remove(dir) == nil {
			_ = os.Remove(filepath.Dir(dir))
		}
	}
	return nil
}

// Start puts back what a restart of the node has taken away: the services of what was applied. It doesn't wait for them to
// answer. Generations that are not in use, left by an agent that ended too early, are ended.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	names, err := m.names()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, m.startOne(ctx, name))
	}
	return errors.Join(errs...)
}

func (m *Manager) startOne(ctx context.Context, name string) error {
	now, others, err := m.gens(name).InUse()
	if err != nil {
		return err
	}
	for _, n := range others {
		m.retire(name, n)
	}
	if now == 0 {
		return nil
	}
	return errors.Join(m.add(ctx, name, now), m.lead(name, now))
}
