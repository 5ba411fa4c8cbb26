package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// secretField is a field of the demo's repository that takes a secret. A kind that has another one adds a line.
type secretField struct {
	name  string               // of the value: key of the encrypted file, or name of a generated one
	after string               // text of the repository that the field is put behind
	yaml  string               // the field; %s is what stands for its value
	made  bool                 // it is generated; else it is in the encrypted file
	of    string               // whose it is: a tenant, "-" for the platform
	value func(s *site) string // as what needs it there has it
	in    map[string]allowed   // folders of files that must hold it
}

// allowed is what the names of the nodes begin with that may hold a value in clear, in files that only root may read.
type allowed string

var webFiles = map[string]allowed{"/var/lib/hostctl/secrets/": "web-1-", "/etc/php/hostctl/": "web-1-", "/etc/hostctl/cron/": canaryNode}

// canaryJob has the site's variables, and doesn't run while the test does: its process would have them.
const canaryJob = `apiVersion: hosting/v1
kind: CronJob
metadata: {name: canary}
spec: {webroot: shop, schedule: "0 0 29 2 1", argv: ["true"]}
`

// canaryNode is where the plan has the job run, by its name.
const canaryNode = "web-1-1"

var secretFields = []secretField{
	{"site-password", "    SHOP_CURRENCY: EUR\n", "    SHOP_PASSWORD: %s\n", false, "acme", page("SHOP_PASSWORD"), webFiles},
	{"site-token", "    SHOP_CURRENCY: EUR\n", "    SHOP_TOKEN: %s\n", true, "acme", page("SHOP_TOKEN"), webFiles},
	{"valkey-password", "  instance: cache\n", "  password: %s\n", false, "acme", valkeyPassword, map[string]allowed{"/var/lib/hostctl/secrets/acme/valkeyuser/": "valkey-1-"}},
	{"db-password", "  users:\n", "    - {name: given, privileges: readonly, password: %s}\n", false, "acme", passwordOf("given"), databaseFiles},
	{"db-generated", "  users:\n", "    - {name: made, privileges: readonly, password: %s}\n", true, "acme", passwordOf("made"), databaseFiles},
	{"tsig-key", "managed: {profile: dns", ", transfer: {to: [192.0.2.153], catalog: catalog.hosting.test, key: %s}", true, "-", tsigKey, map[string]allowed{
		"/var/lib/hostctl/secrets/": "eu-1-dns-", "/var/lib/postgresql/data/": "eu-1-db-", // PowerDNS keeps its keys in its database
	}},
}

var databaseFiles = map[string]allowed{"/var/lib/hostctl/secrets/": "db-1-"}

// secretDatabase is what the fields of database users are put into.
const secretDatabase = `apiVersion: hosting/v1
kind: Database
metadata: {name: vault}
spec:
  users:
`

// passwordOf reads the password of a database user where MySQL's hash of it was made from, if MySQL has one.
func passwordOf(user string) func(*site) string {
	return func(s *site) string {
		hashes := s.docker("exec", s.container("db-1-0"), "mysql", "-N", "-e", "SELECT COUNT(*) FROM mysql.user WHERE LENGTH(authentication_string) = 70 AND User = 'acme_"+user+"'")
		if strings.TrimSpace(hashes) == "0" {
			return "MySQL has no hash"
		}
		_, value, _ := strings.Cut(s.docker("exec", s.container("db-1-0"), "cat", "/var/lib/hostctl/secrets/acme/databaseuser/"+user+"/password"), "\n")
		return value
	}
}

// tsigKey is the key that the name servers sign transfers with, where they read it.
func tsigKey(s *site) string {
	text := s.docker("exec", "--user", "postgres", s.container("eu-1-db-0"), "psql", "--tuples-only", "--no-align", "--dbname", "pdns", "--command", "SELECT secret FROM tsigkeys")
	value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return err.Error()
	}
	return string(value)
}

// page reads a variable of the shop as a visitor of its page has it printed.
func page(variable string) func(*site) string {
	return func(s *site) string {
		_, body, err := s.at.FetchPath(s.t.Context(), "shop.acme.test", "/secret.php?name="+variable)
		if err != nil {
			return err.Error()
		}
		return body
	}
}

