// Package php is the executor of PHP-FPM pools on a web node: one master process per PHP version, one pool per site, each
// running as its tenant's user.
//
// A master that reloads (SIGUSR2) first waits for the requests it has, and meanwhile serves nobody: the slowest request of
// one tenant would hold up all others. So there is no reload here. A batch makes the next generation of pools, checks it,
// and starts a master of its own for it; when that listens, one symlink is switched, through which nginx reaches the
// sockets; then the master before is told to finish what it has and to end.
//
//	/etc/php/hostctl/8.4/12/acme.shop.conf     pools of generation 12
//	/run/service/php-8.4-12                    its master
//	/run/php/8.4/12/acme.shop.sock             its sockets
//	/run/php/8.4/current -> 12                 what nginx connects to
package php

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hostctl/agent/allow"
	"hostctl/agent/generation"
	"hostctl/agent/s6"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// Options say where PHP is. The zero value of all but Node is what the node image has.
type Options struct {
	Node    string  // target of what is observed
	Config  string  // "" is /etc/php/hostctl
	Run     string  // "" is /run/php
	Scan    s6.Scan // "" is /run/service
	Tenants string  // "" is planner.TenantsRoot
	Data    string  // "" is /var/lib/php/hostctl
	Web     string  // "" is www-data: user and group of the web server

	Secrets *secrets.Folder // of variables that are secrets; nil where there are none
}

// Manager is the executor.
type Manager struct {
	o       Options
	mu      sync.Mutex
	retired generation.Retiring // masters that are finishing
}

// New returns the executor.
func New(o Options) *Manager {
	for p, v := range map[*string]string{
		&o.Config: "/etc/php/hostctl", &o.Run: "/run/php", &o.Tenants: planner.TenantsRoot, &o.Data: "/var/lib/php/hostctl", &o.Web: "www-data",
	} {
		if *p == "" {
			*p = v
		}
	}
	if o.Scan == "" {
		o.Scan = "/run/service"
	}
	return &Manager{o: o}
}

func (m *Manager) paths() paths { return paths{tenants: m.o.Tenants, data: m.o.Data, web: m.o.Web} }

// Apply implements executors.Executor. What PHP-FPM refuses it refuses as a whole, version by version
// (executors.RefuseBatch).
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	if ctx.Err() != nil {
		return executors.All(len(cs), executors.NotTried(ctx))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	errs := make([]error, len(cs))
	for _, e := range m.edits(cs, errs) {
		err := m.bring(ctx, e)
		if err == nil {
			continue
		}
		refused := executors.All(len(e.index), err)
		if executors.KindOf(err) == executors.Refused {
			refused = executors.RefuseBatch(len(e.index), err)
		}
		for n, i := range e.index {
			errs[i] = refused[n]
		}
	}
	return errs
}

// edit is what a batch does to the pools of one version.
type edit struct {
	version string
	index   []int // of the changes that it is made of
	put     map[string][]byte
	remove  []string
}

// edits renders a batch, and refuses by itself what is wrong in itself.
func (m *Manager) edits(cs []planner.Change, errs []error) []*edit {
	var es []*edit
	for i, c := range cs {
		r, data, err := m.file(c)
		if err != nil {
			errs[i] = executors.Errorf(executors.Refused, "%s: %w", c.Ref(), err)
			continue
		}
		if data != nil {
			if err := m.makeData(r); err != nil {
				errs[i] = executors.Errorf(executors.KindOf(err), "%s: %w", c.Ref(), err)
				continue
			}
		}
		at := slices.IndexFunc(es, func(e *edit) bool { return e.version == r.Version })
		if at < 0 {
			at = len(es)
			es = append(es, &edit{version: r.Version, put: map[string][]byte{}})
		}
		es[at].add(i, r, data)
	}
	return es
}

// add adds a change; no text is a delete. Of two changes of one pool the later one holds.
func (e *edit) add(i int, r planner.Runtime, data []byte) {
	name := fileName(r)
	e.index = append(e.index, i)
	e.remove = slices.DeleteFunc(e.remove, func(n string) bool { return n == name })
	delete(e.put, name)
	if data == nil {
		e.remove = append(e.remove, name)
		return
	}
	e.put[name] = data
}

func fileName(r planner.Runtime) string { return r.Tenant + "." + r.Site + ".conf" }

func (m *Manager) file(c planner.Change) (planner.Runtime, []byte, error) {
	o := c.New
	if o == nil {
		o = c.Old
	}
	r, ok := o.(planner.Runtime)
	if !ok {
		return r, nil, errors.New("runtimes are all that is applied here")
	}
	if c.New == nil {
		bare := planner.Runtime{Meta: r.Meta, Tenant: r.Tenant, Site: r.Site, Type: r.Type, Version: r.Version, Login: r.Login}
		return r, nil, check(bare)
	}
	values, err := m.o.Secrets.Values(r.Secrets)
	if err != nil {
		return r, nil, err
	}
	data, err := render(r, m.paths(), values)
	if err != nil {
		return r, nil, err
	}
	if _, err := exec.LookPath("php-fpm" + r.Version); err != nil {
		return r, nil, fmt.Errorf("PHP %s isn't installed on this node", r.Version)
	}
	return r, data, nil
}

func (m *Manager) gens(version string) generation.Folder {
	return generation.Folder(filepath.Join(m.o.Config, version))
}

// versions returns the PHP versions that have pools here, or had.
func (m *Manager) versions() ([]string, error) { return generation.Below(m.o.Config) }

// Observe implements executors.Observer: the pools whose master runs and whose sockets listen. A file that somebody has
// changed isn't one of them.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	versions, err := m.versions()
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, v := range versions {
		n, err := m.gens(v).Current()
		if err != nil {
			return nil, err
		}
		if n == 0 || !m.leads(v, n) {
			continue
		}
		state, err := m.o.Scan.State(ctx, service(v, n))
		if err != nil {
			return nil, err
		}
		if !state.Up {
			continue
		}
		pools, err := m.listeningPools(v, n)
		if err != nil {
			return nil, err
		}
		objects = append(objects, pools...)
	}
	return objects, nil
}

// Present implements executors.Reader: what the files of the current generations say.
func (m *Manager) Present(_ context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[planner.Ref]planner.Object{}
	for _, r := range refs {
		name, version, _ := strings.Cut(r.Name, "/php-")
		tenant, site, _ := strings.Cut(name, ".")
		if allow.Site(name, tenant, site) != nil || allow.Version(version) != nil {
			continue
		}
		n, err := m.gens(version).Current()
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(filepath.Join(m.gens(version).Dir(n), name+".conf"))
		if n == 0 || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if o, err := parse(b, m.paths()); err == nil && o.Ref() == r {
			found[r] = o
		} else {
			found[r] = executors.Altered{Is: r, How: "a file that isn't what this version writes for it"}
		}
	}
	return found, nil
}

func (m *Manager) listeningPools(version string, n int) ([]planner.Object, error) {
	files, err := m.gens(version).Files(n)
	if err != nil {
		return nil, err
	}
	open, err := sockets()
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, name := range files {
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.gens(version).Dir(n), name))
		if err != nil {
			return nil, err
		}
		r, err := parse(b, m.paths())
		if err == nil && r.Target == m.o.Node && fileName(r) == name && m.listens(open, version, n, socket(r)) {
			objects = append(objects, r)
		}
	}
	return objects, nil
}
