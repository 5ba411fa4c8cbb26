package agent_test

import (
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// What is in a database that moves: a value of every type, at its ends, and one of everything that a database can be made of.
const movedContent = `
CREATE TABLE kinds (
	id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, f FLOAT, d DOUBLE, n DECIMAL(30,10), b BIT(12), y YEAR, dt DATETIME(6), ts TIMESTAMP(3) NULL, ti TIME(6), da DATE,
	e ENUM('a','größer','☃'), s SET('x','ü'), j JSON, g POINT, bl LONGBLOB, tx TEXT CHARACTER SET latin1, c CHAR(5) CHARACTER SET utf16, vb VARBINARY(40),
	half_d DOUBLE AS (d / 2) STORED, shorter VARCHAR(3) AS (LEFT(tx, 3)), hidden INT INVISIBLE DEFAULT 7, ve VECTOR(3), INDEX (dt), FULLTEXT (tx)) COMMENT 'it''s ☃';
INSERT INTO kinds (id, f, d, n, b, y, dt, ts, ti, da, e, s, j, g, bl, tx, c, vb, ve) VALUES
	(18446744073709551000, 1.23456789, 0.1, 12345678901234567890.0123456789, b'101010101010', 2026, '2026-11-23 07:00:00.123456', '2026-03-29 02:30:00.5', '-838:59:58.000001', '0000-00-00',
	 'größer', 'x,ü', '{"a": [1, 1.5, "☃", null, 1e300], "b": "\\u0000"}', ST_GeomFromText('POINT(1.1 2.2)'), REPEAT(X'00FF27225C0A0D1A', 200000), 'größer', 'é☃', X'00FF', TO_VECTOR('[1.1,2,3]')),
	(0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(3, -3.4e38, -1.7976931348623157e308, -1, b'0', 0, '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01', '838:59:59', '9999-12-31', 2, '', '""', ST_GeomFromText('POINT(0 0)', 4326), '', '', '', '', TO_VECTOR('[0,0,0]'));
CREATE TABLE child (id INT PRIMARY KEY, parent BIGINT UNSIGNED, CONSTRAINT of_kinds FOREIGN KEY (parent) REFERENCES kinds (id));
INSERT INTO child VALUES (1, 3), (2, NULL);
CREATE TABLE ` + "`a ``b; -- c`" + ` (` + "`or``der`" + ` INT, KEY (` + "`or``der`" + `));
INSERT INTO ` + "`a ``b; -- c`" + ` VALUES (1), (1), (2);
CREATE TABLE parts (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3;
CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100));
INSERT INTO many (v) WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT CONCAT('row ', n) FROM r;
INSERT INTO many (v) SELECT v FROM many; INSERT INTO many (v) SELECT v FROM many; INSERT INTO many (v) SELECT v FROM many;
CREATE TABLE counted (n INT);
INSERT INTO counted VALUES (0);
CREATE TABLE written (n INT PRIMARY KEY);
`

const movedPrograms = `
CREATE VIEW b_below AS SELECT id, v FROM many WHERE v LIKE '%1%';
CREATE VIEW a_above AS SELECT COUNT(*) AS n FROM b_below;
DELIMITER //
CREATE PROCEDURE hello(IN who VARCHAR(20)) COMMENT 'a // b' BEGIN SELECT CONCAT('hello; ', who, ' ☃') AS greeting; END//
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC SQL SECURITY INVOKER RETURN n * 2//
CREATE TRIGGER first_t AFTER INSERT ON written FOR EACH ROW UPDATE counted SET n = n + 1//
CREATE TRIGGER a_second AFTER INSERT ON written FOR EACH ROW FOLLOWS first_t UPDATE counted SET n = n * 1//
CREATE EVENT never ON SCHEDULE EVERY 1 DAY STARTS '2099-01-01 00:00:00' DO DELETE FROM written//
DELIMITER ;
`

// on runs SQL on a node as root.
func (n *node) on(database, sql string) string {
	n.t.Helper()
	return strings.TrimSpace(n.script("mysql --default-character-set=utf8mb4 --local-infile=0 --commands=ON -N " + database + " <<'END_OF_SQL'\nSET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';\n" + sql + "\nEND_OF_SQL\n"))
}

// mover are the two ends of a move, and what is applied to them.
type mover struct {
	t        *testing.T
	from, to *node
	old, new planner.Database // as the inventory has them
	user     planner.DatabaseUser
}

// apply changes one end.
func (m *mover) apply(n *node, from, to planner.Object) error { return applied(m.t, n, from, to) }

// applied takes an object on a node from one content to another; nil is nothing.
func applied(t *testing.T, n *node, from, to planner.Object) error {
	t.Helper()
	c := planner.Change{ID: 1, Action: planner.Update, Old: from, New: to, Expect: planner.HashOf(from)}
	switch {
	case from == nil:
		c.Action = planner.Create
	case to == nil:
		c.Action = planner.Delete
	}
	return n.dial(1).Apply(t.Context(), []planner.Change{c})[0]
}

func (m *mover) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mover) frozen() planner.Database {
	o := m.old
	o.MovedTo = m.to.name
	return o
}

