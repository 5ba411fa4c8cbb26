// Package nginx is the executor of vhosts on a web node. All of them are one generation of files: a batch makes the next
// generation beside the one in use, nginx -t reads it as a whole, and one graceful reload takes it into use. If any of
// that fails, the generation in use stays.
//
// Apply returns when what it made is live: every worker of the old configuration has stopped accepting, and the new ones
// answer with the new generation's number.
package nginx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hostctl/agent/allow"
	"hostctl/agent/argv"
	"hostctl/agent/generation"
	"hostctl/agent/logs"
	"hostctl/agent/s6"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Options say where nginx is. The zero value of all but Node is what the node image has.
type Options struct {
	Node    string  // target of what is observed
	Config  string  // "" is /etc/nginx/nginx.conf, which includes <Folder>/*.conf
	Folder  string  // "" is /etc/nginx/hostctl
	Scan    s6.Scan // "" is /run/service
	Service string  // "" is nginx
	Tenants string  // "" is planner.TenantsRoot
	PHP     string  // "" is /run/php, where sockets are
	Apps    string  // "" is /run/apps, where those of services are
	Users   string  // "" is /etc/nginx/hostctl-users, files of names and password hashes
	Web     string  // "" is www-data: group of nginx's workers
	Logs    string  // "" is logs.Folder
	Address string  // "" is 127.0.0.1:80, where nginx answers
}

// Manager is the executor.
type Manager struct {
	o     Options
	gens  generation.Folder
	mu    sync.Mutex
	hosts map[string]string // host name -> vhost that serves it, of generation known
	known int
}

const (
	commonFile = "00-common.conf"
	markerHost = "generation.hostctl.invalid"
)

// New returns the executor.
func New(o Options) *Manager {
	for p, v := range map[*string]string{
		&o.Config: "/etc/nginx/nginx.conf", &o.Folder: "/etc/nginx/hostctl", &o.Service: "nginx", &o.Web: "www-data",
		&o.Tenants: planner.TenantsRoot, &o.PHP: "/run/php", &o.Apps: "/run/apps", &o.Users: "/etc/nginx/hostctl-users", &o.Logs: logs.Folder, &o.Address: "127.0.0.1:80",
	} {
		if *p == "" {
			*p = v
		}
	}
	if o.Scan == "" {
		o.Scan = "/run/service"
	}
	return &Manager{o: o, gens: generation.Folder(o.Folder)}
}

func (m *Manager) paths() paths {
	return paths{tenants: m.o.Tenants, php: m.o.PHP, apps: m.o.Apps, auth: m.o.Users, logs: m.o.Logs}
}

// Apply implements executors.Executor. What nginx refuses it refuses as a whole (executors.RefuseBatch).
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
	set, err := m.edit(cs, errs)
	if err == nil && len(set.index) > 0 {
		err = m.bring(ctx, set)
	}
	if err != nil {
		for n, e := range batchErrors(len(set.index), err) {
			errs[set.index[n]] = e
		}
	}
	return errs
}

// batchErrors are the errors of changes that were refused together, or that were all not made.
func batchErrors(n int, err error) []error {
	if executors.KindOf(err) == executors.Refused {
		return executors.RefuseBatch(n, err)
	}
	return executors.All(n, err)
}

// edit is what a batch does to the files.
type edit struct {
	index  []int // of the changes that it is made of
	put    map[string][]byte
	remove []string
	vhosts []planner.Vhost
	users  map[string]schema.Serving // of the vhosts that are put or removed
	hosts  map[string]string         // what is served once it is made
}

// edit renders a batch, and refuses by itself what is wrong in itself.
func (m *Manager) edit(cs []planner.Change, errs []error) (edit, error) {
	if err := m.load(); err != nil {
		return edit{index: indices(errs)}, err
	}
	texts := make([][]byte, len(cs))
	for i, c := range cs {
		var err error
		if texts[i], err = m.file(c); err != nil {
			errs[i] = executors.Errorf(executors.Refused, "%s: %w", c.Ref(), err)
		}
	}
	e := edit{put: map[string][]byte{}, users: map[string]schema.Serving{}, hosts: m.serve(cs, errs), index: indices(errs)}
	for _, i := range e.index {
		name := fileName(cs[i].Ref().Name)
		delete(e.put, name)
		e.remove = slices.DeleteFunc(e.remove, func(n string) bool { return n == name })
		v, put := cs[i].New.(planner.Vhost)
		if put {
			e.vhosts = append(e.vhosts, v)
		}
		e.users[cs[i].Ref().Name] = v.Serving
		if texts[i] == nil {
			e.remove = append(e.remove, name)
		} else {
			e.put[name] = texts[i]
		}
	}
	return e, nil
}

