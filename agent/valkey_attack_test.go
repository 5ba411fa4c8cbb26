package agent_test

import (
	"bufio"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hostctl/planner"
)

func (n *node) attackValkey(t *testing.T) {
	a := n.login(t, 6400, "app")
	e := n.login(t, 6401, "app")
	c := n.login(t, 6400, "cart")
	s := n.login(t, 6401, "scripts")
	for _, x := range []struct {
		who    *login
		name   string
		words  string
		answer string // what it begins with
	}{
		{a, "app", "SET cart:1 mine", "OK"},
		{a, "app", "SET secret mine", "OK"},
		{a, "app", "GET cart:1", "mine"},
		{a, "app", "FLUSHDB", "OK"},
		{a, "app", "SET cart:1 mine", "OK"},
		{a, "app", "SET secret mine", "OK"},
		{e, "another tenant", "GET secret", "$-1"},
		{e, "another tenant", "KEYS *", "*0"},
		{c, "cart", "GET cart:1", "mine"},
		{c, "cart", "GET secret", "-NOPERM"},
		{c, "cart", "SCAN 0", "-NOPERM"},
		{c, "cart", "KEYS *", "-NOPERM"},
		{c, "cart", "RANDOMKEY", "-NOPERM"},
		{c, "cart", "FLUSHALL", "-NOPERM"},
		{c, "cart", "RENAME cart:1 secret", "-NOPERM"},
		{c, "cart", "SORT cart:1 BY nosort GET secret", "-"},
		{c, "cart", "COPY secret cart:2", "-NOPERM"},
		{c, "cart", "CLIENT TRACKING ON BCAST", "-NOPERM"},
		{c, "cart", "SUBSCRIBE news", "-NOPERM"},
		{c, "cart", "PUBLISH news x", "-NOPERM"},
		{c, "cart", "EVAL return(redis.call('get','secret')) 0", "-NOPERM"},
		{s, "scripts", "EVAL return(redis.call('set',KEYS[1],'x')) 1 own:1", "OK"},
		{s, "scripts", "EVAL return(redis.call('get','other')) 0", "-"},
		{s, "scripts", "EVAL return(redis.call('config','get','dir')) 0", "-"},
		{s, "scripts", "EVAL return(loadfile('/etc/passwd')) 0", "-"},
		{s, "scripts", "EVAL return(io.open('/etc/passwd')) 0", "-"},
		{s, "scripts", "EVAL return(os.execute('id')) 0", "-"},
		{s, "scripts", "SCRIPT FLUSH", "-NOPERM"},
		{s, "scripts", "FUNCTION FLUSH", "-NOPERM"},
		{e, "another tenant", "CONFIG GET dir", "-NOPERM"},
		{e, "another tenant", "CONFIG SET dir /tmp", "-NOPERM"},
		{e, "another tenant", "CONFIG SET dbfilename x.so", "-NOPERM"},
		{e, "another tenant", "CONFIG SET appenddirname ../..", "-NOPERM"},
		{e, "another tenant", "CONFIG REWRITE", "-NOPERM"},
		{e, "another tenant", "MODULE LOAD /tmp/x.so", "-"},
		{e, "another tenant", "DEBUG SEGFAULT", "-"},
		{e, "another tenant", "SCRIPT LOAD return(1)", "-NOPERM"},
		{e, "another tenant", "SCRIPT KILL", "-NOPERM"},
		{e, "another tenant", "EVAL return(1) 0", "-NOPERM"},
		{e, "another tenant", "FUNCTION LOAD x", "-NOPERM"},
		{e, "another tenant", "ACL LIST", "-NOPERM"},
		{e, "another tenant", "ACL SETUSER app +@all", "-NOPERM"},
		{e, "another tenant", "ACL GETUSER _hostctl", "-NOPERM"},
		{e, "another tenant", "ACL SAVE", "-NOPERM"},
		{e, "another tenant", "ACL WHOAMI", "-NOPERM"},
		{e, "another tenant", "SAVE", "-NOPERM"},
		{e, "another tenant", "BGSAVE", "-NOPERM"},
		{e, "another tenant", "BGREWRITEAOF", "-NOPERM"},
		{e, "another tenant", "SHUTDOWN NOSAVE", "-NOPERM"},
		{e, "another tenant", "REPLICAOF 127.0.0.1 6400", "-NOPERM"},
		{e, "another tenant", "MIGRATE 127.0.0.1 6400 secret 0 1000", "-NOPERM"},
		{e, "another tenant", "PSYNC ? -1", "-NOPERM"},
		{e, "another tenant", "MONITOR", "-NOPERM"},
		{e, "another tenant", "CLIENT KILL TYPE normal", "-NOPERM"},
		{e, "another tenant", "CLIENT LIST", "-NOPERM"},
		{e, "another tenant", "SLOWLOG GET", "-NOPERM"},
		{e, "another tenant", "LATENCY DOCTOR", "-NOPERM"},
		{e, "another tenant", "SWAPDB 0 1", "-NOPERM"},
		{e, "another tenant", "RESTORE k 0 x", "-NOPERM"},
		{e, "another tenant", "AUTH _hostctl x", "-WRONGPASS"},
		{e, "another tenant", "AUTH default x", "-WRONGPASS"},
	} {
		if said := x.who.do(strings.Fields(x.words)...); !strings.HasPrefix(said, x.answer) || x.answer == "-" && !strings.HasPrefix(said, "-") {
			t.Errorf("%s: %s: %q, want %q", x.name, x.words, said, x.answer)
		}
	}
	// A script that doesn't end is ended by the node, which looks after itself.
	_, _ = s.Write([]byte("*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n"))
	within(t, time.Minute, "an instance answers that a script has kept busy", func() error {
		if said := n.client(t, 6401).do("AUTH", "app", "correct horse"); said != "OK" {
			return errorString(said)
		}
		if said := e.do("PING"); said != "PONG" {
			return errorString(said)
		}
		return nil
	})
	if said := a.do("PING"); said != "PONG" {
		t.Errorf("another instance, meanwhile: %q", said)
	}
	nobody := n.client(t, 6400)
	for _, words := range []string{"PING", "GET secret", "AUTH correct", "AUTH app wrong", "CONFIG GET dir"} {
		if said := nobody.do(strings.Fields(words)...); !strings.HasPrefix(said, "-NOAUTH") && !strings.HasPrefix(said, "-WRONGPASS") {
			t.Errorf("nobody: %s: %q", words, said)
		}
	}
	if said := nobody.do("AUTH", "scripts", "correct horse"); !strings.HasPrefix(said, "-WRONGPASS") {
		t.Errorf("another instance's user: %q", said)
	}
	plain, err := net.DialTimeout("tcp", net.JoinHostPort(n.address, "6400"), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	if said := (&login{plain, bufio.NewReader(plain)}).do("AUTH", "app", "correct horse"); said != "closed" {
		t.Errorf("without TLS: %q", said)
	}
	n.attackFiles(t)
}

// attackFiles tries, as an instance's own Unix user, what somebody could who has broken out of the server.
func (n *node) attackFiles(t *testing.T) {
	t.Helper()
	uids := strings.Fields(n.script(`stat -c %u /var/lib/valkey/instances/acme.shop/data /var/lib/valkey/instances/evil.shop/data; ps -o uid= -C valkey-server`))
	if len(uids) != 4 || uids[0] == uids[1] || uids[2] == uids[3] || uids[0] == "0" || uids[2] == "0" || uids[3] == "0" {
		t.Errorf("the users of two instances: %v", uids)
	}
	const as = "s6-applyuidgid -u 106401 -g 106401 -G 106401 "
	for _, c := range []struct {
		words string
		may   bool
	}{
		{"cat /var/lib/valkey/instances/evil.shop/users.acl", true}, // its own
		{"ls /var/lib/valkey/instances/acme.shop", false},
		{"cat /var/lib/valkey/instances/acme.shop/users.acl", false},
		{"ls /var/lib/valkey/instances/acme.shop/data", false},
		{"cat /var/lib/valkey/instances/evil.shop/admin", false},
		{"touch /var/lib/valkey/instances/evil.shop/users.acl", false},
		{"rm -f /var/lib/valkey/instances/evil.shop/users.acl", false},
		{"touch /var/lib/valkey/instances/x", false},
		{"ls /var/lib/valkey/records", false},
		{"ls /run/valkey/acme.shop", false},
		{"ls /var/lib/hostctl", false},
		{"cat /etc/hostctl/tls/node.key", false},
		{"valkey-cli -s /run/valkey/acme.shop/sock/valkey.sock PING", false},
	} {
		out, err := exec.Command("docker", append([]string{"exec", n.container}, strings.Fields(as+c.words)...)...).CombinedOutput()
		if (err == nil) != c.may {
			t.Errorf("%s: %v %s", c.words, err, out)
		}
	}
}

// losesRights takes rights away from a user that is logged in.
func (n *node) losesRights(t *testing.T, cart planner.ValkeyUser) {
	c, a := n.login(t, 6400, "cart"), n.login(t, 6400, "app")
	less := cart
	less.Commands, less.Channels = []string{"+@read", "+@pubsub"}, []string{"news"}
	n.change(cart, less)
	if said := c.do("SET", "cart:1", "x"); !strings.HasPrefix(said, "-NOPERM") {
		t.Errorf("a connection of before: %q", said)
	}
	if said := a.do("PING"); said != "PONG" {
		t.Errorf("another user's connection: %q", said)
	}
	c = n.login(t, 6400, "cart")
	for _, x := range [][2]string{{"GET cart:1", "mine"}, {"SET cart:1 x", "-NOPERM"}, {"SUBSCRIBE others", "-NOPERM"}, {"SUBSCRIBE news", "*3"}} {
		if said := c.do(strings.Fields(x[0])...); !strings.HasPrefix(said, x[1]) {
			t.Errorf("with fewer rights: %s: %q, want %q", x[0], said, x[1])
		}
	}
	other := less
	other.PasswordHash = strings.Repeat("0", 64)
	c = n.login(t, 6400, "cart")
	n.change(less, other)
	if said := c.do("PING"); said != "closed" {
		t.Errorf("a connection with the password of before: %q", said)
	}
	n.change(other, less)
	c = n.login(t, 6400, "cart")
	again := less
	again.PasswordHash, again.Retains = strings.Repeat("1", 64), true
	n.change(less, again)
	if said := c.do("PING"); said != "PONG" {
		t.Errorf("a connection with a password that is valid as well: %q", said)
	}
	n.login(t, 6400, "cart")
	n.sees(again)
	without := again
	without.Retains = false
	n.change(again, without)
	if said := c.do("PING"); said != "closed" {
		t.Errorf("a connection with a password that has gone: %q", said)
	}
	locked := less
	locked.Locked = true
	n.change(without, less)
	c = n.login(t, 6400, "cart")
	n.change(less, locked)
	if said := c.do("PING"); said != "closed" {
		t.Errorf("a connection of a user that is locked: %q", said)
	}
	if said := n.client(t, 6400).do("AUTH", "cart", "correct horse"); !strings.HasPrefix(said, "-WRONGPASS") {
		t.Errorf("a user that is locked: %q", said)
	}
	n.change(locked, less)
	c = n.login(t, 6400, "cart")
	n.change(less, nil)
	if said := c.do("PING"); said != "closed" {
		t.Errorf("a connection of a user that is gone: %q", said)
	}
}