func (m *mover) copied() planner.Database {
	o := m.new
	o.Source = &planner.CopySource{Node: m.from.name, Address: m.from.address + ":3306"}
	return o
}

// A database moves to another node while somebody writes to it: what was acknowledged is there, every value is what it was,
// and whatever breaks off in between, another try goes on. Nobody is switched to a copy that isn't what the old place holds.
func TestDatabaseMove(t *testing.T) {
	from := startNodeOf(t, string(schema.RoleDatabase), databaseNode)
	to := startNodeWith(t, from.ca, string(schema.RoleDatabase), "db-2-0")
	from.serving()
	to.serving()
	m := &mover{t: t, from: from, to: to, old: newDatabase("acme", "shop"), new: newDatabase("acme", "shop")}
	m.new.Target = "db-2"
	m.user = newDatabaseUser("acme", "app", "shop", schema.Admin, "172.0.0.0/8")
	m.user.PasswordHash = from.hashed("correct horse")
	from.create(m.old, m.user)
	from.on("acme_shop", movedContent+movedPrograms)

	t.Run("refused", m.refused)
	t.Run("written to", m.writtenTo)
	t.Run("taken back", m.takenBack)
	t.Run("back again", m.backAgain)
}

// refused: a copy needs a source that is frozen, and a view that nobody could make again keeps a database open.
func (m *mover) refused(t *testing.T) {
	m.t = t
	if err := m.apply(m.to, nil, m.copied()); err == nil {
		t.Error("what isn't frozen was copied")
	}
	m.from.on("acme_shop", "CREATE TABLE gone (i INT); CREATE VIEW broken AS SELECT * FROM gone; DROP TABLE gone")
	if err := m.apply(m.from, m.old, m.frozen()); executors.KindOf(err) != executors.Refused || !strings.Contains(err.Error(), "broken") {
		t.Errorf("with a view that can't be read: %v", err)
	}
	m.from.on("acme_shop", "DROP VIEW broken; INSERT INTO written VALUES (-1)")
	bad := m.copied()
	bad.Source.Address = "elsewhere;x"
	if err := m.apply(m.to, nil, bad); executors.KindOf(err) != executors.Refused {
		t.Errorf("a source that is none: %v", err)
	}
	m.must(m.apply(m.from, m.frozen(), m.old))
}

