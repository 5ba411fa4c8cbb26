package php

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hostctl/agent/allow"
	"hostctl/agent/limit"
	"hostctl/agent/secrets"
	"hostctl/planner"
	"hostctl/schema"
)

// What a pool has where its site says nothing.
const (
	defaultChildren    = 5
	defaultIdleSeconds = 30
	defaultRequests    = 1000
	defaultMemory      = 256 << 20 // bytes
	requestSeconds     = 300       // a request that takes longer is ended
)

// check refuses a pool that holds anything but what its grammars allow.
func check(r planner.Runtime) error {
	site, version, _ := strings.Cut(r.Name, "/")
	errs := []error{allow.Site(site, r.Tenant, r.Site), allow.Version(r.Version), allow.Login(r.Login)}
	if r.Type != schema.RuntimePHP {
		errs = append(errs, fmt.Errorf("this version runs php, not %q", r.Type))
	}
	if version != "php-"+r.Version {
		errs = append(errs, fmt.Errorf("%q isn't the name of a PHP %s pool", r.Name, r.Version))
	}
	for _, n := range []int{r.FPM.MaxChildren, r.FPM.IdleTimeoutSeconds, r.FPM.MaxRequests} {
		if n < 0 || n > 1_000_000 {
			errs = append(errs, fmt.Errorf("%d is no size of a pool", n))
		}
	}
	errs = append(errs, limit.Check(r))
	for _, k := range slices.Sorted(maps.Keys(r.INI)) {
		if err := schema.CheckINI(k, r.INI[k]); err != nil {
			errs = append(errs, fmt.Errorf("PHP setting %s %w", k, err))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Env)) {
		errs = append(errs, schema.CheckEnvName(k))
		if err := schema.CheckEnvValue(r.Env[k]); err != nil {
			errs = append(errs, fmt.Errorf("variable %s %w", k, err))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		errs = append(errs, schema.CheckEnvName(k))
		if _, twice := r.Env[k]; twice {
			errs = append(errs, fmt.Errorf("variable %s is a secret and isn't one", k))
		}
	}
	return errors.Join(errs...)
}

// quote writes a value so that PHP's INI scanner reads exactly it: in single quotes nothing means anything, and parts that
// stand side by side are one value, so a single quote itself stands in double quotes.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// paths are where a pool's things are on the node.
type paths struct {
	tenants string // the sites
	data    string // temporary files and sessions: <data>/<tenant>.<site>/{tmp,sessions}
	web     string // user and group of the web server, the only one who may connect
}

func (p paths) dataOf(r planner.Runtime) string { return path.Join(p.data, r.Tenant+"."+r.Site) }

// render writes a pool's file. The first line holds the object itself, so that what is in use can be read back. Its socket
// is relative to the prefix that its master is started with, so the file is the same in every generation.
//
// values are those of the variables that are secrets. They are in the file, which only root may read, as is its folder:
// what FPM takes from its own environment every pool could read in /proc.
func render(r planner.Runtime, p paths, values map[string]string) ([]byte, error) {
	if err := errors.Join(check(r), secrets.CheckValues(r.Secrets, values)); err != nil {
		return nil, err
	}
	site, data := path.Join(p.tenants, r.Tenant, r.Site), p.dataOf(r)
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s = %s\n", key, quote(value)) }
	number := func(key string, n, otherwise int) {
		if n == 0 {
			n = otherwise
		}
		fmt.Fprintf(&b, "%s = %d\n", key, n)
	}
	fmt.Fprintf(&b, "; hostctl %s\n[%s.%s]\n", header(r), r.Tenant, r.Site)
	set("user", r.Login)
	set("group", r.Login)
	set("listen", socket(r))
	set("listen.owner", p.web)
	set("listen.group", p.web)
	set("listen.mode", "0600")
	set("pm", "ondemand")
	number("pm.max_children", r.FPM.MaxChildren, defaultChildren)
	number("pm.process_idle_timeout", r.FPM.IdleTimeoutSeconds, defaultIdleSeconds)
	number("pm.max_requests", r.FPM.MaxRequests, defaultRequests)
	number("request_terminate_timeout", requestSeconds, 0)
	set("security.limit_extensions", ".php")
	b.WriteString("clear_env = yes\ncatch_workers_output = yes\ndecorate_workers_output = no\n")
	// With the slash at its end each is a folder, not a prefix of names (php.net/open-basedir).
	set("php_admin_value[open_basedir]", site+"/:"+data+"/")
	set("php_admin_value[upload_tmp_dir]", data+"/tmp")
	set("php_admin_value[sys_temp_dir]", data+"/tmp")
	set("php_admin_value[session.save_path]", data+"/sessions")
	set("php_admin_value[memory_limit]", memory(r))
	if _, ok := r.INI["session.gc_probability"]; !ok {
		set("php_value[session.gc_probability]", "1") // the distribution cleans its own folder only
	}
	for _, k := range slices.Sorted(maps.Keys(r.INI)) {
		if k != "memory_limit" {
			set("php_value["+k+"]", iniValue(r.INI[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Env)) {
		set("env["+k+"]", r.Env[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		set("env["+k+"]", values[k])
	}
	return []byte(b.String()), nil
}

func socket(r planner.Runtime) string { return r.Tenant + "." + r.Site + ".sock" }

// memory is what one request may use: what the site says, or a usual size, and never more than the tenant's plan.
func memory(r planner.Runtime) string {
	if m, ok := r.INI["memory_limit"]; ok {
		return m // the schema holds it below the plan's
	}
	n := int64(defaultMemory)
	if r.MemoryLimit > 0 {
		n = min(n, r.MemoryLimit)
	}
	return strconv.FormatInt(n, 10)
}

// iniValue returns a setting as it has to be once its file is read. Error levels are an expression in php.ini; here the
// number is written, since quoted text isn't evaluated.
func iniValue(s string) string {
	if !strings.HasPrefix(s, "E_") {
		return s
	}
	n := 0
	op := byte('|')
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ':
			i++
		case '|', '&', '^':
			op = c
			i++
		default:
			end := i + 1
			for end < len(s) && (s[end] == '_' || s[end] >= 'A' && s[end] <= 'Z') {
				end++
			}
			n = apply(n, op, s[i:end])
			i = end
		}
	}
	return strconv.Itoa(n)
}

func apply(n int, op byte, word string) int {
	name, not := strings.CutPrefix(word, "~")
	v := levels[name]
	if not {
		v = ^v
	}
	switch op {
	case '&':
		return n & v
	case '^':
		return n ^ v
	}
	return n | v
}

// levels are PHP's error levels: php.net/errorfunc.constants
var levels = map[string]int{
	"E_ERROR": 1, "E_WARNING": 2, "E_PARSE": 4, "E_NOTICE": 8, "E_CORE_ERROR": 16, "E_CORE_WARNING": 32, "E_COMPILE_ERROR": 64,
	"E_COMPILE_WARNING": 128, "E_USER_ERROR": 256, "E_USER_WARNING": 512, "E_USER_NOTICE": 1024, "E_STRICT": 2048,
	"E_RECOVERABLE_ERROR": 4096, "E_DEPRECATED": 8192, "E_USER_DEPRECATED": 16384, "E_ALL": 32767,
}

// header is a pool in one line of JSON, without what isn't content.
func header(r planner.Runtime) []byte {
	r.From, r.On = planner.Owner{}, nil
	return planner.Encode(r)
}

// parse returns the pool whose file this is: the one of its first line, if the rest is what that renders to.
func parse(file []byte, p paths) (planner.Runtime, error) {
	line, _, _ := strings.Cut(string(file), "\n")
	text, ok := strings.CutPrefix(line, "; hostctl ")
	if !ok || !json.Valid([]byte(text)) {
		return planner.Runtime{}, errors.New("not written by hostctl")
	}
	o, err := planner.Decode([]byte(text))
	if err != nil {
		return planner.Runtime{}, err
	}
	r, ok := o.(planner.Runtime)
	if !ok {
		return planner.Runtime{}, fmt.Errorf("it describes a %s", o.Ref().Kind)
	}
	want, err := render(r, p, secretValues(file, r))
	if err != nil {
		return planner.Runtime{}, err
	}
	if string(want) != string(file) {
		return planner.Runtime{}, errors.New("changed by somebody else")
	}
	return r, nil
}
