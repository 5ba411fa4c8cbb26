package agent_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"hostctl/agent/secrets"
	"hostctl/agent/valkey"
	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	valkeyNode  = "valkey-1-0"
	valkeyShard = "valkey-1"
)

// asAgent is valkey-cli as the agent logs in to an instance.
const asAgent = `
cli() { i=$1; shift; valkey-cli -s /run/valkey/$i/sock/valkey.sock --user _hostctl --pass "$(cat /var/lib/valkey/instances/$i/admin)" --no-auth-warning "$@"; }
`

// wipeValkey makes a node what it was at its start.
const wipeValkey = `
for s in /run/service/valkey-*; do test ! -e "$s" || mv "$s" $(mktemp -d /run/service/.wiped-XXXXXX); done
s6-svscanctl -an /run/service
while pkill -9 -x valkey-server; do sleep 0.02; done
rm -rf /var/lib/valkey/* /run/valkey/*
`

// The executor of Valkey passes the suite through the agent, and then within the node.
func TestValkeyConformance(t *testing.T) {
	n := startNodeOf(t, string(schema.RoleValkey), valkeyNode)
	t.Run("far", func(t *testing.T) {
		h := valkeyHarness(func(_ *testing.T, script string) { n.script(script) })
		h.New = func(*testing.T) executors.Executor {
			n.script("s6-svc -wD -d /run/service/node-agent;" + wipeValkey + "rm -f /var/lib/hostctl/state.db; s6-svc -u /run/service/node-agent")
			n.ready()
			return n.dial(1)
		}
		h.Damage = nil // what is there is read in the same way, and near it is asked without waiting for an agent to start
		executorstest.Test(t, h)
	})
	t.Run("near", func(t *testing.T) {
		n.script("s6-svc -wD -d /run/service/node-agent")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		docker(t, "cp", self, n.container+":/tests")
		out, err := exec.Command("docker", "exec", "--env", inside+"="+n.role, n.container, "/tests", "-test.v").CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(out, []byte("--- PASS: Inside/")) {
			t.Error("nothing was run within the node")
		}
	})
}

func testInsideValkey(t *testing.T) {
	h := valkeyHarness(script)
	h.New = func(t *testing.T) executors.Executor {
		script(t, wipeValkey)
		folder, err := secrets.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return valkey.New(valkey.Options{Target: valkeyShard, Secrets: folder})
	}
	executorstest.Test(t, h)
}

func valkeyMeta(name, kind string) planner.Meta {
	tenant, resource, _ := strings.Cut(name, ".")
	return planner.Meta{Target: valkeyShard, Name: name, From: planner.Owner{Tenant: tenant, Kind: kind, Name: resource}}
}

func newInstance(tenant, name string, port int, p schema.Persistence) planner.Valkey {
	return planner.Valkey{
		Meta: valkeyMeta(tenant+"."+name, "ValkeyInstance"), Tenant: tenant, Instance: name, Port: port, MaxMemory: 16 << 20,
		Policy: schema.DefaultPolicy, Persistence: p,
	}
}

func newValkeyUser(tenant, name, instance string) planner.ValkeyUser {
	sum := sha256.Sum256([]byte("correct horse"))
	return planner.ValkeyUser{
		Meta: valkeyMeta(tenant+"."+name, "ValkeyUser"), Tenant: tenant, User: name, Instance: instance,
		Keys: []string{"*"}, PasswordHash: hex.EncodeToString(sum[:]),
	}
}