// writtenTo freezes and copies while somebody writes, and while the copy is killed.
func (m *mover) writtenTo(t *testing.T) {
	m.t = t
	db, err := m.from.connect(t, "acme_app", "correct horse", "acme_shop")
	m.must(err)
	var last atomic.Int64 // acknowledged
	ended := make(chan error, 1)
	go func() {
		for n := int64(1); ; n++ {
			if _, err := db.ExecContext(t.Context(), "INSERT INTO written VALUES (?)", n); err != nil {
				ended <- err
				return
			}
			last.Store(n)
		}
	}()
	within(t, time.Minute, "somebody writes", func() error {
		if last.Load() < 20 {
			return fmt.Errorf("%d written", last.Load())
		}
		return nil
	})
	idle, err := m.from.connect(t, "acme_app", "correct horse", "acme_shop") // in a transaction that never ends
	m.must(err)
	tx, err := idle.BeginTx(t.Context(), nil)
	m.must(err)
	_, err = tx.ExecContext(t.Context(), "UPDATE many SET v = 'never committed' WHERE id = 1")
	m.must(err)

	m.must(m.apply(m.from, m.old, m.frozen()))
	t.Logf("the writer ended with: %v", <-ended)
	written := m.from.on("acme_shop", "SELECT COUNT(*) FROM written WHERE n > 0")
	if acked := last.Load(); written != fmt.Sprint(acked) && written != fmt.Sprint(acked+1) { // one may have been cut off on its way back
		t.Errorf("%s are there, %d were acknowledged", written, acked)
	}
	if _, err := m.from.connect(t, "acme_app", "correct horse", "acme_shop"); err != nil {
		t.Errorf("it can't be read while it is frozen: %v", err)
	}
	if out := m.from.on("acme_shop", "SELECT v FROM many WHERE id = 1"); out != "row 1" {
		t.Errorf("a transaction that wasn't committed has left %q", out)
	}

	m.readers(t)
	killed := make(chan error, 1)
	go func() { killed <- m.apply(m.to, nil, m.copied()) }()
	within(t, time.Minute, "something is copied", func() error {
		out := m.to.on("", "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'acme_shop'")
		if out == "0" {
			return fmt.Errorf("no table yet")
		}
		return nil
	})
	m.to.script("pkill -9 -x mysqld")
	if err := <-killed; err == nil {
		t.Log("the copy was faster than the kill")
	}
	m.to.serving()
	if err := m.apply(m.to, nil, m.new); err == nil {
		t.Error("half a copy was switched to")
	}
	m.must(m.apply(m.to, nil, m.copied()))
	m.must(m.apply(m.to, nil, m.copied())) // done already
	for _, n := range []*node{m.from, m.to} {
		if _, err := n.dial(1).Observe(t.Context()); err != nil {
			t.Error(err)
		}
	}
	m.must(m.apply(m.to, m.copied(), m.new))
	m.same(t)
	user := m.user
	user.Target = "db-2"
	m.must(m.apply(m.to, nil, user))
	there, err := m.to.connect(t, "acme_app", "correct horse", "acme_shop")
	m.must(err)
	for _, c := range []struct{ statement, want string }{
		{"INSERT INTO written VALUES (1000000)", ""},
		{"SELECT n - 2 FROM counted", written}, // by the trigger; and once for -1
		{"SELECT twice(21)", "42"},
		{"SELECT n FROM a_above", m.from.on("acme_shop", "SELECT n FROM a_above")},
		{"CALL hello('you')", "hello; you ☃"},
	} {
		if got := asked(t, there, c.statement); got != c.want {
			t.Errorf("%s: %q, want %q", c.statement, got, c.want)
		}
	}
	m.must(m.apply(m.from, m.user, nil))
	kept := m.frozen()
	kept.Kept = true
	m.must(m.apply(m.from, m.frozen(), kept))
	if out := m.from.on("", "SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'hostctl.%'"); out != "0" {
		t.Errorf("%s accounts that copy are left", out)
	}
}

