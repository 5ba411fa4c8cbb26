package agent_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hostctl/agent/apps"
	"hostctl/agent/blobs"
	"hostctl/agent/cron"
	"hostctl/agent/nginx"
	"hostctl/agent/php"
	"hostctl/agent/runtimes"
	"hostctl/agent/secrets"
	"hostctl/agent/users"
	"hostctl/agent/webroots"
	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/planner"
	"hostctl/schema"
)

// inside is set, to the role, where this program runs within a node's container: it runs testInside and nothing else.
const inside = "HOSTCTL_TEST_INSIDE"

// The executors of a web node pass the suite through the agent.
func TestConformanceFar(t *testing.T) {
	n := startNode(t)
	h := harness(n.files, func(t *testing.T, script string) { n.script(script) })
	h.New = func(*testing.T) executors.Executor {
		n.script("s6-svc -wD -d /run/service/node-agent;" + wipe + "rm -f /var/lib/hostctl/state.db; s6-svc -u /run/service/node-agent")
		n.ready()
		far := n.dial(1)
		far.Secrets = revealed("a value")
		return far
	}
	executorstest.Test(t, h)
}

// And they pass it in process: this very program runs within a node's container, and testInside is what it does there.
func TestConformanceNear(t *testing.T) {
	n := startNode(t)
	n.script("s6-svc -wD -d /run/service/node-agent")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	docker(t, "cp", self, n.container+":/tests")
	cmd := exec.Command("docker", "exec", "--env", inside+"=web", n.container, "/tests", "-test.v")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("--- PASS: Inside/")) {
		t.Error("nothing was run within the node")
	}
}

// runInside runs the executors of a role as the only test there is, and ends the program.
func runInside(role string) {
	every := func(_, _ string) (bool, error) { return true, nil }
	test := testInside
	if role == string(schema.RoleDatabase) {
		test = testInsideDatabase
	}
	if role == string(schema.RoleValkey) {
		test = testInsideValkey
	}
	testing.Main(every, []testing.InternalTest{{Name: "Inside", F: test}}, nil, nil)
}

func testInside(t *testing.T) {
	content := files{}
	h := harness(content, script)
	finish := func() {}
	h.New = func(t *testing.T) executors.Executor {
		finish() // else what it still ends could be what the next one has made by the same name
		script(t, wipe)
		www, err := user.Lookup("www-data")
		if err != nil {
			t.Fatal(err)
		}
		gid, _ := strconv.Atoi(www.Gid)
		pools, services := php.New(php.Options{Node: nodeName}), apps.New(apps.Options{Node: nodeName})
		finish = func() { pools.Wait(); services.Wait() }
		folder, err := secrets.Open("/var/lib/hostctl/secrets")
		if err != nil {
			t.Fatal(err)
		}
		return byKind{
			planner.KindSecret:  valued{secrets.New(secrets.Options{Node: nodeName, Folder: folder})},
			planner.KindUser:    users.New(users.Options{Node: nodeName, WebGID: gid}),
			planner.KindWebroot: webroots.New(webroots.Options{GID: gid, Blobs: content}),
			planner.KindRuntime: runtimes.New(pools, services),
			planner.KindVhost:   nginx.New(nginx.Options{Node: nodeName}),
			planner.KindCron:    cron.New(cron.Options{Node: nodeName}),
		}
	}
	executorstest.Test(t, h)
}

// wipe makes a node what it was at its start.
const wipe = `
for s in /run/service/php-* /run/service/app-*; do mv "$s" $(mktemp -d /run/service/.wiped-XXXXXX) || test ! -e "$s"; done
s6-svscanctl -an /run/service
rm -rf /etc/nginx/hostctl/* /etc/php/hostctl/* /run/php/* /etc/hostctl/apps /etc/hostctl/limits /etc/hostctl/ssh/* /run/apps /var/lib/apps /etc/nginx/hostctl-users /etc/hostctl/cron /run/cron /var/lib/cron /srv/tenants/* /srv/tenants/.hostctl /var/lib/php/hostctl /var/lib/hostctl/secrets
s6-svc -wu -u /run/service/nginx; s6-svc -h /run/service/nginx
for u in $(cut -d: -f1 /etc/passwd | grep ^t- || true); do pkill -9 -u $u || true; userdel $u; done
`