func valkeyHarness(run func(t *testing.T, script string)) executorstest.Harness {
	shop, other := newInstance("acme", "shop", 6400, schema.PersistRDB), newInstance("ac-me", "cache", 6401, schema.PersistNone)
	shop2 := shop
	shop2.MaxMemory, shop2.Policy, shop2.Persistence, shop2.Purge = 24<<20, "allkeys-lfu", schema.PersistAOF, true
	other2 := other
	other2.Persistence, other2.MovedTo = schema.PersistRDB, "valkey-2-0"
	app, reader := newValkeyUser("acme", "app", "shop"), newValkeyUser("ac-me", "app", "cache")
	app2 := app
	app2.Keys, app2.Channels, app2.Commands = []string{"cart:*", "x:{a}:?"}, []string{"news:*"}, []string{"+@read", "+@scripting", "-get", "+sort"}
	app2.PasswordHash = strings.Repeat("0", 64)
	reader.Channels = []string{"*"}
	bad, foreign := newValkeyUser("bad", "app", "shop"), newValkeyUser("foreign", "app", "shop")
	bad.Commands = []string{"+@all ~*"}
	foreign.Instance = "../acme.shop"
	hand := func(script string) func(*testing.T, executors.Executor) { return spoil(run, asAgent+script) }

	return executorstest.Harness{
		Kinds: []planner.Kind{planner.KindValkey, planner.KindValkeyUser},
		Samples: []executorstest.Sample{
			{Create: shop, Update: shop2, Keeps: true}, {Create: other, Update: other2, Keeps: true},
			{Create: app, Update: app2}, {Create: reader},
		},
		Bad: []planner.Object{bad, foreign},
		Damage: map[string]func(*testing.T, executors.Executor){
			"memory changed":       hand("cli acme.shop CONFIG SET maxmemory 0"),
			"policy changed":       hand("cli acme.shop CONFIG SET maxmemory-policy volatile-ttl"),
			"persistence changed":  hand("cli acme.shop CONFIG SET save ''"),
			"protection taken off": hand("cli acme.shop CONFIG SET protected-mode no"),
			"closed":               hand("cli acme.shop CONFIG SET min-replicas-to-write 1"),
			"follows another":      hand("cli acme.shop REPLICAOF 192.0.2.1 6379"),
			"user added":           hand("cli acme.shop ACL SETUSER eve on nopass '~*' +@all"),
			"user removed":         hand("cli acme.shop ACL DELUSER app"),
			"default let in":       hand("cli acme.shop ACL SETUSER default on nopass '~*' +@all"),
			"right added":          hand("cli acme.shop ACL SETUSER app +config"),
			"password added":       hand("cli acme.shop ACL SETUSER app '>other'"),
			"channel added":        hand("cli acme.shop ACL SETUSER app '&*'"),
			"user switched off":    hand("cli acme.shop ACL SETUSER app off"),
			"file changed":         hand("echo 'port 6379' >> /var/lib/valkey/instances/acme.shop/valkey.conf"),
			"users' file changed":  hand("echo 'user eve on nopass ~* +@all' >> /var/lib/valkey/instances/acme.shop/users.acl"),
			"another certificate":  hand("echo x >> /run/valkey/acme.shop/node.crt"),
			"stopped":              hand("s6-svc -wD -d /run/service/valkey-acme.shop"),
			"service gone":         hand("mv /run/service/valkey-acme.shop /run/service/.gone; s6-svscanctl -an /run/service; while pgrep -u 106400 >/dev/null; do sleep 0.02; done; rm -rf /run/service/.gone"),
		},
	}
}

// login is a connection of a tenant's client, over TLS that is checked against the cluster's CA.
type login struct {
	net.Conn
	r *bufio.Reader
}

