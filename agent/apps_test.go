package agent_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// How a small site that says how it runs is written for each runtime. It answers /v with its variable V, after as many
// milliseconds as the query says, and everything else with facts.
var services = []struct {
	kind    schema.RuntimeType
	version string
	file    string
	text    string
}{
	{schema.RuntimeNode, "20", "server.js", `
const fs = require('fs'), net = require('net'), path = require('path');
const tell = (f) => { try { return f(); } catch (e) { return 'denied'; } };
require('http').createServer((q, r) => {
  if (q.url.startsWith('/v')) return setTimeout(() => r.end(process.env.V), Number(q.url.split('?')[1] || 0));
  r.setHeader('content-type', 'application/json');
  r.end(JSON.stringify({
    UID: process.getuid(), GID: process.getgid(), Groups: process.getgroups(), Dir: process.cwd(), Home: process.env.HOME,
    Env: process.env, Mask: process.umask(), Status: fs.readFileSync('/proc/self/status', 'utf8'), Headers: q.headers, Path: q.url,
  }));
}).listen(process.env.PORT || 8080, '0.0.0.0', () => console.log('node is up'));
`},
	{schema.RuntimePython, "3.13", "app.py", `
import json, os, time
print("python is up", flush=True)
def app(env, start):
    start("200 OK", [("Content-Type", "application/json")])
    if env["PATH_INFO"].startswith("/v"):
        time.sleep(int(env["QUERY_STRING"] or 0) / 1000)
        return [os.environ["V"].encode()]
    mask = os.umask(0); os.umask(mask)
    headers = {k[5:].lower().replace("_", "-"): v for k, v in env.items() if k.startswith("HTTP_")}
    return [json.dumps({"UID": os.getuid(), "GID": os.getgid(), "Groups": os.getgroups(), "Dir": os.getcwd(), "Home": os.environ["HOME"],
        "Env": dict(os.environ), "Mask": mask, "Status": open("/proc/self/status").read(), "Headers": headers, "Path": env["RAW_URI"]}).encode()]
`},
	{schema.RuntimeRuby, "3.3", "config.ru", `
require 'json'
STDOUT.sync = true
puts 'ruby is up'
run ->(env) {
  if env['PATH_INFO'].start_with?('/v')
    sleep(env['QUERY_STRING'].to_i / 1000.0)
    next [200, {}, [ENV['V']]]
  end
  headers = env.select { |k, _| k.start_with?('HTTP_') }.to_h { |k, v| [k[5..].downcase.tr('_', '-'), v] }
  [200, {'content-type' => 'application/json'}, [JSON.dump({UID: Process.uid, GID: Process.gid, Groups: Process.groups, Dir: Dir.pwd, Home: ENV['HOME'],
    Env: ENV.to_h, Mask: File.umask, Status: File.read('/proc/self/status'), Headers: headers, Path: env['REQUEST_URI']})]]
}
`},
}

// newService returns a site of a runtime whose V is 1.
func (n *node) newService(kind schema.RuntimeType, version string, uid int, content ...schema.ContentFile) site {
	s := n.newSite(string(kind)+"-1", uid, false, content...)
	s.runtime = planner.Runtime{
		Meta:   planner.Meta{Target: nodeName, Name: s.vhost.Name + "/" + string(kind) + "-" + version, From: s.vhost.From},
		Tenant: s.vhost.Tenant, Site: "shop", Type: kind, Version: version, Login: s.user.Login, Env: map[string]string{"V": "1"},
	}
	s.vhost.Type, s.vhost.Version = kind, version
	return s
}

func (n *node) services() []site {
	var all []site
	for i, v := range services {
		all = append(all, n.newService(v.kind, v.version, 20011+i, n.files.add(v.file, v.text), n.files.add("public/style.css", "body{}")))
	}
	return all
}

func (s site) host() string { return s.vhost.Hostnames[1] }

type saidService struct {
	UID, GID     int
	Groups       []int
	Dir, Home    string
	Env, Headers map[string]string
	Mask         int
	Status, Path string
}

// A site's own program runs as its tenant's user and nothing more, and is changed under load without a request that fails.
func TestServices(t *testing.T) {
	n := startNode(t)
	all := n.services()
	for _, s := range all {
		start := time.Now()
		n.create(s.objects()...)
		t.Logf("%s: a site took %v", s.runtime.Type, time.Since(start))
	}
	for _, s := range all {
		t.Run(string(s.runtime.Type), func(t *testing.T) {
			n.checkService(t, s)
			n.changeUnderLoad(t, s)
		})
	}
	within(t, 60*time.Second, "replaced services end", func() error {
		if out := strings.Fields(n.script("ls /run/service | grep ^app-; ls -d /run/apps/*/*/[0-9]*")); len(out) != 2*len(all) {
			return errorString(strings.Join(out, " "))
		}
		return nil
	})
	for _, s := range all {
		if err := n.dial(1).Apply(t.Context(), []planner.Change{{Action: planner.Delete, Old: s.vhost}, {Action: planner.Delete, Old: s.runtime}}); err[0] != nil || err[1] != nil {
			t.Fatal(err)
		}
	}
	within(t, 60*time.Second, "services that went end", func() error {
		if out := n.script("ls /run/service | grep ^app- || true; ls /run/apps /etc/hostctl/apps"); strings.Contains(out, "shop") {
			return errorString(out)
		}
		return nil
	})
}

