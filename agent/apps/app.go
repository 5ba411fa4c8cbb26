package apps

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hostctl/agent/allow"
	"hostctl/agent/beneath"
	"hostctl/agent/generation"
	"hostctl/agent/limit"
	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// appFile is a generation's file: a Launch, with the object that it is for.
const appFile = "app.json"

var runtimeForm = regexp.MustCompile(`^(node|python|ruby)-[1-9][0-9]{0,2}(\.[0-9]{1,3}){0,2}$`)

// checkName refuses a runtime that isn't named after what it is.
func checkName(r planner.Runtime) error {
	site, kind, _ := strings.Cut(r.Name, "/")
	errs := []error{allow.Site(site, r.Tenant, r.Site), allow.Login(r.Login)}
	if kind != string(r.Type)+"-"+r.Version || !runtimeForm.MatchString(kind) {
		errs = append(errs, fmt.Errorf("%q isn't the name of a site's %s %s", r.Name, r.Type, r.Version))
	}
	return errors.Join(errs...)
}

// check refuses a runtime that holds anything but what its grammars allow.
func check(r planner.Runtime) error {
	errs := []error{checkName(r), schema.CheckCommand(r.Command), limit.Check(r)}
	if r.Health != "" {
		errs = append(errs, schema.CheckHealthPath(r.Health))
	}
	for _, k := range slices.Sorted(maps.Keys(r.Env)) {
		errs = append(errs, schema.CheckEnvName(k))
		if err := schema.CheckEnvValue(r.Env[k]); err != nil {
			errs = append(errs, fmt.Errorf("variable %s %w", k, err))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		errs = append(errs, schema.CheckEnvName(k))
		if _, twice := r.Env[k]; twice || k == "NODE_OPTIONS" {
			errs = append(errs, fmt.Errorf("variable %s can't be a secret", k))
		}
	}
	return errors.Join(errs...)
}

// Launch is what "node-agent exec" is told: how one service is started. Its file is root's, mode 0600, for its variables
// may be secrets; they reach the program as its environment, which only its own user can see (proc_pid_environ(5)).
type Launch struct {
	Object  json.RawMessage `json:"object"`  // planner.Encode of the runtime
	Argv    []string        `json:"argv"`    // empty: what is usual for the runtime, see usual
	Env     []string        `json:"env"`     // NAME=value, sorted
	Dir     string          `json:"dir"`     // the site's folder
	Bin     string          `json:"bin"`     // the runtime's programs
	UID     int             `json:"uid"`     // also the gid
	WebUID  int             `json:"webUid"`  // who may connect
	Sockets string          `json:"sockets"` // folder that holds a folder for each generation
	Log     string          `json:"log"`     // file for what it writes to standard output and error
}

// file renders what a runtime's generation holds. It is the same in every generation.
// values are those of the variables that are secrets.
func (m *Manager) file(r planner.Runtime, values map[string]string) ([]byte, error) {
	if err := errors.Join(check(r), secrets.CheckValues(r.Secrets, values)); err != nil {
		return nil, executors.Errorf(executors.Refused, "%w", err)
	}
	bin := filepath.Join(m.o.Runtimes, string(r.Type)+"-"+r.Version, "bin")
	if have, err := m.installed(r.Type); err != nil || !slices.Contains(have, r.Version) {
		return nil, errors.Join(err, executors.Errorf(executors.Refused, "%s %s isn't installed on this node; there are: %s", r.Type, r.Version, strings.Join(have, ", ")))
	}
	uid, err := UIDOf(r.Login)
	if err != nil {
		return nil, executors.Errorf(executors.Conflict, "%w", err)
	}
	web, err := UIDOf(m.o.Web)
	if err != nil {
		return nil, err
	}
	r.From, r.On = planner.Owner{}, nil
	l := Launch{
		Object: planner.Encode(r), Argv: r.Command, Env: m.environment(r, bin, values), Dir: filepath.Join(m.o.Tenants, r.Tenant, r.Site), Bin: bin,
		UID: uid, WebUID: web, Sockets: m.sockets(r.Name), Log: filepath.Join(m.o.Logs, r.Tenant+"."+r.Site+".app.log"),
	}
	b, err := json.MarshalIndent(l, "", "\t")
	return append(b, '\n'), err
}

// installed returns the versions of a runtime that the node has.
func (m *Manager) installed(t schema.RuntimeType) ([]string, error) {
	all, err := generation.Below(m.o.Runtimes)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, name := range all {
		if v, ok := strings.CutPrefix(name, string(t)+"-"); ok {
			versions = append(versions, v)
		}
	}
	return versions, nil
}

// UIDOf returns the number of a user of this node.
func UIDOf(login string) (int, error) {
	u, err := user.Lookup(login)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// environment is all that a program is told by variables: ours, then the site's, which may not name ours but for those
// that say how a program runs ("production").
func (m *Manager) environment(r planner.Runtime, bin string, values map[string]string) []string {
	data := m.data(r)
	env := map[string]string{
		"PATH": bin + ":/usr/local/bin:/usr/bin:/bin", "HOME": filepath.Join(data, "home"), "TMPDIR": filepath.Join(data, "tmp"),
		"USER": r.Login, "LOGNAME": r.Login, "LANG": "C.UTF-8",
		// Programs that ask for a port are given one to ask for; see listen.cjs for those that run on node.
		"PORT": "3000",
	}
	switch r.Type {
	case schema.RuntimeNode:
		env["NODE_ENV"] = "production"
	case schema.RuntimePython:
		env["PYTHONUNBUFFERED"] = "1"
	case schema.RuntimeRuby:
		env["RACK_ENV"], env["RAILS_ENV"] = "production", "production"
	}
	maps.Copy(env, r.Env)
	maps.Copy(env, values)
	if r.Type == schema.RuntimeNode {
		env["NODE_OPTIONS"] = strings.TrimSpace("--require=/opt/hostctl/listen.cjs " + r.Env["NODE_OPTIONS"])
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// parse returns the runtime that a generation's file is for, if the file is what that renders to.
func (m *Manager) parse(file []byte) (planner.Runtime, error) {
	var l Launch
	if err := json.Unmarshal(file, &l); err != nil {
		return planner.Runtime{}, errors.New("not written by hostctl")
	}
	o, err := planner.Decode(l.Object)
	if err != nil {
		return planner.Runtime{}, err
	}
	r, ok := o.(planner.Runtime)
	if !ok {
		return planner.Runtime{}, fmt.Errorf("it describes a %s", o.Ref().Kind)
	}
	want, err := m.file(r, l.SecretValues(r.Secrets))
	if err != nil {
		return planner.Runtime{}, err
	}
	if string(want) != string(file) {
		return planner.Runtime{}, errors.New("changed by somebody else")
	}
	return r, nil
}

func (m *Manager) data(r planner.Runtime) string { return filepath.Join(m.o.Data, r.Tenant+"."+r.Site) }

func (m *Manager) makeData(r planner.Runtime) error { return MakeData(m.data(r), r.Login) }

// MakeData makes a folder with HOME and TMPDIR of a site, the tenant's own and nobody else's: <data>/home and <data>/tmp.
// What is above them is root's.
func MakeData(data, login string) error {
	uid, err := UIDOf(login)
	if err != nil {
		return executors.Errorf(executors.Conflict, "%w", err)
	}
	root, err := madeBy(filepath.Dir(data))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only held for its path
	site, err := root.Make(filepath.Base(data), beneath.Owner{DirMode: 0o711})
	if err != nil {
		return err
	}
	defer func() { _ = site.Close() }() // only held for its path
	own := beneath.Owner{UID: uid, GID: uid, DirMode: 0o700}
	for _, name := range []string{"home", "tmp"} {
		dir, err := site.Make(name, own)
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Own(own), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

// madeBy opens a folder of root's that tenants may pass through, and makes it where there is none.
func madeBy(path string) (*beneath.Dir, error) {
	if err := makeOpen(path); err != nil {
		return nil, err
	}
	return beneath.Open(path)
}