// canaryCache is an instance whose user has the password.
const canaryCache = `apiVersion: hosting/v1
kind: ValkeyInstance
metadata: {name: cache}
spec: {shard: valkey-1, maxMemory: 16Mi}
---
apiVersion: hosting/v1
kind: ValkeyUser
metadata: {name: canary}
spec:
  instance: cache
`

// valkeyPassword is the one of which the server has the hash.
func valkeyPassword(s *site) string {
	const file = "/var/lib/hostctl/secrets/acme/valkeyuser/canary/password"
	node := s.container("valkey-1-0")
	value := strings.TrimSuffix(s.docker("exec", node, "sed", "1d", file), "\n")
	sum := sha256.Sum256([]byte(value))
	if !strings.Contains(s.docker("exec", node, "cat", "/var/lib/valkey/instances/acme.cache/users.acl"), " #"+hex.EncodeToString(sum[:])+" ") {
		return "one that the server doesn't let in"
	}
	return value
}

// The whole path of secrets, from the repository and from the inventory, through hostd, to what reads them; their
// rotation, and their going. All the while each value is in the files alone that it is put into, and nowhere else on the
// platform: not in what hostctl prints, in logs, in arguments or environments of any process, in the inventory or in
// what agents keep.
func TestG11_ASecretIsWhereItIsReadAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := &canary{site: s, values: map[string]string{}}
	seen := watchProcesses(t)
	s.git("commit", "--quiet", "--allow-empty", "-m", "Nothing yet") // a plan is one of a repository with a commit
	s.must(os.WriteFile(filepath.Join(s.Clone(), "tenants/acme/shop/public/secret.php"), []byte("<?php echo getenv($_GET['name']);\n"), 0o644))
	s.must(os.WriteFile(filepath.Join(s.Clone(), "tenants/acme/canary-job.yaml"), []byte(canaryJob), 0o644))
	s.must(os.WriteFile(filepath.Join(s.Clone(), "clusters/eu-1/db.yaml"), []byte(databaseCluster), 0o644))
	s.must(os.WriteFile(filepath.Join(s.Clone(), "tenants/acme/database.yaml"), []byte(secretDatabase), 0o644))
	s.edit("shards: {web: web-1}", "shards: {web: web-1, database: db-1}")
	s.must(os.WriteFile(filepath.Join(s.Clone(), "clusters/eu-1/valkey.yaml"), []byte(valkeyCluster), 0o644))
	s.must(os.WriteFile(filepath.Join(s.Clone(), "tenants/acme/cache.yaml"), []byte(canaryCache), 0o644))
	for _, f := range secretFields {
		s.edit(f.after, f.after+fmt.Sprintf(f.yaml, f.reference()))
		if !f.made {
			c.set(f)
		}
	}
	c.plans("created")
	c.say("push", s.push("Secrets"))
	for _, f := range secretFields {
		if f.made {
			c.show(f)
		}
		c.wantRead(f)
	}
	s.wantNoChanges()
	c.wantClean("created")

	// A new data key: other ciphertext, the same values.
	c.hostctl("secret", "rotate", c.file())
	c.plans("encrypted anew")
	c.say("push", s.push("Another data key"))
	for _, f := range secretFields {
		c.wantRead(f)
	}

	// Other values: by a push, and by a new generation.
	for _, f := range secretFields {
		if !f.made {
			c.set(f)
			continue
		}
		c.hostctl("secret", "rotate", "--generated", f.of+"/"+f.name)
	}
	c.plans("changed")
	c.failing(func() { c.say("push", s.pushOnly("Other values")) })
	s.must(s.Settled(t.Context(), 2*time.Minute))
	for _, f := range secretFields {
		if f.made {
			c.show(f)
		}
		c.wantRead(f)
	}
	s.wantNoChanges()
	c.wantClean("changed")
	seen.wantNone(c.all)
}

// reference is what stands for a value in the repository.
func (f secretField) reference() string {
	if f.made {
		return "{generate: true, name: " + f.name + "}"
	}
	return "{secretRef: {file: canary.sops.yaml, key: " + f.name + "}}"
}

