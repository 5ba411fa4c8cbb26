package php

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hostctl/agent/argv"
	"hostctl/agent/beneath"
	"hostctl/agent/generation"
	"hostctl/agent/limit"
	"hostctl/agent/s6"
	"hostctl/executors"
	"hostctl/planner"
)

const (
	mainFile = "php-fpm.main" // not *.conf: those are pools
	settle   = 20 * time.Second
	// finishing is how long a master that is replaced may take over the requests it has.
	finishing = (requestSeconds + 10) * time.Second
	// draining is how long connections that a replaced master has not accepted yet may wait for it.
	draining = 30 * time.Second
)

func service(version string, n int) string { return fmt.Sprintf("php-%s-%d", version, n) }

func (m *Manager) runDir(version string, n int) string {
	return filepath.Join(m.o.Run, version, strconv.Itoa(n))
}

// main is a master's own file.
func (m *Manager) main(version string, n int) []byte {
	return fmt.Appendf(nil, "[global]\nerror_log = /proc/self/fd/2\ndaemonize = no\nprocess_control_timeout = %d\ninclude = %s/*.conf\n",
		int(finishing.Seconds()), m.gens(version).Dir(n))
}

// bring makes an edit live. If nothing in it is new, it only makes sure that the current generation is.
func (m *Manager) bring(ctx context.Context, e *edit) error {
	gens := m.gens(e.version)
	now, err := gens.Current()
	if err != nil {
		return err
	}
	differs, err := gens.Differs(now, e.put, e.remove)
	if err != nil {
		return err
	}
	if !differs && (now == 0 || m.ensure(ctx, e.version, now) == nil) {
		return nil
	}
	next, err := m.nextNumber(gens)
	if err != nil {
		return err
	}
	e.put[mainFile] = m.main(e.version, next)
	if err := gens.Make(now, next, e.put, e.remove); err != nil {
		return fmt.Errorf("write pools: %w", err)
	}
	return m.replace(ctx, e.version, now, next)
}

// nextNumber is above that of every generation there is, also of those that are still finishing.
func (m *Manager) nextNumber(gens generation.Folder) (int, error) {
	ns, err := gens.Numbers()
	if err != nil || len(ns) == 0 {
		return 1, err
	}
	return slices.Max(ns) + 1, nil
}

// replace lets generation next take over from now. If next has no pools, there is no master.
func (m *Manager) replace(ctx context.Context, version string, now, next int) error {
	gens := m.gens(version)
	names, err := m.socketNames(version, next)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if err := errors.Join(gens.Drop(next), gens.Use(0), unlink(m.currentSockets(version))); err != nil {
			return err
		}
		m.retire(version, now)
		return nil
	}
	if err := m.start(ctx, version, next, names); err != nil {
		return errors.Join(err, m.forget(context.WithoutCancel(ctx), version, next))
	}
	if err := errors.Join(gens.Use(next), m.lead(version, next)); err != nil {
		return err
	}
	m.retire(version, now)
	return nil
}

// start checks a generation, starts its master and waits until all of its sockets listen.
func (m *Manager) start(ctx context.Context, version string, n int, names []string) error {
	dir := m.runDir(version, n)
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // nginx passes through; the sockets are closed themselves
		return err
	}
	command := m.command(version, n)
	if _, err := argv.Run(ctx, append(slices.Clone(command), "-t")...); err != nil {
		return executors.Errorf(executors.Refused, "PHP-FPM %s refuses the configuration: %w", version, said(err))
	}
	held, err := m.held(version, n, append(command, "-F", "-O"))
	if err != nil {
		return err
	}
	err = m.o.Scan.Add(ctx, s6.Service{
		Name: service(version, n), DownSignal: "SIGQUIT", Grace: finishing + 5*time.Second, Run: held,
	})
	if err != nil {
		return executors.Errorf(executors.Busy, "start PHP-FPM %s: %w", version, err)
	}
	return m.listening(ctx, version, n, names)
}

func (m *Manager) command(version string, n int) []string {
	return []string{"php-fpm" + version, "-p", m.runDir(version, n), "-y", filepath.Join(m.gens(version).Dir(n), mainFile)}
}

// held is a command with the limits that the processes of all pools of a generation inherit: the largest of any, for FPM
// has none by pool.
func (m *Manager) held(version string, n int, command []string) ([]string, error) {
	files, err := m.gens(version).Files(n)
	if err != nil {
		return nil, err
	}
	var most limit.Process
	for _, name := range files {
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.gens(version).Dir(n), name))
		if err != nil {
			return nil, err
		}
		r, err := parse(b, m.paths())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		most = most.Or(limit.Of(r))
	}
	return most.Hold(command)
}

// ensure makes sure that the current generation is live.
func (m *Manager) ensure(ctx context.Context, version string, n int) error {
	names, err := m.socketNames(version, n)
	if err != nil {
		return err
	}
	open, err := sockets()
	if err != nil {
		return err
	}
	state, err := m.o.Scan.State(ctx, service(version, n))
	if err != nil {
		return err
	}
	all := state.Up && m.leads(version, n)
	for _, name := range names {
		all = all && m.listens(open, version, n, name)
	}
	if all {
		return nil
	}
	if state.Up {
		return fmt.Errorf("PHP-FPM %s doesn't listen everywhere", version) // a new master will
	}
	if err := m.start(ctx, version, n, names); err != nil {
		return err
	}
	return m.lead(version, n)
}