// same compares what the two ends hold, value by value.
func (m *mover) same(t *testing.T) {
	t.Helper()
	const all = `SELECT id, f + 0e0, d, n, HEX(b), y, dt, ts, ti, da, e, s, j, ST_AsText(g), ST_SRID(g), SHA2(bl, 256), tx, HEX(c), HEX(vb), half_d, shorter, hidden, HEX(ve) FROM kinds ORDER BY id;
SELECT * FROM child; SELECT * FROM ` + "`a ``b; -- c`" + ` ORDER BY 1; SELECT COUNT(*), SUM(id), BIT_XOR(CRC32(CONCAT(id, v))) FROM many; SHOW CREATE TABLE kinds; SHOW CREATE TABLE child; SHOW CREATE TABLE parts;
SHOW CREATE TABLE many; SHOW CREATE VIEW a_above; SHOW CREATE PROCEDURE hello; SHOW CREATE EVENT never;
SELECT TRIGGER_NAME, ACTION_ORDER, SQL_MODE, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'acme_shop' ORDER BY 1`
	a, b := strings.Split(m.from.on("acme_shop", all), "\n"), strings.Split(m.to.on("acme_shop", all), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Errorf("line %d differs:\n%q\n%q", i, a[min(i, len(a)-1)], b[min(i, len(b)-1)])
		}
	}
	if len(a) < 18 {
		t.Errorf("only %d lines were compared", len(a))
	}
}

// asked returns the first value that a query answers, or its error.
func asked(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	v, err := answers(t.Context(), db, query)
	if err != nil {
		return err.Error()
	}
	return v
}

// takenBack: the database has moved to db-2. It is to move back to db-1, and that is taken back in the middle: db-2 is open
// again, and what was copied to db-1 isn't switched to afterwards, for db-2 was written to since.
func (m *mover) takenBack(t *testing.T) {
	m.t = t
	m.from, m.to = m.to, m.from
	m.old, m.new = m.new, m.old
	left := m.new
	left.MovedTo, left.Kept = m.from.name, true
	m.must(m.apply(m.from, m.old, m.frozen()))
	m.must(m.apply(m.to, left, m.copied()))
	if out := m.to.script("ls /var/lib/mysql/trash"); !strings.Contains(out, "acme_shop.") {
		t.Errorf("what was overwritten isn't in the trash: %q", out)
	}
	m.must(m.apply(m.from, m.frozen(), m.old))
	db, err := m.from.connect(t, "acme_app", "correct horse", "acme_shop")
	m.must(err)
	if got := asked(t, db, "INSERT INTO written VALUES (2000000)"); got != "" {
		t.Errorf("after it was taken back: %s", got)
	}
	m.must(m.apply(m.from, m.old, m.frozen()))
	if err := m.apply(m.to, m.copied(), m.new); executors.KindOf(err) != executors.Drifted || !strings.Contains(err.Error(), "table counted") {
		t.Errorf("a copy of before: %v", err)
	}
	for _, o := range m.to.observed() {
		if d, ok := o.(planner.Database); ok {
			t.Errorf("a copy that isn't whole is observed: %v", d)
		}
	}
}

// backAgain: the next run copies anew. Then the copy that is kept goes, and what has moved stays.
func (m *mover) backAgain(t *testing.T) {
	m.t = t
	again := planner.Change{ID: 1, Action: planner.Update, Old: m.copied(), New: m.copied(), Force: true} // for it is dirty
	m.must(m.to.dial(1).Apply(t.Context(), []planner.Change{again})[0])
	m.must(m.apply(m.to, m.copied(), m.new))
	m.same(t)
	if out := m.to.on("acme_shop", "SELECT COUNT(*) FROM written WHERE n = 2000000"); out != "1" {
		t.Errorf("what was written after it was taken back: %s", out)
	}
	if err := m.apply(m.to, m.copied(), nil); executors.KindOf(err) != executors.Refused && executors.KindOf(err) != executors.Drifted {
		t.Errorf("what is switched to was dropped as a copy: %v", err)
	}
	user := m.user
	user.Target = m.old.Target
	m.must(m.apply(m.from, user, nil))
	kept := m.frozen()
	kept.Kept = true
	m.must(m.apply(m.from, m.frozen(), kept))
	m.must(m.apply(m.from, kept, nil))
	if out := m.from.on("", "SHOW DATABASES LIKE 'acme%'"); out != "" {
		t.Errorf("left: %s", out)
	}
	_ = m.to.on("acme_shop", "INSERT INTO written VALUES (3000000)")
}
