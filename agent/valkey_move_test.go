package agent_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// instanceMover are the two ends of an instance's move. It goes from the first node of Valkey, and its port is another one on each.
type instanceMover struct {
	t            *testing.T
	from, to     *node
	old, new     planner.Valkey // as the inventory has them
	user         planner.ValkeyUser
	acknowledged int // writes
}

const (
	movedPort = 6410 // on the old node
	newPort   = 6400
)

// allKeys lists all keys of the instance, and what each kind of them holds as a hash.
const allKeys = asAgent + `
cli globex.cart KEYS '*' | sort
for k in text none hash list set zset stream long counted; do printf '%s ' $k; cli globex.cart DUMP $k | sha256sum; done
cli globex.cart FUNCTION LIST | grep -A1 library_name
`

// fill puts one of everything into an instance.
const fill = asAgent + `
printf 'a\0b\r\n\377' | cli globex.cart -x SET text
cli globex.cart SET none ''
cli globex.cart HSET hash a 1 b 2
cli globex.cart RPUSH list 1 two 3
cli globex.cart SADD set a b 17
cli globex.cart ZADD zset 1.5 a -3 b
cli globex.cart XADD stream 1-1 field value
cli globex.cart SET long gone EX 100000
cli globex.cart SET short gone PX 1
cli globex.cart FUNCTION LOAD "#!lua name=mine
redis.register_function('f', function() return 1 end)"
cli globex.cart EVAL "for i = 1, 20000 do redis.call('SET', 'many:' .. i, string.rep(i, 50)) end" 0
`

// movesInstance moves an instance to another node while somebody writes to it: what was acknowledged is there, all that it
// holds is what it was, and whatever breaks off in between, another try goes on. Nobody is switched to a copy of something else than
// what the old place holds.
func (n *node) movesInstance(t *testing.T) {
	n.t = t
	m := &instanceMover{t: t, from: n, to: startNodeWith(t, n.ca, string(schema.RoleValkey), "valkey-2-0")}
	m.old, m.user = newInstance("globex", "cart", movedPort, schema.PersistNone), newValkeyUser("globex", "app", "cart")
	m.user.Commands = []string{"+@read", "+@write", "+@scripting", "+@transaction"}
	m.new = m.old
	m.new.Target, m.new.Port = "valkey-2", newPort
	n.create(m.old)
	n.create(m.user)
	n.script(fill)
	t.Run("refused", m.refused)
	t.Run("written to", m.freezes)
	t.Run("copied", m.copies)
	t.Run("opened meanwhile", m.opened)
	t.Run("switched", m.switches)
	t.Run("back again", m.comesBack)
}

func (m *instanceMover) apply(n *node, from, to planner.Object) error {
	return applied(m.t, n, from, to)
}

func (m *instanceMover) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *instanceMover) frozen() planner.Valkey {
	o := m.old
	o.MovedTo = m.to.name
	return o
}

func (m *instanceMover) copied() planner.Valkey {
	o := m.new
	o.Source = &planner.CopySource{Node: m.from.name, Address: m.from.address + ":9443"}
	return o
}

func (m *instanceMover) written(n *node) string {
	m.t.Helper()
	return strings.TrimSpace(n.script(asAgent + "cli globex.cart GET counted"))
}

// refused: a copy needs a source that is closed, and open to that very node.
func (m *instanceMover) refused(t *testing.T) {
	m.t = t
	if err := m.apply(m.to, nil, m.copied()); executors.KindOf(err) != executors.Drifted {
		t.Errorf("what isn't frozen was copied: %v", err)
	}
	elsewhere := m.frozen()
	elsewhere.MovedTo = "valkey-3-0"
	m.must(m.apply(m.from, m.old, elsewhere))
	if err := m.apply(m.to, nil, m.copied()); executors.KindOf(err) != executors.Drifted || !strings.Contains(err.Error(), "doesn't move to node valkey-2-0") {
		t.Errorf("what moves to another node was copied: %v", err)
	}
	m.must(m.apply(m.from, elsewhere, m.old))
	bad := m.copied()
	bad.Source.Address = "elsewhere;x"
	if err := m.apply(m.to, nil, bad); executors.KindOf(err) != executors.Refused {
		t.Errorf("a source that is none: %v", err)
	}
	if err := m.apply(m.to, m.copied(), m.new); executors.KindOf(err) != executors.Drifted {
		t.Errorf("nothing was copied, and it is switched to: %v", err)
	}
	m.must(m.apply(m.to, m.copied(), nil))
	if left := m.to.observed(); len(left) > 0 {
		t.Errorf("of what was refused there is %v", left)
	}
}

// freezes closes an instance while somebody writes, and somebody else is about to.
func (m *instanceMover) freezes(t *testing.T) {
	m.t = t
	queued, writer := m.from.login(t, movedPort, "app"), m.from.login(t, movedPort, "app")
	for _, words := range [][]string{{"MULTI"}, {"INCR", "counted"}} {
		if said := queued.do(words...); said != "OK" && said != "QUEUED" {
			t.Fatalf("%v: %s", words, said)
		}
	}
	writing, ended := make(chan bool), make(chan string, 1)
	go func() {
		for n := 1; ; n++ {
			if said := writer.do("INCR", "counted"); said != ":"+strconv.Itoa(n) {
				ended <- said
				return
			}
			m.acknowledged = n
			if n == 20 {
				close(writing)
			}
		}
	}()
	select {
	case <-writing:
	case <-time.After(time.Minute):
		t.Fatal("nobody writes")
	}
	m.must(m.apply(m.from, m.old, m.frozen()))
	select {
	case said := <-ended:
		if !strings.HasPrefix(said, "-NOREPLICAS") {
			t.Errorf("the writer is told %q", said)
		}
	case <-time.After(time.Minute):
		t.Fatal("it is frozen, and somebody writes on")
	}
	if said := queued.do("EXEC"); !strings.HasPrefix(said, "-") {
		t.Errorf("what was queued before is carried out: %q", said)
	}
	for _, words := range [][]string{{"EVAL", "return redis.call('INCR', 'counted')", "0"}, {"FLUSHALL"}, {"DEL", "text"}, {"SORT", "list", "STORE", "text"}} {
		if said := writer.do(words...); !strings.HasPrefix(said, "-") {
			t.Errorf("frozen, and %v is answered with %q", words, said)
		}
	}
	if said := writer.do("GET", "counted"); said != strconv.Itoa(m.acknowledged) {
		t.Errorf("it can be read as %q, and %d writes were acknowledged", said, m.acknowledged)
	}
	m.from.sees(m.frozen())
}