func (n *node) client(t *testing.T, port int) *login {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.ca.PEM())
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: &tls.Config{RootCAs: pool, ServerName: n.name, MinVersion: tls.VersionTLS12}}
	var c net.Conn
	within(t, time.Minute, "the instance answers", func() (err error) {
		c, err = d.DialContext(t.Context(), "tcp", net.JoinHostPort(n.address, strconv.Itoa(port)))
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	return &login{c, bufio.NewReader(c)}
}

func (n *node) login(t *testing.T, port int, user string) *login {
	t.Helper()
	c := n.client(t, port)
	if said := c.do("AUTH", user, "correct horse"); said != "OK" {
		t.Fatalf("%s can't log in: %s", user, said)
	}
	return c
}

// do returns the first line of a reply, and of a string its text; "closed" where there is none.
func (c *login) do(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write([]byte(b.String())); err != nil {
		return "closed"
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "closed"
	}
	if strings.HasPrefix(line, "$") && line != "$-1\r\n" {
		if line, err = c.r.ReadString('\n'); err != nil {
			return "closed"
		}
		return strings.TrimRight(line, "\r\n")
	}
	return strings.TrimRight(strings.TrimPrefix(line, "+"), "\r\n")
}

// A user reaches its own instance, in it its own keys, and nothing that runs the server; without TLS and a password nobody gets
// in; who loses a right, or is removed, is disconnected. Data outlives kills, changes of how it is kept, and that nobody
// declares it for a while, and a move to another node; what is dropped is in the trash. What is changed by hand is put right by the node itself.
func TestValkey(t *testing.T) {
	n := startNodeOf(t, string(schema.RoleValkey), valkeyNode, "HOSTCTL_CHECK_EVERY=1s")
	shop, theirs := newInstance("acme", "shop", 6400, schema.PersistRDB), newInstance("evil", "shop", 6401, schema.PersistRDB)
	app, cart, eve := newValkeyUser("acme", "app", "shop"), newValkeyUser("acme", "cart", "shop"), newValkeyUser("evil", "app", "shop")
	cart.Keys = []string{"cart:*"}
	scripts := newValkeyUser("evil", "scripts", "shop")
	scripts.Commands, scripts.Keys = []string{"+@read", "+@write", "+@scripting"}, []string{"own:*"}
	n.create(shop, theirs)
	n.create(app, cart, eve, scripts)
	t.Run("attacks", func(t *testing.T) { n.attackValkey(t) })
	t.Run("rights", func(t *testing.T) { n.losesRights(t, cart) })
	t.Run("passwords", func(t *testing.T) { n.changesPasswords(t) })
	t.Run("data", func(t *testing.T) { n.keepsData(t, shop, app) })
	t.Run("kept", func(t *testing.T) { n.keepsInstance(t, theirs, eve, scripts) })
	t.Run("healed", func(t *testing.T) { n.healsValkey(t) })
	t.Run("adopted", func(t *testing.T) { n.adoptsValkey(t) })
	t.Run("moved", func(t *testing.T) { n.movesInstance(t) })
}

// changesPasswords gives a user passwords that are secrets: whatever is in them it logs in with, and they are in the file of the
// secret alone.
func (n *node) changesPasswords(t *testing.T) {
	user := newValkeyUser("acme", "secretive", "shop")
	secret := planner.Secret{
		Meta:   planner.Meta{Target: valkeyNode, Name: planner.SecretName("acme", schema.KindValkeyUser, user.User, "password"), From: user.From},
		Tenant: "acme", Generated: "canary",
	}
	user.PasswordHash = ""
	var last planner.ValkeyUser
	set := func(password string) error {
		t.Helper()
		old, was := secret, user
		secret.Generation++
		user.Password = planner.Held{Secret: secret.Name, Version: secret.Version()}
		last = was
		near := n.dial(1)
		near.Secrets = revealed(password)
		cs := []planner.Change{{ID: 1, Action: planner.Create, New: secret}, {ID: 2, Action: planner.Create, New: user}}
		if old.Generation > 0 {
			cs = []planner.Change{
				{ID: 1, Action: planner.Update, Old: old, New: secret, Expect: planner.HashOf(old)},
				{ID: 2, Action: planner.Update, Old: was, New: user, Expect: planner.HashOf(was)},
			}
		}
		for _, c := range cs {
			if err := near.Apply(t.Context(), []planner.Change{c})[0]; err != nil {
				return err
			}
		}
		return nil
	}
	for _, password := range []string{"canary-1", `canary '"\%s\' $(x) #>~&`, "canary пароль ☃", "canary\nline\r\n", "canary\x00nul", "canary" + strings.Repeat("x", 3000)} {
		if err := set(password); err != nil {
			t.Fatalf("with the password %q: %v", password, err)
		}
		if said := n.client(t, 6400).do("AUTH", user.User, password); said != "OK" {
			t.Errorf("with the password %.40q: %s", password, said)
		}
		for _, wrong := range []string{password + " ", password[:len(password)-1], ""} {
			if said := n.client(t, 6400).do("AUTH", user.User, wrong); !strings.HasPrefix(said, "-WRONGPASS") {
				t.Errorf("with %.40q in place of %.40q: %s", wrong, password, said)
			}
		}
		n.sees(user)
	}
	if err := set(""); executors.KindOf(err) != executors.Refused {
		t.Errorf("an empty password: %v", err)
	}
	n.change(last, nil)
	if files := strings.Fields(n.script(`grep -rlsa --exclude=node-agent canary- /etc /run /var /tmp /home /root /opt || true`)); len(files) > 0 {
		t.Errorf("of a password that isn't one any more, in clear in %v", files)
	}
	if out := n.script(`for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline; tr '\0' '\n' < $p/environ; done 2>/dev/null | grep -a canary | grep -v grep || true`); out != "" {
		t.Errorf("a process has it in its arguments or environment: %s", out)
	}
	if log, err := exec.Command("docker", "logs", n.container).CombinedOutput(); err != nil || len(log) == 0 || bytes.Contains(log, []byte("canary ")) || bytes.Contains(log, []byte("canary-")) {
		t.Errorf("the node's log has it, or there is none: %v", err)
	}
}

// keepsData changes how an instance keeps its data, and kills it after each change.
func (n *node) keepsData(t *testing.T, shop planner.Valkey, app planner.ValkeyUser) {
	pid := func() string {
		return strings.TrimSpace(n.script("s6-svstat -o pid /run/service/valkey-acme.shop"))
	}
	answers := func() *login {
		var c *login
		within(t, time.Minute, "the instance has read its data", func() error {
			c = n.login(t, 6400, app.User)
			if said := c.do("PING"); said != "PONG" {
				return errorString(said)
			}
			return nil
		})
		return c
	}
	was := shop
	for i, p := range []schema.Persistence{schema.PersistAOF, schema.PersistRDB, schema.PersistNone, schema.PersistRDB, schema.PersistAOF} {
		c := answers()
		if said := c.do("SET", "round", strconv.Itoa(i)); said != "OK" {
			t.Fatalf("write: %s", said)
		}
		now, before := was, pid()
		now.Persistence, now.MaxMemory = p, was.MaxMemory+1<<20
		n.change(was, now)
		if pid() != before {
			t.Errorf("%s: it was started anew", p)
		}
		n.script("kill -9 " + before)
		within(t, time.Minute, "another process", func() error {
			if now := pid(); now == before || now == "-1" {
				return errorString(now)
			}
			return nil
		})
		want := strconv.Itoa(i)
		if p == schema.PersistNone {
			want = "$-1"
		}
		if said := answers().do("GET", "round"); said != want {
			t.Errorf("after it was killed, kept as %s: %q, want %q", p, said, want)
		}
		was = now
	}
	// A node that starts anew has them as they were, whoever has a controller at hand.
	if said := answers().do("SET", "round", "node"); said != "OK" {
		t.Fatal(said)
	}
	n.script("sleep 1.1") // an append is synced once a second
	docker(t, "restart", "--time", "30", n.container)
	n.address = strings.TrimSpace(docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", n.container))
	n.ready()
	if said := answers().do("GET", "round"); said != "node" {
		t.Errorf("after the node was started anew: %q", said)
	}
}

// keepsInstance has an instance that nobody declares any more, declares it again, and drops it.
func (n *node) keepsInstance(t *testing.T, theirs planner.Valkey, users ...planner.ValkeyUser) {
	if said := n.login(t, 6401, "app").do("SET", "kept", "yes"); said != "OK" {
		t.Fatal(said)
	}
	kept := theirs
	kept.Kept = true
	for _, u := range users {
		n.change(u, nil)
	}
	n.change(theirs, kept)
	if c, err := net.DialTimeout("tcp", net.JoinHostPort(n.address, "6401"), 20*time.Second); err == nil {
		_ = c.Close()
		t.Error("an instance that nobody declares answers")
	}
	n.change(kept, theirs)
	n.create(users[0])
	if said := n.login(t, 6401, "app").do("GET", "kept"); said != "yes" {
		t.Errorf("declared again it holds %q", said)
	}
	n.change(users[0], nil)
	n.script("s6-applyuidgid -u 106401 -g 106401 -G 106401 setsid sleep 1000 >/dev/null 2>&1 &") // what somebody has left who broke out
	n.change(theirs, kept)
	if out := n.script("pgrep -u 106401 || true"); out != "" {
		t.Errorf("it is stopped, and its user runs %s", out)
	}
	n.change(kept, nil)
	if left := strings.Fields(n.script("find / -xdev -path /proc -prune -o -name '*evil.shop*' -print")); len(left) != 1 || !strings.HasPrefix(left[0], "/var/lib/valkey/trash/evil.shop.") {
		t.Errorf("left of what was dropped: %v", left)
	}
	if out := n.script("stat -c %U%a /var/lib/valkey/trash /var/lib/valkey/trash/*; valkey-check-rdb /var/lib/valkey/trash/*"); !strings.HasPrefix(out, "root700\nroot400\n") || !strings.Contains(out, "RDB looks OK") {
		t.Errorf("the trash: %s", out)
	}
}

// healsValkey changes things by hand; the node finds and mends them, with nobody to tell it.
func (n *node) healsValkey(t *testing.T) {
	for name, spoiled := range map[string]struct{ by, mended string }{
		"a setting": {"CONFIG SET maxmemory 0", "CONFIG GET maxmemory | grep -qv '^0$'"},
		"a right":   {"ACL SETUSER app +config allchannels", "ACL LIST | grep -q 'user app .*resetchannels.* -acl [^c]*$'"},
		"a user":    {"ACL SETUSER eve on nopass +@all '~*'", "ACL LIST | grep -vq 'user eve'"},
	} {
		t.Run(name, func(t *testing.T) {
			n.script(asAgent + "cli acme.shop " + spoiled.by)
			within(t, time.Minute, "it is put right", func() error {
				return exec.Command("docker", "exec", n.container, "sh", "-euc", asAgent+"cli acme.shop "+spoiled.mended).Run()
			})
		})
	}
}

// adoptsValkey finds data and a user that nobody here has made: they are left alone unless they are to be taken over.
func (n *node) adoptsValkey(t *testing.T) {
	n.t = t
	mine, app := newInstance("acme", "old", 6420, schema.PersistAOF), newValkeyUser("acme", "app2", "old")
	n.create(mine)
	n.script(asAgent + "cli acme.old SET brought yes; cli acme.old BGSAVE; cli acme.old ACL SETUSER app2 on nopass '~*' +@all")
	refused := func(what string, o planner.Object, kind executors.Kind, why string) {
		t.Helper()
		if err := n.tryCreate(o)[0]; executors.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), why) {
			t.Errorf("%s: %v, want %s: %s", what, err, kind, why)
		}
	}
	refused("a user that somebody else has made", app, executors.Conflict, "metadata.adopt")
	app.Adopt = true
	n.create(app)
	n.sees(mine, app)
	if said := n.client(t, 6420).do("AUTH", "app2", "anything"); !strings.HasPrefix(said, "-WRONGPASS") {
		t.Errorf("taken over, and anybody is let in: %q", said)
	}

	// What another server has left: its files, and nothing that says whose they are.
	n.change(app, nil)
	kept := mine
	kept.Kept = true
	n.change(mine, kept)
	home := "/var/lib/valkey/instances/acme.old"
	n.script("cd " + home + "; rm -r admin valkey.conf users.acl data/appendonlydir; chown -R 0:0 data; chmod 400 data/dump.rdb; rm /var/lib/valkey/records/valkey/acme.old.json")
	refused("data that somebody else has made", mine, executors.Conflict, "metadata.adopt")
	source := mine
	source.Source, source.Adopt = &planner.CopySource{Node: "valkey-2-0", Address: "192.0.2.1:9443"}, true
	refused("a copy over it", source, executors.Conflict, "move it away")
	mine.Adopt = true
	n.script("ln -s /etc/shadow " + home + "/data/link")
	refused("a symlink in it", mine, executors.Refused, "link is a symlink")
	n.script("rm " + home + "/data/link; ln " + home + "/data/dump.rdb " + home + "/name")
	refused("a file with several names", mine, executors.Refused, "dump.rdb is")
	if owner := strings.TrimSpace(n.script("rm " + home + "/name; stat -c %u " + home + "/data/dump.rdb")); owner != "0" {
		t.Errorf("refused, and given away to %s", owner)
	}
	n.create(mine)
	n.sees(mine)
	n.create(app)
	if said := n.login(t, 6420, "app2").do("GET", "brought"); said != "yes" {
		t.Errorf("taken over it holds %q", said)
	}
	if out := n.script("stat -c %u:%g:%a " + home + "/data " + home + "/data/dump.rdb"); out != "106420:106420:700\n106420:106420:600\n" {
		t.Errorf("whose it is: %s", out)
	}
}