func script(t *testing.T, text string) {
	t.Helper()
	if out, err := exec.Command("sh", "-euc", text).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// valued gives every secret of a batch a value, as the agent's server does.
type valued struct{ *secrets.Manager }

func (v valued) Apply(ctx context.Context, cs []planner.Change) []error {
	var values secrets.Values
	for _, c := range cs {
		if s, ok := c.New.(planner.Secret); ok {
			values.Add(s, []byte("a value"))
		}
	}
	return v.Manager.Apply(secrets.With(ctx, values), cs)
}

// byKind is executors as an agent has them, without the agent.
type byKind map[planner.Kind]executors.Executor

func (m byKind) Apply(ctx context.Context, cs []planner.Change) []error {
	var errs []error
	for len(cs) > 0 {
		kind, n := cs[0].Ref().Kind, 1
		for n < len(cs) && cs[n].Ref().Kind == kind {
			n++
		}
		if e := m[kind]; e != nil {
			errs = append(errs, e.Apply(ctx, cs[:n])...)
		} else {
			errs = append(errs, executors.All(n, executors.Errorf(executors.Refused, "no executor of kind %s", kind))...)
		}
		cs = cs[n:]
	}
	return errs
}

func (m byKind) Observe(ctx context.Context) ([]planner.Object, error) {
	var all []planner.Object
	for _, e := range m {
		objects, err := e.(executors.Observer).Observe(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func (m byKind) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	all := map[planner.Ref]planner.Object{}
	for kind, e := range m {
		mine := slices.DeleteFunc(slices.Clone(refs), func(r planner.Ref) bool { return r.Kind != kind })
		found, err := e.(executors.Reader).Present(ctx, mine)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, found)
	}
	return all, nil
}

// harness is what both have in common: samples, and how to spoil them.
func harness(content files, run func(t *testing.T, script string)) executorstest.Harness {
	n := &node{files: content}
	acme := n.newSite("acme", 20001, true,
		content.add("public/index.php", "<?php echo 1;"), content.add("public/a/b.css", "b{}"), content.add("public/a/c", "c"))
	other := n.newSite("other", 20002, false)
	acme.user.Keys, acme.user.Limits = []string{ecdsaKey, ed25519Key}, planner.Limits{Memory: 64 << 20, Tasks: 100, Disk: 1 << 30}
	acme.runtime.Env, acme.runtime.MemoryLimit, acme.runtime.TaskLimit = map[string]string{"A": `x'"y`}, 64<<20, 100
	acme.runtime.INI = map[string]string{"memory_limit": "64M"}
	acme.runtime.FPM = schema.FPM{MaxChildren: 3}
	acme.vhost.Redirects = []schema.Redirect{{From: "/old", To: "https://www.acme.example/new?a=b&c", Status: 301}}

	user2, webroot2, runtime2, vhost2 := acme.user, acme.webroot, acme.runtime, acme.vhost
	user2.Locked, user2.Keys, user2.Limits = true, []string{ed25519Key}, planner.Limits{Inodes: 1000}
	webroot2.Files = []schema.ContentFile{content.add("public/a", "a file where a folder was"), content.add("public/index.php", "<?php echo 2;")}
	runtime2.Env, runtime2.FPM.MaxChildren, runtime2.TaskLimit = nil, 0, 0
	vhost2.Hostnames, vhost2.Redirects, vhost2.Front = []string{"acme.example", "shop.acme.example"}, nil, []string{"10.77.0.10", "2001:db8::1"}

	ofFile := planner.Secret{
		Meta:   planner.Meta{Target: nodeName, Name: planner.SecretName("acme", schema.KindWebroot, "shop", "env.DB_PASSWORD"), From: acme.user.From},
		Tenant: "acme", Cipher: strings.Repeat("ab", 32),
	}
	generated := ofFile
	generated.Name, generated.Cipher = planner.SecretName("acme", schema.KindWebroot, "shop", "env.TOKEN"), ""
	generated.Generated, generated.Generation = "token", 1
	ofFile2, generated2 := ofFile, generated
	ofFile2.Cipher, generated2.Generation = strings.Repeat("cd", 32), 2

	twice := n.newSite("twice", 20003, false).vhost
	twice.Redirects = []schema.Redirect{{From: "/x", To: "/y", Status: 302}, {From: "/x", To: "/z", Status: 302}}
	service := n.newService(schema.RuntimeNode, "20", 20006, content.add("server.js", services[0].text))
	service2 := service.runtime
	service2.Env, service2.Command, service2.Health = map[string]string{"V": "2", "Q": `it's "q" \ $HOME %41`}, []string{"node", "--max-old-space-size=64", "server.js"}, "/v"
	unset := n.newSite("unset", 20003, true).runtime
	unset.Env = map[string]string{"A": "$HOME"}
	job := acme.job("tidy", "php", "public/index.php", `a "b" $HOME`)
	job2 := job
	job.Env, job2.Argv, job2.Timezone, job2.Concurrency, job2.Timeout = map[string]string{"A": `x'"y`}, []string{"true"}, "UTC", schema.Replace, 1
	badJob := n.newSite("badjob", 20001, true).job("tidy", "true")
	badJob.Version = "7.0"
	first, second := n.newSite("first", 20004, false).vhost, n.newSite("second", 20005, false).vhost
	second.Hostnames = first.Hostnames

	return executorstest.Harness{
		Kinds: []planner.Kind{planner.KindSecret, planner.KindUser, planner.KindWebroot, planner.KindRuntime, planner.KindVhost, planner.KindCron},
		Samples: []executorstest.Sample{
			{Create: ofFile, Update: ofFile2}, {Create: generated, Update: generated2},
			{Create: acme.user, Update: user2}, {Create: other.user},
			{Create: acme.webroot, Update: webroot2, Keeps: true}, {Create: other.webroot, Keeps: true},
			{Create: acme.runtime, Update: runtime2},
			{Create: service.user}, {Create: service.webroot, Keeps: true}, {Create: service.runtime, Update: service2},
			{Create: acme.vhost, Update: vhost2}, {Create: other.vhost},
			{Create: job, Update: job2}, {Create: other.job("tidy", "true")},
		},
		Bad:  []planner.Object{twice, unset, badJob},
		Swap: &[2]planner.Object{first, second},
		Damage: map[string]func(*testing.T, executors.Executor){
			"nginx stopped":         spoil(run, "s6-svc -wD -d /run/service/nginx"),
			"vhost changed":         spoil(run, "echo '# x' >> /etc/nginx/hostctl/current/acme.shop.conf"),
			"vhosts removed":        spoil(run, "rm -r /etc/nginx/hostctl/current/*"),
			"PHP stopped":           spoil(run, "s6-svc -wD -d /run/service/php-8.4-*"),
			"pool changed":          spoil(run, "echo 'pm.max_children = 99' >> /etc/php/hostctl/8.4/current/acme.shop.conf"),
			"socket removed":        spoil(run, "rm /run/php/8.4/current/acme.shop.sock"),
			"service stopped":       spoil(run, "s6-svc -wD -d /run/service/app-*"),
			"service changed":       spoil(run, "sed -i 's/V=1/V=9/; s/V=2/V=9/' /etc/hostctl/apps/*/*/current/app.json"),
			"service's socket gone": spoil(run, "rm /run/apps/*/*/current/sock"),
			"service's way gone":    spoil(run, "rm /run/apps/*/*/current"),
			"file changed":          spoil(run, "echo defaced > /srv/tenants/acme/shop/public/index.php"),
			"file removed":          spoil(run, "rm /srv/tenants/acme/shop/public/a/b.css"),
			"site removed":          spoil(run, "rm -r /srv/tenants/acme/shop"),
			"secret removed":        spoil(run, "rm /var/lib/hostctl/secrets/acme/webroot/shop/env.TOKEN"),
			"secret changed":        spoil(run, "echo x >> /var/lib/hostctl/secrets/acme/webroot/shop/env.DB_PASSWORD"),
			"job removed":           spoil(run, "rm /etc/hostctl/cron/acme.shop.tidy.json"),
			"job changed":           spoil(run, "sed -i 's/Berlin/Paris/; s/UTC/GMT/; s/true/false/' /etc/hostctl/cron/*.json"),
			"user removed":          spoil(run, "userdel -f t-other"),
			"user locked":           spoil(run, "usermod -e 1 t-acme"),
			"key added":             spoil(run, "echo '"+ed25519Key+" x' >> /etc/hostctl/ssh/t-acme"),
			"keys for all to write": spoil(run, "chmod 666 /etc/hostctl/ssh/t-acme"),
			"keys removed":          spoil(run, "rm /etc/hostctl/ssh/t-acme"),
			"limits changed":        spoil(run, "echo '{}' > /etc/hostctl/limits/t-acme"),
			"nginx serves an older": spoil(run, "rm /etc/nginx/hostctl/sites.conf; nginx -s reload; sleep 0.5"), // nginx -s doesn't wait
		},
	}
}

func spoil(run func(*testing.T, string), script string) func(*testing.T, executors.Executor) {
	return func(t *testing.T, _ executors.Executor) { run(t, script) }
}

var _ executors.Blobs = (*blobs.Folder)(nil)
