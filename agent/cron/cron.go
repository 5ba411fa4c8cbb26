// Package cron is the executor of the jobs of sites on a web node, and what runs them when they are due.
//
// The agent only looks at the clock. When a job is due it starts a program of its own for that run (Supervise), as root and
// outside of the agent's care: an agent that ends, or is replaced by a newer one, ends no job. That program takes the run's
// turn, starts the job as its tenant's user, ends it when it takes too long, and notes how it went.
//
//	/etc/hostctl/cron/acme.shop.tidy.json             what the job runs; only root may read it
//	/run/cron/acme.shop.tidy/4711                     a run of it, locked for as long as process 4711 looks after it
//	/srv/tenants/.hostctl/cron/acme.shop.tidy.json    how its runs went: on the shard's volume, for every node of it
//	/srv/tenants/.hostctl/cron/acme.shop.tidy.run     locked while one runs, unless it may run beside itself
//	/var/lib/cron/acme.shop/{home,tmp}                HOME and TMPDIR of the site's jobs, the tenant's own
//	/var/log/sites/acme.shop.cron.log                 what they write
package cron

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"hostctl/agent/logs"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
)

// Options say where things are. The zero value of all but Node is what the node image has.
type Options struct {
	Node     string // target of what is observed
	Config   string // "" is /etc/hostctl/cron
	Run      string // "" is /run/cron
	Tenants  string // "" is planner.TenantsRoot
	Data     string // "" is /var/lib/cron
	Logs     string // "" is logs.Folder
	Runtimes string // "" is /opt/runtimes, with a folder <type>-<version>/bin for each
	Programs string // "" is /usr/bin, with PHP's programs
	Program  string // "" is /var/lib/hostctl/bin/node-agent, whose "job" looks after a run

	Secrets *secrets.Folder // of variables that are secrets; nil where there are none
	Log     *slog.Logger    // nil logs nothing
}

// Manager is the executor.
type Manager struct {
	o       Options
	mu      sync.Mutex // held by what changes jobs
	clock   clock      // Run's own
	touched []string   // jobs that Run has to read again
	changed chan struct{}
}