// indices returns those of the changes that have no error.
func indices(errs []error) []int {
	var is []int
	for i, err := range errs {
		if err == nil {
			is = append(is, i)
		}
	}
	return is
}

// file returns the text of a change's file; nil for a delete.
func (m *Manager) file(c planner.Change) ([]byte, error) {
	o := c.New
	if o == nil {
		o = c.Old
	}
	v, ok := o.(planner.Vhost)
	if !ok {
		return nil, errors.New("vhosts are all that is applied here")
	}
	if c.New == nil {
		return nil, allow.Site(v.Name, v.Tenant, v.Site)
	}
	return render(v, m.paths())
}

func fileName(vhost string) string { return vhost + ".conf" }

// serve returns the host names that are served once the changes without error are made. A change that wants a name of
// another vhost is given an error: nginx itself only warns, and serves one of the two. What was refused keeps the names it
// has, which may refuse another one.
func (m *Manager) serve(cs []planner.Change, errs []error) map[string]string {
	for {
		hosts := m.without(cs, errs)
		bad := -1
		for i, c := range cs {
			v, ok := c.New.(planner.Vhost)
			if !ok || errs[i] != nil {
				continue
			}
			if err := claim(hosts, v); err != nil {
				bad, errs[i] = i, executors.Errorf(executors.Refused, "%s: %w", c.Ref(), err)
				break
			}
		}
		if bad < 0 {
			return hosts
		}
	}
}

func claim(hosts map[string]string, v planner.Vhost) error {
	for _, h := range v.Hostnames {
		if other := hosts[h]; other != "" && other != v.Name {
			return fmt.Errorf("host name %s is served by vhost %s", h, other)
		}
		hosts[h] = v.Name
	}
	return nil
}

// without returns the host names in use, less those of the vhosts that are changed.
func (m *Manager) without(cs []planner.Change, errs []error) map[string]string {
	changed := map[string]bool{}
	for i, c := range cs {
		if errs[i] == nil {
			changed[c.Ref().Name] = true
		}
	}
	hosts := maps.Clone(m.hosts)
	maps.DeleteFunc(hosts, func(_, v string) bool { return changed[v] })
	return hosts
}

// load reads which names the current generation serves, unless that is known.
func (m *Manager) load() error {
	n, err := m.gens.Current()
	if err != nil {
		return err
	}
	if m.hosts != nil && m.known == n {
		return nil
	}
	m.hosts = map[string]string{}
	files, err := m.gens.Files(n)
	if err != nil {
		return err
	}
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(m.gens.Dir(n), name))
		if err != nil {
			return err
		}
		if v, err := parse(b, m.paths()); err == nil || errors.Is(err, errChanged) {
			for _, h := range v.Hostnames {
				m.hosts[h] = v.Name
			}
		}
	}
	m.known = n
	return nil
}

// bring makes an edit live. If nothing in it is new, it only makes sure that the current generation is live.
func (m *Manager) bring(ctx context.Context, e edit) error {
	if err := m.makeLogs(e.vhosts); err != nil {
		return fmt.Errorf("make logs: %w", err)
	}
	if err := m.putUsers(e.users); err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	now, err := m.gens.Current()
	if err != nil {
		return err
	}
	differs, err := m.gens.Differs(now, e.put, e.remove)
	if err != nil {
		return err
	}
	switch {
	case !differs && now == 0:
		return nil // nothing was ever made, nothing is to be removed
	case !differs:
		return m.ensure(ctx, now)
	}
	next := now + 1
	e.put[commonFile] = common(next)
	if err := m.gens.Make(now, next, e.put, e.remove); err != nil {
		return fmt.Errorf("write vhosts: %w", err)
	}
	if err := m.test(ctx, next); err != nil {
		return errors.Join(err, m.gens.Drop(next))
	}
	if err := m.use(ctx, now, next); err != nil {
		return err
	}
	m.hosts, m.known = e.hosts, next
	return errors.Join(m.gens.Keep(next), m.sweepUsers(e.users))
}