func (n *node) checkService(t *testing.T, s site) {
	status, body := n.get(s.host(), "/x/y?z=%20")
	var f saidService
	if err := json.Unmarshal([]byte(body), &f); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	uid := s.user.UID
	if f.UID != uid || f.GID != uid || slices.ContainsFunc(f.Groups, func(g int) bool { return g != uid }) || f.Mask != 0o027 {
		t.Errorf("runs as uid %d, gid %d, groups %v, umask %o", f.UID, f.GID, f.Groups, f.Mask)
	}
	for _, line := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(f.Status, line) {
			t.Errorf("its status lacks %q", line)
		}
	}
	if f.Dir != "/srv/tenants/"+s.user.Name+"/shop" || f.Home != "/var/lib/apps/"+s.vhost.Name+"/home" || f.Env["V"] != "1" || f.Env["HOSTCTL_INSTANCE"] != "" {
		t.Errorf("in %s, at home in %s, with %v", f.Dir, f.Home, f.Env)
	}
	if h := f.Headers; h["host"] != s.host() || h["x-forwarded-proto"] != "http" || h["x-forwarded-for"] == "" || f.Path != "/x/y?z=%20" {
		t.Errorf("it is told %v of %s", h, f.Path)
	}
	if _, body := n.get(s.host(), "/style.css"); body != "body{}" {
		t.Errorf("a file of the document root: %q", body)
	}
	if out := n.exec("cat", "/var/log/sites/"+s.vhost.Name+".app.log"); !strings.Contains(out, string(s.runtime.Type)+" is up") {
		t.Errorf("its log: %q", out)
	}
}

// changeUnderLoad changes a site's variable, then gives it a program that doesn't start, then kills it.
func (n *node) changeUnderLoad(t *testing.T, s site) {
	stop := make(chan struct{})
	slow, quick := make(chan string), make(chan string)
	go n.load(s.host(), "/v?700", stop, slow, 20*time.Second)
	go n.load(s.host(), "/v?1", stop, quick, 20*time.Second)
	old := s.runtime
	for i := range 3 {
		next := old
		next.Env = map[string]string{"V": fmt.Sprint(i + 2)}
		start := time.Now()
		if err := n.dial(1).Apply(t.Context(), []planner.Change{{Action: planner.Update, Old: old, New: next}})[0]; err != nil {
			t.Fatal(err)
		}
		t.Logf("a change took %v", time.Since(start))
		if _, body := n.get(s.host(), "/v"); body != next.Env["V"] {
			t.Errorf("after Apply it has V=%s, want %s", body, next.Env["V"])
		}
		old = next
	}
	for name, spoil := range map[string]func(*planner.Runtime){
		"program that ends":         func(r *planner.Runtime) { r.Command = []string{"false"} },
		"program that isn't there":  func(r *planner.Runtime) { r.Command = []string{"./no-such"} },
		"version that isn't there":  func(r *planner.Runtime) { r.Version, r.Name = "1", s.vhost.Name+"/"+string(r.Type)+"-1" },
		"version that is a path":    func(r *planner.Runtime) { r.Version, r.Name = "1/..", s.vhost.Name+"/"+string(r.Type)+"-1/.." },
		"variable of the loader":    func(r *planner.Runtime) { r.Env = map[string]string{"LD_PRELOAD": "x"} },
		"line break in the command": func(r *planner.Runtime) { r.Command = []string{"node", "a\nb"} },
		"login of the system":       func(r *planner.Runtime) { r.Login = "root" },
		"health path of elsewhere":  func(r *planner.Runtime) { r.Health = "//evil.example/" },
	} {
		r := old
		spoil(&r)
		err := n.tryCreate(r)[0]
		if executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v (%s), want it refused", name, err, executors.KindOf(err))
		}
	}
	close(stop)
	for _, c := range []chan string{slow, quick} {
		if said := <-c; said != "" {
			t.Error(said)
		}
	}
	n.script("pkill -KILL -u " + s.user.Login)
	within(t, 30*time.Second, "it is started again", func() error {
		status, body, err := n.fetch(s.host(), "/v")
		if err == nil && (status != 200 || body != old.Env["V"]) {
			err = fmt.Errorf("%d %q", status, body)
		}
		return err
	})
}