// copies brings a copy, and leaves it half made.
func (m *instanceMover) copies(t *testing.T) {
	m.t = t
	killed := make(chan error, 1)
	go func() { killed <- m.apply(m.to, nil, m.copied()) }()
	m.to.script("for i in $(seq 2000); do test -e /var/lib/valkey/incoming/globex.cart.rdb -o -e /var/lib/valkey/instances/globex.cart/copied && break; sleep 0.01; done; pkill -9 -x node-agent")
	if err := <-killed; err == nil {
		t.Log("the copy was faster than the kill")
	}
	m.to.ready()
	m.must(m.apply(m.to, nil, m.copied()))
	m.to.script("cd /var/lib/valkey/instances/globex.cart; rm copied; truncate -s 100 data/dump.rdb; pkill -9 -x valkey-server") // half a copy
	if err := m.apply(m.to, m.copied(), m.new); executors.KindOf(err) != executors.Drifted {
		t.Errorf("half a copy was switched to: %v", err)
	}
	if left := m.to.observed(); len(left) > 0 {
		t.Errorf("half a copy is observed as %v", left)
	}
	m.must(m.apply(m.to, nil, m.copied()))
	m.to.script("pkill -9 -x valkey-server")
	m.must(m.apply(m.to, nil, m.copied())) // done already; it has its data again
	m.to.sees(m.copied())
	m.same(t)
}

// opened takes the move back when there is a copy, writes, and moves again.
func (m *instanceMover) opened(t *testing.T) {
	m.t = t
	m.must(m.apply(m.from, m.frozen(), m.old))
	m.from.script(asAgent + `for o in "CONFIG SET rdb-key-save-delay 100" BGSAVE "CONFIG SET rdb-key-save-delay 0"; do cli globex.cart $o; done`) // goes on while it is frozen
	if said := m.from.login(t, movedPort, "app").do("INCR", "counted"); said != fmt.Sprintf(":%d", m.acknowledged+1) {
		t.Errorf("taken back it answers %q", said)
	}
	m.acknowledged++
	m.must(m.apply(m.from, m.old, m.frozen()))
	m.must(m.apply(m.to, m.copied(), m.copied()))
	if err := m.apply(m.to, m.copied(), m.new); executors.KindOf(err) != executors.Drifted {
		t.Fatalf("a copy of what was there before is switched to: %v", err)
	}
	m.must(m.apply(m.to, nil, m.copied()))
}

// switches makes the copy the one that counts.
func (m *instanceMover) switches(t *testing.T) {
	m.t = t
	m.must(m.apply(m.to, m.copied(), m.new))
	m.to.sees(m.new)
	m.same(t)
	if got := m.written(m.to); got != strconv.Itoa(m.acknowledged) {
		t.Errorf("%s are there, %d were acknowledged", got, m.acknowledged)
	}
	user := m.user
	user.Target = "valkey-2"
	m.to.create(user)
	c := m.to.login(t, newPort, "app")
	if said := c.do("INCR", "counted"); said != fmt.Sprintf(":%d", m.acknowledged+1) {
		t.Errorf("switched to it answers %q", said)
	}
	m.acknowledged++
	m.must(m.apply(m.from, m.user, nil))
	kept := m.frozen()
	kept.Kept = true
	m.must(m.apply(m.from, m.frozen(), kept))
	m.from.sees(kept)
	if err := m.apply(m.to, nil, m.copied()); err == nil {
		t.Error("what is kept was copied")
	}
}

// same compares what the two ends hold.
func (m *instanceMover) same(t *testing.T) {
	t.Helper()
	a, b := m.from.script(allKeys), m.to.script(allKeys)
	if a != b || strings.Count(a, "\n") < 20000 || !strings.Contains(a, "mine") {
		t.Errorf("the two ends hold\n%.2000s\n\nand\n%.2000s", a, b)
	}
}

// comesBack moves it to where it was, over what it has left there.
func (m *instanceMover) comesBack(t *testing.T) {
	m.t = t
	kept, user := m.frozen(), m.user
	kept.Kept, user.Target = true, "valkey-2"
	back := &instanceMover{t: t, from: m.to, to: m.from, old: m.new, new: m.old, user: user, acknowledged: m.acknowledged}
	back.must(back.apply(back.from, back.old, back.frozen()))
	back.must(back.apply(back.to, kept, back.copied()))
	back.must(back.apply(back.to, back.copied(), back.new))
	back.same(t)
	if got := back.written(back.to); got != strconv.Itoa(back.acknowledged) {
		t.Errorf("%s are there, %d were acknowledged", got, back.acknowledged)
	}
	if out := strings.Fields(back.to.script("ls /var/lib/valkey/trash")); len(out) == 0 || !strings.HasPrefix(out[len(out)-1], "globex.cart.") {
		t.Errorf("what it had left isn't in the trash: %v", out)
	}
	back.must(back.apply(back.from, back.user, nil))
}