// use takes a tested generation into use, and goes back to the one before if it does not get live.
func (m *Manager) use(ctx context.Context, now, next int) error {
	if err := m.gens.Use(next); err != nil {
		return err
	}
	err := m.reload(ctx, next)
	if err == nil {
		return nil
	}
	back := m.gens.Use(now)
	if now != 0 && back == nil {
		back = m.reload(ctx, now)
	}
	return errors.Join(err, back)
}

// include writes the one file that nginx.conf includes.
func (m *Manager) include() error {
	path := filepath.Join(m.o.Folder, "sites.conf")
	want := "include " + filepath.Join(m.o.Folder, "current") + "/*.conf;\n"
	if have, err := os.ReadFile(path); err == nil && string(have) == want {
		return nil
	}
	if err := os.WriteFile(path+".next", []byte(want), 0o644); err != nil { //nolint:gosec // holds no secret
		return err
	}
	return os.Rename(path+".next", path)
}

// test reads a generation as nginx would: by nginx.conf with its include of all generations' current one replaced.
func (m *Manager) test(ctx context.Context, n int) error {
	conf, err := os.ReadFile(m.o.Config)
	if err != nil {
		return err
	}
	include := "include " + m.o.Folder + "/*.conf;"
	if strings.Count(string(conf), include) != 1 {
		return fmt.Errorf("%s must say %q once", m.o.Config, include)
	}
	text := strings.Replace(string(conf), include, "include "+m.gens.Dir(n)+"/*.conf;", 1)
	// Beside nginx.conf, since what that includes is relative to its folder.
	file := m.o.Config + ".hostctl-test"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	_, err = argv.Run(ctx, "nginx", "-t", "-q", "-e", "stderr", "-c", file)
	if err != nil {
		return executors.Errorf(executors.Refused, "nginx refuses the configuration: %w", said(err))
	}
	return nil
}

// said keeps of nginx's words the ones that are the reason.
func said(err error) error {
	var e *argv.Error
	if !errors.As(err, &e) {
		return err
	}
	for line := range strings.Lines(e.Output) {
		if _, text, ok := strings.Cut(line, "[emerg] "); ok {
			_, after, numbered := strings.Cut(text, ": ")
			if numbered && strings.HasSuffix(text[:len(text)-len(after)-2], "#") {
				text = after
			}
			return errors.New(strings.TrimSpace(text))
		}
	}
	return err
}

// Present implements executors.Reader: what the files of the current generation say.
func (m *Manager) Present(_ context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[planner.Ref]planner.Object{}
	n, err := m.gens.Current()
	if err != nil || n == 0 {
		return found, err
	}
	for _, r := range refs {
		if tenant, site, _ := strings.Cut(r.Name, "."); allow.Site(r.Name, tenant, site) != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.gens.Dir(n), fileName(r.Name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if v, err := parse(b, m.paths()); err == nil && v.Ref() == r {
			found[r] = v
		} else {
			found[r] = executors.Altered{Is: r, How: "a file that isn't what this version writes for it"}
		}
	}
	return found, nil
}

// Observe implements executors.Observer: the vhosts that nginx serves. A file that somebody has changed isn't one of them,
// and none is where nginx doesn't run or runs another generation.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.gens.Current()
	if err != nil || n == 0 {
		return nil, err
	}
	if live, err := m.live(ctx); err != nil || live != n {
		return nil, nil //nolint:nilerr // nginx answers nothing: nothing is served
	}
	files, err := m.gens.Files(n)
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(m.gens.Dir(n), name))
		if err != nil {
			return nil, err
		}
		v, err := parse(b, m.paths())
		if err == nil && v.Target == m.o.Node && fileName(v.Name) == name && m.hasUsers(v) {
			objects = append(objects, v)
		}
	}
	return objects, nil
}