// canary knows every value that there was, and keeps what was printed.
type canary struct {
	*site
	values map[string]string // in place, by name
	all    []string          // that ever were
	said   []said
}

type said struct{ where, what string }

func (c *canary) say(where, what string) { c.said = append(c.said, said{where, what}) }

func (c *canary) file() string { return filepath.Join(c.Clone(), "tenants/acme/canary.sops.yaml") }

// hostctl runs hostctl and keeps what it printed.
func (c *canary) hostctl(args ...string) string {
	c.t.Helper()
	out, err := c.Hostctl(c.t.Context(), args...)
	var exit *exec.ExitError
	changes := errors.As(err, &exit) && exit.ExitCode() == 2
	if err != nil && !changes {
		c.t.Fatalf("%v: %s", err, out)
	}
	c.say("hostctl "+strings.Join(args, " "), out)
	return out
}

// value notes the value of a field from now on.
func (c *canary) value(f secretField, v string) {
	c.values[f.name] = v
	c.all = append(c.all, v)
}

// set makes a value in the encrypted file.
func (c *canary) set(f secretField) {
	c.t.Helper()
	v := "canary-" + rand.Text()
	set := exec.CommandContext(c.t.Context(), c.Program("hostctl"), "secret", "set", "--state", c.State(), c.file(), f.name)
	set.Stdin = strings.NewReader(v + "\n")
	out, err := set.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
	c.say("secret set", string(out))
	c.value(f, v)
}

// show has a generated value shown, once.
func (c *canary) show(f secretField) {
	c.t.Helper()
	out, err := c.Hostctl(c.t.Context(), "secret", "show", "--", f.of+"/"+f.name)
	v := strings.TrimSuffix(out, "\n")
	if err != nil || len(v) < 20 || v == c.values[f.name] {
		c.t.Fatalf("secret show %s: %d bytes, %v", f.name, len(v), err)
	}
	c.value(f, v)
	out, err = c.Hostctl(c.t.Context(), "secret", "show", "--", f.of+"/"+f.name)
	if err == nil || !strings.Contains(out, "is shown once") {
		c.t.Errorf("secret show %s, again: %v", f.name, err)
	}
	c.say("secret show, again", out)
}

// wantRead waits until what needs a value has it: hostd puts a new generation in place at its next look.
func (c *canary) wantRead(f secretField) {
	c.t.Helper()
	if err := platform.Until(c.t.Context(), time.Minute, func() error {
		if f.value(c.site) != c.values[f.name] {
			return errors.New("it has another value")
		}
		return nil
	}); err != nil {
		c.t.Errorf("%s: %v", f.name, err)
	}
}

// plans keeps the plan of what is in the clone, in every form.
func (c *canary) plans(name string) {
	c.t.Helper()
	saved := filepath.Join(c.Dir, strings.ReplaceAll(name, " ", "-")+".plan")
	for _, form := range [][]string{nil, {"-json"}, {"-markdown"}, {"-out", saved}} {
		out := c.hostctl(append([]string{"plan", "-C", c.Clone()}, form...)...)
		if !strings.Contains(out, "secret") && form == nil {
			c.t.Errorf("no secret is planned:\n%s", out)
		}
	}
	c.hostctl("show", saved)
	file, err := os.ReadFile(saved)
	c.must(err)
	c.say("the saved plan", string(file))
}

// failing takes the age key away until hostd has failed for it, and keeps how it did.
func (c *canary) failing(do func()) {
	c.t.Helper()
	key := filepath.Join(c.State(), "age.key")
	c.must(os.Rename(key, key+".away"))
	do()
	c.must(platform.Until(c.t.Context(), time.Minute, func() error {
		st, err := c.Status(c.t.Context())
		if err == nil && (st.Hostd == nil || !strings.Contains(st.Hostd.Message, "age key")) {
			err = fmt.Errorf("hostd doesn't miss the age key: %+v", st.Hostd)
		}
		return err
	}))
	c.hostctl("status")
	c.must(os.Rename(key+".away", key))
	c.hostctl("secret", "check", c.file())
}
