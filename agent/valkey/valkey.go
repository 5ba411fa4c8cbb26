// Package valkey is the executor of Valkey instances and their users on a Valkey node: a supervised server for each instance, as
// a Unix user of its own, with a port for TLS and a socket for the agent.
//
//	/var/lib/valkey/instances/acme.cache/valkey.conf     what the server is started with; its group may read it
//	/var/lib/valkey/instances/acme.cache/users.acl       who may log in, and what they may do
//	/var/lib/valkey/instances/acme.cache/admin           the agent's own password; root's
//	/var/lib/valkey/instances/acme.cache/frozen          which freeze it is in, where it moves to another node; root's
//	/var/lib/valkey/instances/acme.cache/copied          of which freeze it is a copy; root's
//	/var/lib/valkey/instances/acme.cache/data            the server's own
//	/var/lib/valkey/records/{valkey,valkeyuser}          what was last applied; root's
//	/var/lib/valkey/incoming                             snapshots that come from another node; root's
//	/var/lib/valkey/trash                                snapshots of what was dropped; root's
//	/run/valkey/acme.cache                               the node's certificate, and the socket
//	/run/service/valkey-acme.cache                       the service
//
// Who may log in is always the whole of users.acl: the server loads it anew (ACL LOAD), so that nothing is left of rights that
// were taken away. Nothing that a tenant wrote becomes a line of a configuration
// file that it isn't: what goes there has passed an allow-list here, whoever sent it.
//
// A setting is changed while the server runs (CONFIG SET); only what can't be is changed by starting it anew.
package valkey

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"

	"hostctl/agent/s6"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// Options say where things are. The zero value of all but Target is what the node image has.
type Options struct {
	Target string  // of what is observed: the shard
	Data   string  // "" is /var/lib/valkey
	Run    string  // "" is /run/valkey
	TLS    string  // "" is /etc/hostctl/tls: ca.crt, node.crt, node.key
	Scan   s6.Scan // "" is /run/service

	Secrets *secrets.Folder // of passwords; nil where there are none

	// Pull writes all that a frozen instance holds on another node, and returns which freeze that is of; without a writer that
	// alone. nil: nothing moves here.
	Pull func(ctx context.Context, from planner.CopySource, instance string, into io.Writer) (freeze string, err error)
}

// Manager is the executor.
type Manager struct {
	o  Options
	mu sync.Mutex
}

// New returns the executor.
func New(o Options) *Manager {
	for p, v := range map[*string]string{&o.Data: "/var/lib/valkey", &o.Run: "/run/valkey", &o.TLS: "/etc/hostctl/tls"} {
		if *p == "" {
			*p = v
		}
	}
	if o.Scan == "" {
		o.Scan = "/run/service"
	}
	return &Manager{o: o}
}

// Start starts the instances that were there before the node was started, as they were.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	have, err := m.records()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range sortedKeys(have.instances) {
		o := have.instances[name]
		if _, err := readIfThere(m.conf(name)); err != nil || o.Kept {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, m.prepare(o), m.add(ctx, o))
	}
	return errors.Join(errs...)
}

// Apply implements executors.Executor.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	if len(cs) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return executors.All(len(cs), executors.NotTried(ctx))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	errs := make([]error, len(cs))
	have, err := m.records()
	for i, c := range cs {
		switch {
		case check(c) != nil:
			errs[i] = check(c)
		case err != nil:
			errs[i] = executors.Errorf(executors.Unknown, "%s: %w", c.Ref(), err)
		case ctx.Err() != nil:
			errs[i] = executors.NotTried(ctx)
		default:
			if err := m.apply(ctx, have, c); err != nil {
				errs[i] = executors.Errorf(kindOf(err), "%s: %w", c.Ref(), err)
			}
		}
	}
	return errs
}

func (m *Manager) apply(ctx context.Context, have *records, c planner.Change) error {
	switch o := either(c).(type) {
	case planner.Valkey:
		if c.New == nil {
			return m.drop(ctx, have, o)
		}
		return m.makeInstance(ctx, have, o)
	case planner.ValkeyUser:
		if c.New == nil {
			return m.dropUser(ctx, have, o)
		}
		return m.makeUser(ctx, have, o)
	}
	return nil // which check has refused
}

func either(c planner.Change) planner.Object {
	if c.New == nil {
		return c.Old
	}
	return c.New
}

// kindOf says what may be done about an error: an instance that doesn't answer is starting, or being started again.
func kindOf(err error) executors.Kind {
	var own *executors.Error
	var said refusal
	switch {
	case errors.As(err, &own), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return executors.KindOf(err)
	case errors.As(err, &said):
		return executors.Refused
	}
	return executors.Busy
}

func (m *Manager) home(name string) string  { return filepath.Join(m.o.Data, "instances", name) }
func (m *Manager) conf(name string) string  { return filepath.Join(m.home(name), "valkey.conf") }
func (m *Manager) acl(name string) string   { return filepath.Join(m.home(name), "users.acl") }
func (m *Manager) admin(name string) string { return filepath.Join(m.home(name), "admin") }
func (m *Manager) data(name string) string  { return filepath.Join(m.home(name), "data") }
func (m *Manager) trash() string            { return filepath.Join(m.o.Data, "trash") }
func (m *Manager) run(name string) string   { return filepath.Join(m.o.Run, name) }
func (m *Manager) socket(name string) string {
	return filepath.Join(m.run(name), "sock", "valkey.sock")
}

func service(name string) string { return "valkey-" + name }

// firstUID is far above the users of any system. On a Valkey node nobody else has a user id of that range.
const firstUID = 100_000

// uidOf is the Unix user, and group, of an instance: its port is its own on the node, and so is this.
func uidOf(o planner.Valkey) int { return firstUID + o.Port }
