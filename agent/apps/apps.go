// Package apps is the executor of the services that run node, python and ruby sites on a web node: one supervised service
// for each site, as its tenant's user, on a unix socket.
//
// A change never restarts a service. It starts a new one beside it (a generation), asks it for a page until it answers,
// switches one symlink through which nginx reaches the socket, and ends the one before once it has answered what it was
// asked. If the new one doesn't answer, the one before goes on serving.
//
//	/etc/hostctl/apps/acme.shop/node-20/3/app.json       what generation 3 runs; only root may read it
//	/run/service/app-acme.shop-node-20-3                 its service
//	/run/apps/acme.shop/node-20/3/sock                   its socket
//	/run/apps/acme.shop/node-20/current -> 3             what nginx connects to
//	/var/lib/apps/acme.shop/{home,tmp}                   HOME and TMPDIR, the tenant's own
//
// The socket is made by root, in root's folder, for nginx alone, and is handed to the program as it starts (the way of
// sd_listen_fds(3)). So a tenant can neither put another tenant's socket in its place, nor reach another tenant's.
package apps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"hostctl/agent/allow"
	"hostctl/agent/generation"
	"hostctl/agent/logs"
	"hostctl/agent/s6"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// Options say where things are. The zero value of all but Node is what the node image has.
type Options struct {
	Node     string  // target of what is observed
	Config   string  // "" is /etc/hostctl/apps
	Run      string  // "" is /run/apps
	Scan     s6.Scan // "" is /run/service
	Tenants  string  // "" is planner.TenantsRoot
	Data     string  // "" is /var/lib/apps
	Logs     string  // "" is logs.Folder
	Runtimes string  // "" is /opt/runtimes, with a folder <type>-<version>/bin for each
	Web      string  // "" is www-data: user of the web server
	Program  string  // "" is /var/lib/hostctl/bin/node-agent, whose "exec" starts a service

	Secrets *secrets.Folder // of variables that are secrets; nil where there are none
}

// Manager is the executor.
type Manager struct {
	o       Options
	mu      sync.Mutex
	retired generation.Retiring // services that are finishing
}

// New returns the executor.
func New(o Options) *Manager {
	for p, v := range map[*string]string{
		&o.Config: "/etc/hostctl/apps", &o.Run: "/run/apps", &o.Tenants: planner.TenantsRoot, &o.Data: "/var/lib/apps",
		&o.Logs: logs.Folder, &o.Runtimes: "/opt/runtimes", &o.Web: "www-data", &o.Program: "/var/lib/hostctl/bin/node-agent",
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

// atOnce is how many services of a batch are started at the same time.
const atOnce = 4

// Apply implements executors.Executor. Sites are brought about side by side: one that is slow to start, or doesn't, holds
// up nobody else's for longer than that. Changes of one site go in their order.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	if ctx.Err() != nil {
		return executors.All(len(cs), executors.NotTried(ctx))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	errs := make([]error, len(cs))
	bySite := map[string][]int{}
	for i, c := range cs {
		name, _, _ := strings.Cut(c.Ref().Name, "/")
		bySite[name] = append(bySite[name], i)
	}
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for _, index := range bySite {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			for _, i := range index {
				if err := m.apply(ctx, cs[i]); err != nil {
					errs[i] = executors.Errorf(executors.KindOf(err), "%s: %w", cs[i].Ref(), err)
				}
			}
		})
	}
	all.Wait()
	return errs
}

func (m *Manager) apply(ctx context.Context, c planner.Change) error {
	if ctx.Err() != nil {
		return executors.NotTried(ctx)
	}
	o := c.New
	if o == nil {
		o = c.Old
	}
	r, ok := o.(planner.Runtime)
	if !ok {
		return executors.Errorf(executors.Refused, "runtimes are all that is applied here")
	}
	if err := checkName(r); err != nil {
		return executors.Errorf(executors.Refused, "%w", err)
	}
	if c.New == nil {
		return m.end(r)
	}
	values, err := m.o.Secrets.Values(r.Secrets)
	if err != nil {
		return err
	}
	file, err := m.file(r, values)
	if err != nil {
		return err
	}
	if err := m.makeData(r); err != nil {
		return err
	}
	return m.bring(ctx, r, file)
}

// place is where a site's service of one runtime has its things.
func (m *Manager) gens(name string) generation.Folder {
	return generation.Folder(filepath.Join(m.o.Config, filepath.FromSlash(name)))
}

func (m *Manager) runDir(name string, n int) string {
	return filepath.Join(m.sockets(name), fmt.Sprint(n))
}

func (m *Manager) sockets(name string) string {
	return filepath.Join(m.o.Run, filepath.FromSlash(name))
}

func (m *Manager) socket(name string, n int) string {
	return filepath.Join(m.runDir(name, n), socketFile)
}

func service(name string, n int) string {
	return fmt.Sprintf("app-%s-%d", strings.ReplaceAll(name, "/", "-"), n)
}

// names returns the runtimes that have generations here.
func (m *Manager) names() ([]string, error) {
	sites, err := generation.Below(m.o.Config)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range sites {
		kinds, err := generation.Below(filepath.Join(m.o.Config, s))
		if err != nil {
			return nil, err
		}
		for _, k := range kinds {
			all = append(all, s+"/"+k)
		}
	}
	return all, nil
}

// Observe implements executors.Observer: the runtimes whose service runs and whose socket listens, where nginx looks for it.
// A file that somebody has changed isn't one of them.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names, err := m.names()
	if err != nil {
		return nil, err
	}
	open, err := listening()
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, name := range names {
		n, err := m.gens(name).Current()
		if err != nil {
			return nil, err
		}
		if n == 0 || !m.leads(name, n) || !m.listens(open, name, n) {
			continue
		}
		state, err := m.o.Scan.State(ctx, service(name, n))
		if err != nil {
			return nil, err
		}
		r, err := m.read(name, n)
		if err == nil && state.Up && r.Target == m.o.Node {
			objects = append(objects, r)
		}
	}
	return objects, nil
}

// Present implements executors.Reader: what the files of the current generations say.
func (m *Manager) Present(_ context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[planner.Ref]planner.Object{}
	for _, ref := range refs {
		site, _, _ := strings.Cut(ref.Name, "/")
		tenant, webroot, _ := strings.Cut(site, ".")
		if allow.Site(site, tenant, webroot) != nil || !runtimeForm.MatchString(strings.TrimPrefix(ref.Name, site+"/")) {
			continue
		}
		n, err := m.gens(ref.Name).Current()
		if err != nil {
			return nil, err
		}
		r, err := m.read(ref.Name, n)
		switch {
		case n == 0 || errors.Is(err, fs.ErrNotExist):
		case err == nil && r.Ref() == ref:
			found[ref] = r
		default:
			found[ref] = executors.Altered{Is: ref, How: "a file that isn't what this version writes for it"}
		}
	}
	return found, nil
}

// read returns the runtime of a generation.
func (m *Manager) read(name string, n int) (planner.Runtime, error) {
	b, err := os.ReadFile(filepath.Join(m.gens(name).Dir(n), appFile))
	if err != nil {
		return planner.Runtime{}, err
	}
	r, err := m.parse(b)
	if err == nil && r.Name != name {
		err = errors.New("it describes another runtime")
	}
	return r, err
}