// listening waits until all sockets of a generation listen.
func (m *Manager) listening(ctx context.Context, version string, n int, names []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	for {
		open, err := sockets()
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return m.listens(open, version, n, name) })
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return executors.Errorf(executors.Busy, "PHP-FPM %s did not listen on %s after %v; see the node's log", version, missing[0], settle)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// lead makes nginx's way lead to the sockets of a generation.
func (m *Manager) lead(version string, n int) error {
	return generation.Point(m.currentSockets(version), strconv.Itoa(n))
}

func (m *Manager) leads(version string, n int) bool {
	target, err := os.Readlink(m.currentSockets(version))
	return err == nil && target == strconv.Itoa(n)
}

func (m *Manager) currentSockets(version string) string {
	return filepath.Join(m.o.Run, version, "current")
}

// socketNames returns the sockets that a generation has: one for each pool.
func (m *Manager) socketNames(version string, n int) ([]string, error) {
	files, err := m.gens(version).Files(n)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f, ".conf"); ok {
			names = append(names, name+".sock")
		}
	}
	return names, nil
}

// listens reports whether a socket listens and is where nginx looks for it.
func (m *Manager) listens(open map[string]bool, version string, n int, name string) bool {
	path := filepath.Join(m.runDir(version, n), name)
	_, err := os.Lstat(path)
	return err == nil && open[path]
}

// sockets returns the paths of the unix sockets that listen.
func sockets() (map[string]bool, error) {
	open, _, err := unixSockets()
	return open, err
}

// unixSockets returns the paths that listen, and the number of connections under each that nobody has accepted yet.
// The kernel's list (net/unix/af_unix.c, unix_seq_show) is: Num RefCount Protocol Flags Type St Inode Path.
func unixSockets() (listen map[string]bool, waiting map[string]int, err error) {
	const acceptsConnections, connecting = "00010000", "02"
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }() // only read
	listen, waiting = map[string]bool{}, map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		switch {
		case len(w) != 8:
		case w[3] == acceptsConnections:
			listen[w[7]] = true
		case w[5] == connecting:
			waiting[w[7]]++
		}
	}
	return listen, waiting, lines.Err()
}

// retire ends the master of a generation that nobody is led to any more, once it has accepted what waited for it, and
// doesn't wait for that.
func (m *Manager) retire(version string, n int) {
	if n == 0 {
		return
	}
	m.retired.Go(service(version, n), func(ctx context.Context) {
		m.drained(ctx, version, n)
		_ = m.forget(ctx, version, n) // tried again when the agent starts
	})
}

// Wait returns when every master that was to finish has.
func (m *Manager) Wait() { m.retired.Wait() }

// drained waits until no connection to a generation's sockets waits to be accepted.
func (m *Manager) drained(ctx context.Context, version string, n int) {
	ctx, cancel := context.WithTimeout(ctx, draining)
	defer cancel()
	for m.anyWaiting(version, n) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (m *Manager) anyWaiting(version string, n int) bool {
	_, waiting, err := unixSockets()
	if err != nil {
		return false
	}
	for path := range waiting {
		if filepath.Dir(path) == m.runDir(version, n) {
			return true
		}
	}
	return false
}

// forget removes all there is of a generation: its master first.
func (m *Manager) forget(ctx context.Context, version string, n int) error {
	if err := m.o.Scan.Remove(ctx, service(version, n), finishing+5*time.Second); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(m.runDir(version, n)), m.gens(version).Drop(n))
}

// Start puts back what a restart of the node has taken away: the masters of the pools that were applied. Generations that
// are not in use, left by an agent that ended too early, are ended.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	versions, err := m.versions()
	if err != nil {
		return err
	}
	var errs []error
	for _, v := range versions {
		errs = append(errs, m.startVersion(ctx, v))
	}
	return errors.Join(errs...)
}

func (m *Manager) startVersion(ctx context.Context, version string) error {
	now, others, err := m.gens(version).InUse()
	if err != nil {
		return err
	}
	for _, n := range others {
		m.retire(version, n)
	}
	if now == 0 {
		return nil
	}
	return m.ensure(ctx, version, now)
}

// makeData makes the folders for a pool's temporary files and sessions, the tenant's own and nobody else's.
func (m *Manager) makeData(r planner.Runtime) error {
	u, err := user.Lookup(r.Login)
	if err != nil {
		return executors.Errorf(executors.Conflict, "%w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.o.Data, 0o711); err != nil { //nolint:gosec // tenants pass through to their own
		return err
	}
	root, err := beneath.Open(m.o.Data)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only held for its path
	own := beneath.Owner{UID: uid, GID: gid, DirMode: 0o700}
	for _, name := range []string{"tmp", "sessions"} {
		// The site's own folder is root's: a tenant can't put something else in place of the two in it.
		if err := makeBoth(root, filepath.Base(m.paths().dataOf(r)), name, own); err != nil {
			return err
		}
	}
	return nil
}

func makeBoth(root *beneath.Dir, outer, inner string, own beneath.Owner) error {
	site, err := root.Make(outer, beneath.Owner{DirMode: 0o711})
	if err != nil {
		return err
	}
	defer func() { _ = site.Close() }() // only held for its path
	dir, err := site.Make(inner, own)
	if err != nil {
		return err
	}
	return errors.Join(dir.Own(own), dir.Close())
}

// said keeps of PHP-FPM's words the errors.
func said(err error) error {
	var e *argv.Error
	if !errors.As(err, &e) {
		return err
	}
	for line := range strings.Lines(e.Output) {
		if _, text, ok := strings.Cut(line, "] ERROR: "); ok {
			return errors.New(strings.TrimSpace(text))
		}
	}
	return err
}

func unlink(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
