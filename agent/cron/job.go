package cron

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hostctl/agent/allow"
	"hostctl/agent/apps"
	"hostctl/agent/limit"
	"hostctl/agent/logs"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// checkName refuses a job that isn't named after what it is.
func checkName(j planner.Cron) error {
	site, job, _ := strings.Cut(j.Name, "/")
	errs := []error{allow.Site(site, j.Tenant, j.Site), allow.Login(j.Login), schema.CheckSlug(j.Job)}
	if job != j.Job {
		errs = append(errs, fmt.Errorf("%q isn't the name of a job %s of site %s", j.Name, j.Job, site))
	}
	return errors.Join(errs...)
}

// check refuses a job that holds anything but what its grammars allow.
func check(j planner.Cron) error {
	errs := []error{checkName(j)}
	says := schema.CronJob{Schedule: j.Schedule, Timezone: j.Timezone, Argv: j.Argv, Timeout: j.Timeout, Concurrency: j.Concurrency}
	errs = append(errs, says.Check(), limit.Check(bounds(j)))
	switch j.Type {
	case schema.RuntimeStatic:
		if j.Version != "" {
			errs = append(errs, errors.New("a static site has no version"))
		}
	case schema.RuntimePHP:
		errs = append(errs, allow.Version(j.Version))
	case schema.RuntimeNode, schema.RuntimePython, schema.RuntimeRuby:
		errs = append(errs, schema.CheckVersion(j.Version))
	default:
		errs = append(errs, fmt.Errorf("this version runs no jobs of %q sites", j.Type))
	}
	for _, k := range slices.Sorted(maps.Keys(j.Env)) {
		errs = append(errs, schema.CheckEnvName(k))
		if err := schema.CheckEnvValue(j.Env[k]); err != nil {
			errs = append(errs, fmt.Errorf("variable %s %w", k, err))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(j.Secrets)) {
		errs = append(errs, schema.CheckEnvName(k))
		if _, twice := j.Env[k]; twice {
			errs = append(errs, fmt.Errorf("variable %s is a secret and isn't one", k))
		}
	}
	return errors.Join(errs...)
}

// file renders what a job runs: an apps.Launch with the job as its object.
func (m *Manager) file(j planner.Cron, values map[string]string) ([]byte, error) {
	if err := errors.Join(check(j), secrets.CheckValues(j.Secrets, values)); err != nil {
		return nil, executors.Errorf(executors.Refused, "%w", err)
	}
	if err := m.installed(j); err != nil {
		return nil, executors.Errorf(executors.Refused, "%w", err)
	}
	uid, err := apps.UIDOf(j.Login)
	if err != nil {
		return nil, executors.Errorf(executors.Conflict, "%w", err)
	}
	j.From, j.On = planner.Owner{}, nil
	l := apps.Launch{
		Object: planner.Encode(j), Argv: j.Argv, Env: m.environment(j, values), Dir: filepath.Join(m.o.Tenants, j.Tenant, j.Site), Bin: m.bin(j),
		UID: uid, Log: filepath.Join(m.o.Logs, j.Tenant+"."+j.Site+".cron.log"),
	}
	b, err := json.MarshalIndent(l, "", "\t")
	return append(b, '\n'), err
}

// installed refuses a runtime that the node doesn't have.
func (m *Manager) installed(j planner.Cron) error {
	path := filepath.Join(m.o.Runtimes, string(j.Type)+"-"+j.Version, "bin")
	switch j.Type {
	case schema.RuntimeStatic:
		return nil
	case schema.RuntimePHP:
		path = m.php(j)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s %s isn't installed on this node", j.Type, j.Version)
	}
	return nil
}

func (m *Manager) php(j planner.Cron) string { return filepath.Join(m.o.Programs, "php"+j.Version) }

// bin is the folder with the programs of a job's runtime; "" for those of a static site.
func (m *Manager) bin(j planner.Cron) string {
	kind := string(j.Type) + "-" + j.Version
	switch j.Type {
	case schema.RuntimeStatic:
		return ""
	case schema.RuntimePHP:
		return filepath.Join(m.o.Data, kind, "bin")
	}
	return filepath.Join(m.o.Runtimes, kind, "bin")
}

// makeBin makes the folder in which php is the version of the job's site: the distribution's own php is one for all.
func (m *Manager) makeBin(j planner.Cron) error {
	if j.Type != schema.RuntimePHP {
		return nil
	}
	link := filepath.Join(m.bin(j), "php")
	if target, err := os.Readlink(link); err == nil && target == m.php(j) {
		return nil
	}
	if err := os.MkdirAll(m.bin(j), 0o755); err != nil { //nolint:gosec // programs for everybody
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(m.php(j), link)
}

// environment is all that a job is told by variables: ours, then the site's.
func (m *Manager) environment(j planner.Cron, values map[string]string) []string {
	data := m.data(j)
	env := map[string]string{
		"PATH": strings.TrimPrefix(m.bin(j)+":/usr/local/bin:/usr/bin:/bin", ":"), "HOME": filepath.Join(data, "home"), "TMPDIR": filepath.Join(data, "tmp"),
		"USER": j.Login, "LOGNAME": j.Login, "LANG": "C.UTF-8", "TZ": j.Timezone,
	}
	switch j.Type {
	case schema.RuntimeNode:
		env["NODE_ENV"] = "production"
	case schema.RuntimePython:
		env["PYTHONUNBUFFERED"] = "1"
	case schema.RuntimeRuby:
		env["RACK_ENV"], env["RAILS_ENV"] = "production", "production"
	}
	maps.Copy(env, j.Env)
	maps.Copy(env, values)
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

func (m *Manager) data(j planner.Cron) string { return filepath.Join(m.o.Data, j.Tenant+"."+j.Site) }

// makeData makes HOME and TMPDIR of a site's jobs, and their log.
func (m *Manager) makeData(j planner.Cron) error {
	if err := apps.MakeData(m.data(j), j.Login); err != nil {
		return err
	}
	uid, err := apps.UIDOf(j.Login)
	if err != nil {
		return executors.Errorf(executors.Conflict, "%w", err)
	}
	return logs.Make(filepath.Join(m.o.Logs, j.Tenant+"."+j.Site+".cron.log"), uid)
}

// read returns the job of a file, if the file is what that renders to, and how it is started.
func (m *Manager) read(name string) (planner.Cron, apps.Launch, error) {
	var l apps.Launch
	b, err := os.ReadFile(m.path(name))
	if err != nil {
		return planner.Cron{}, l, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return planner.Cron{}, l, errors.New("not written by hostctl")
	}
	o, err := planner.Decode(l.Object)
	if err != nil {
		return planner.Cron{}, l, err
	}
	j, ok := o.(planner.Cron)
	if !ok {
		return planner.Cron{}, l, fmt.Errorf("it describes a %s", o.Ref().Kind)
	}
	want, err := m.file(j, l.SecretValues(j.Secrets))
	if err != nil {
		return planner.Cron{}, l, err
	}
	if string(want) != string(b) || fileName(j) != name {
		return planner.Cron{}, l, errors.New("changed by somebody else")
	}
	return j, l, nil
}

// contentOf names what a job is, on whichever node.
func contentOf(j planner.Cron) string {
	j.Meta = planner.Meta{Name: j.Name, Target: "any"}
	sum := sha256.Sum256(planner.Encode(j))
	return hex.EncodeToString(sum[:16])
}