// New returns the executor; nothing runs before Run.
func New(o Options) *Manager {
	for p, v := range map[*string]string{
		&o.Config: "/etc/hostctl/cron", &o.Run: "/run/cron", &o.Tenants: planner.TenantsRoot, &o.Data: "/var/lib/cron",
		&o.Logs: logs.Folder, &o.Runtimes: "/opt/runtimes", &o.Programs: "/usr/bin", &o.Program: "/var/lib/hostctl/bin/node-agent",
	} {
		if *p == "" {
			*p = v
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Manager{o: o, clock: clock{}, changed: make(chan struct{}, 1)}
}

// Apply implements executors.Executor.
func (m *Manager) Apply(ctx context.Context, cs []planner.Change) []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	errs := make([]error, len(cs))
	for i, c := range cs {
		if ctx.Err() != nil {
			errs[i] = executors.NotTried(ctx)
			continue
		}
		if err := m.apply(ctx, c); err != nil {
			errs[i] = executors.Errorf(executors.KindOf(err), "%s: %w", c.Ref(), err)
		}
	}
	return errs
}

func (m *Manager) apply(ctx context.Context, c planner.Change) error {
	o := c.New
	if o == nil {
		o = c.Old
	}
	j, ok := o.(planner.Cron)
	if !ok {
		return executors.Errorf(executors.Refused, "jobs are all that is applied here")
	}
	if err := checkName(j); err != nil {
		return executors.Errorf(executors.Refused, "%w", err)
	}
	if c.New == nil {
		return m.remove(ctx, j)
	}
	return m.put(j, c.Action == planner.Update)
}

// put makes a job be run from now on. One that was changed may run again, however often it failed; so may one that somebody
// asks to be made once more as it is.
func (m *Manager) put(j planner.Cron, afresh bool) error {
	values, err := m.o.Secrets.Values(j.Secrets)
	if err != nil {
		return err
	}
	file, err := m.file(j, values)
	if err != nil {
		return err
	}
	if err := errors.Join(m.makeData(j), m.makeBin(j)); err != nil {
		return err
	}
	if err := m.record(fileName(j)).begin(m.o.Node, contentOf(j), afresh); err != nil {
		return err
	}
	path := m.path(fileName(j))
	if have, err := os.ReadFile(path); err != nil || string(have) != string(file) {
		if err := errors.Join(os.MkdirAll(m.o.Config, 0o700), replaceFile(path, file)); err != nil {
			return err
		}
	}
	m.touch(fileName(j))
	return nil
}

// remove ends a job for good, and what runs of it.
func (m *Manager) remove(ctx context.Context, j planner.Cron) error {
	name := fileName(j)
	if err := os.Remove(m.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.touch(name)
	if err := m.endRuns(ctx, name); err != nil {
		return err
	}
	return m.record(name).forget(m.o.Node)
}

// touch has Run read a job again. The caller holds mu.
func (m *Manager) touch(name string) {
	m.touched = append(m.touched, name)
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// fileName names a job in files: no slug holds a dot.
func fileName(j planner.Cron) string { return j.Tenant + "." + j.Site + "." + j.Job }

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$`)

func (m *Manager) path(name string) string { return filepath.Join(m.o.Config, name+".json") }

func (m *Manager) runs(name string) string { return filepath.Join(m.o.Run, name) }

func (m *Manager) record(name string) record {
	return record(filepath.Join(m.o.Tenants, ".hostctl", "cron", name))
}

// replaceFile puts a file in the place of another, for root alone.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".next", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".next", path)
}

// names returns the jobs that have files here, sorted.
func (m *Manager) names() ([]string, error) {
	entries, err := os.ReadDir(m.o.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && nameForm.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Observe implements executors.Observer. A file that somebody has changed isn't one of its jobs.
func (m *Manager) Observe(ctx context.Context) ([]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names, err := m.names()
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if j, _, err := m.read(name); err == nil && j.Target == m.o.Node {
			objects = append(objects, j)
		}
	}
	return objects, nil
}

// Present implements executors.Reader: what the files say.
func (m *Manager) Present(_ context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[planner.Ref]planner.Object{}
	for _, ref := range refs {
		name := strings.Replace(ref.Name, "/", ".", 1)
		if !nameForm.MatchString(name) {
			continue
		}
		switch j, _, err := m.read(name); {
		case errors.Is(err, fs.ErrNotExist):
		case err == nil && j.Ref() == ref:
			found[ref] = j
		default:
			found[ref] = executors.Altered{Is: ref, How: "a file that isn't what this version writes for it"}
		}
	}
	return found, nil
}

// Health returns a part for each job whose last run failed, and for each that isn't run any more: that one isn't well.
func (m *Manager) Health() []executors.Part {
	names, err := m.names()
	if err != nil {
		return []executors.Part{{Name: "cron", Message: err.Error()}}
	}
	var parts []executors.Part
	for _, name := range names {
		site, job, _ := cutLast(name)
		p := executors.Part{Name: "cron/" + site + "/" + job, OK: true}
		e, err := m.record(name).read()
		switch {
		case err != nil:
			p.OK, p.Message = false, err.Error()
		case e.Failures == 0:
			continue
		default:
			p.OK, p.Message = !e.disabled(), e.told()
		}
		parts = append(parts, p)
	}
	return parts
}

func cutLast(name string) (site, job string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// told says how often a job failed, and how the last time.
func (e entry) told() string {
	text := fmt.Sprintf("failed %s, the last time at %s: %s", times(e.Failures), e.Last.At.UTC().Format(time.RFC3339), e.Last.Error)
	if e.disabled() {
		text = "isn't run any more: it " + text + "; a change of the job lets it run again"
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", n)
}
