package planner_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"hostctl/planner"
	"hostctl/schema"
)

// movable is a kind of data that moves, and where it does in a test.
type movable struct {
	kind, user planner.Kind
	name       string
	shard      string // name of a shard, but for its number
	golden     string // whose manifest has the first shard
	extra      string // of the manifest: the other shards are declared with it
	file, yaml string // the one resource, without its shard
}

var (
	movableDatabase = movable{
		kind: planner.KindDatabase, user: planner.KindDatabaseUser, name: "acme.shop", shard: "db-", golden: "database.txtar", extra: "role: database, nodeCount: 1, profile: db",
		file: "tenants/acme/shop.yaml", yaml: movedDatabase,
	}
	movableValkey = movable{
		kind: planner.KindValkey, user: planner.KindValkeyUser, name: "acme.cache", shard: "valkey-", golden: "valkey.txtar", extra: "role: valkey, nodeCount: 1, profile: valkey",
		file: "tenants/acme/cache.yaml", yaml: movedInstance,
	}
)

func (k movable) shards() []string { return []string{k.shard + "1", k.shard + "2", k.shard + "3"} }

// standing is what a move changes of an object.
type standing struct {
	kept, purge bool
	movedTo     string
	source      *planner.CopySource
	port        int
}

func standingOf(o planner.Object) standing {
	switch o := o.(type) {
	case planner.Database:
		return standing{o.Kept, o.Purge, o.MovedTo, o.Source, 0}
	case planner.Valkey:
		return standing{o.Kept, o.Purge, o.MovedTo, o.Source, o.Port}
	}
	return standing{}
}

// movingWorld is a world with a database or an instance in it, that is written to wherever that can be done.
type movingWorld struct {
	*world
	movable
	copies  map[string]*dataCopy // by shard
	written int                  // what was written last
}

// dataCopy is the data on one shard.
type dataCopy struct {
	standing
	hash     planner.Hash // of the object
	data     int          // the last write that is in it
	whole    bool         // false while it is being copied
	readOnly bool
}

func newMovingWorld(k movable) *movingWorld {
	w := &movingWorld{world: newWorld(), movable: k, copies: map[string]*dataCopy{}}
	w.live.Images = images
	return w
}

// carry carries a plan out; next says what happens to each change.
func (w *movingWorld) carry(p planner.Plan, next func(planner.Change) fault) bool {
	w.reserve(p)
	w.live.Targets, w.live.Memory = p.Targets, p.Remember
	done := map[int]bool{}
	for _, c := range p.Changes {
		if !ready(c, done) {
			continue
		}
		if got := w.recorded(c.Ref()); got != c.Expect {
			w.violated("change %d of %s expects %.8q, the inventory holds %.8q", c.ID, c.Ref(), c.Expect, got)
		}
		w.started(c)
		f := next(c)
		if w.live.Down[c.Ref().Target+"-0"] != "" {
			f = failsBefore
		}
		if f == killBefore {
			return false
		}
		if f != failsBefore && !w.take(c, f == failsAfter || f == killAfter) {
			f = failsAfter
		}
		w.write(fmt.Sprintf("after change %d, %s %s", c.ID, c.Action, c.Ref()))
		if f == killAfter {
			return false
		}
		if f == fine {
			w.finished(c)
			done[c.ID] = true
		}
	}
	return len(done) == len(p.Changes)
}

// take does what the agent of a node with data does. half leaves a copy half made.
func (w *movingWorld) take(c planner.Change, half bool) bool {
	ref := c.Ref()
	if ref.Kind != w.kind || ref.Name != w.name {
		w.real[ref] = c.New
		if c.New == nil {
			delete(w.real, ref)
		}
		return true
	}
	have := w.copies[ref.Target]
	if c.New == nil {
		if old := standingOf(c.Old); have != nil && have.whole && !old.kept && !old.purge && (old.source == nil || have.source == nil) {
			w.violated("%s is dropped, and nobody has said that it may go", ref)
		}
		delete(w.copies, ref.Target)
		return true
	}
	want := dataCopy{standing: standingOf(c.New), hash: planner.HashOf(c.New), whole: true}
	if have != nil && have.port != want.port {
		w.violated("%s has port %d, and is to have %d", ref, have.port, want.port)
	}
	want.readOnly = want.movedTo != "" || want.source != nil || want.kept
	if want.source != nil && !want.kept {
		return w.copyTo(ref.Target, want, have, half)
	}
	if have == nil {
		for shard, other := range w.copies {
			if other.data > 0 && other.whole && other.source == nil && other.movedTo == "" && w.live.Down[shard+"-0"] == "" {
				w.violated("an empty one is made on %s, and there is one on %s", ref.Target, shard)
			}
		}
		have = &dataCopy{whole: true}
		w.copies[ref.Target] = have
	}
	if have.source == nil && !have.whole && !want.kept {
		return false
	}
	if have.source != nil && want.source == nil && !want.kept {
		from := w.copies[shardOf(have.source.Node)]
		if !have.whole || from == nil || !from.readOnly || from.data != have.data || from.movedTo != ref.Target+"-0" {
			have.whole = false
			return false
		}
	}
	have.standing, have.hash, have.readOnly = want.standing, want.hash, want.readOnly
	return true
}

func (w *movingWorld) copyTo(shard string, want dataCopy, have *dataCopy, half bool) bool {
	if have != nil && have.whole && have.hash == want.hash {
		return true
	}
	from := w.copies[shardOf(want.source.Node)]
	if from == nil || !from.readOnly || from.movedTo != shard+"-0" || w.live.Down[want.source.Node] != "" {
		return false
	}
	want.data, want.whole = from.data, !half
	w.copies[shard] = &want
	return true
}

func shardOf(node string) string { return strings.TrimSuffix(node, "-0") }

// write writes wherever that can be done. What was written before must be there.
func (w *movingWorld) write(when string) {
	var open []string
	for shard, c := range w.copies {
		user := planner.Ref{Kind: w.user, Target: shard, Name: "acme.app"}
		if w.real[user] == nil || c.readOnly {
			continue
		}
		open = append(open, shard)
		if c.data != w.written {
			w.violated("%s: on %s is what was written at %d, and %d was the last", when, shard, c.data, w.written)
		}
	}
	if len(open) > 1 {
		slices.Sort(open)
		w.violated("%s: %v can be written to", when, open)
	}
	for _, shard := range open {
		w.written++
		w.copies[shard].data = w.written
	}
}

// commits returns a manifest for each shard that the data may be declared on, and "" for none.
func (k movable) commits(t *testing.T) map[string]schema.Manifest {
	ar, err := txtar.ParseFile("testdata/" + k.golden)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]schema.Manifest{}
	for _, shard := range append([]string{""}, k.shards()...) {
		tree := schema.MapTree{}
		for _, f := range ar.Files {
			if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
				tree[name] = string(f.Data)
			}
		}
		for _, s := range k.shards()[1:] {
			tree["clusters/eu-1/"+s+".yaml"] = "apiVersion: hosting/v1\nkind: Shard\nmetadata: {name: " + s + "}\nspec: {" + k.extra + "}\n"
		}
		tree[k.file] = ""
		if shard != "" {
			tree[k.file] = fmt.Sprintf(k.yaml, shard)
		}
		all[shard] = load(t, tree)
	}
	return all
}

const movedDatabase = `apiVersion: hosting/v1
kind: Database
metadata: {name: shop}
spec:
  shard: %s
  users: [{name: app, privileges: readwrite, passwordHash: "0x24412430303524303132333435363738393031323334353637383961616161616161616161616161616161616161616161616161616161616161616161616161616161616161"}]
`

const movedInstance = `apiVersion: hosting/v1
kind: ValkeyInstance
metadata: {name: cache}
spec:
  shard: %s
  maxMemory: 64Mi
  users: [{name: app, passwordHash: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}]
`

// A database that moves between shards, while changes fail, runs are killed, nodes can't be reached and the move is taken
// back: it can be written to in one place at most, what was written is never lost, and when faults stop, one run or two put
// it where it is declared, with all that was ever written, and open.
func TestG04_DatabaseMoves(t *testing.T) { testMoves(t, movableDatabase) }

// A Valkey instance that moves between shards is treated alike, and has one port on each.
func TestG04_ValkeyMoves(t *testing.T) { testMoves(t, movableValkey) }

func testMoves(t *testing.T, k movable) {
	commits, shards := k.commits(t), k.shards()
	moves := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newMovingWorld(k)
		log := strings.Builder{}
		plan := func(shard string) planner.Plan {
			p, err := planner.New(commits[shard], w.live, agent)
			if err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			return p
		}
		check := func() {
			if len(w.broken) > 0 {
				t.Fatalf("%s\n%s", w.broken[0], log.String())
			}
		}
		w.carry(plan(shards[0]), func(planner.Change) fault { return fine })
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			shard := rapid.SampledFrom(append([]string{shards[0], shards[1], ""}, shards...)).Draw(t, "shard")
			clear(w.live.Down)
			if rapid.IntRange(0, 4).Draw(t, "down") == 0 {
				w.live.Down[rapid.SampledFrom(shards).Draw(t, "node")+"-0"] = "no answer"
			}
			p := plan(shard)
			fmt.Fprintf(&log, "declared on %q, down %v:\n%s", shard, w.live.Down, describe(p))
			faults := rapid.IntRange(0, 2).Draw(t, "faults")
			w.carry(p, func(c planner.Change) fault {
				if faults == 0 || rapid.IntRange(0, 7).Draw(t, "luck") >= faults {
					return fine
				}
				f := rapid.SampledFrom([]fault{failsBefore, failsAfter, killBefore, killAfter}).Draw(t, "fault")
				fmt.Fprintf(&log, "  change %d meets fault %d\n", c.ID, f)
				return f
			})
			check()
		}
		clear(w.live.Down)
		last := rapid.SampledFrom(shards).Draw(t, "last")
		before := w.written
		for run := 0; ; run++ {
			p := plan(last)
			fmt.Fprintf(&log, "at last on %s:\n%s", last, describe(p))
			well := w.carry(p, func(planner.Change) fault { return fine })
			check()
			if well {
				break
			}
			if run == 2 {
				t.Fatalf("runs without faults don't end well\n%s", log.String())
			}
		}
		if p := plan(last); !p.Empty() {
			t.Fatalf("the plan after a run that ended well isn't empty:\n%s\n%s", describe(p), log.String())
		}
		w.write("at last")
		check()
		if c := w.copies[last]; c == nil || c.readOnly || c.data != w.written || w.written == before {
			t.Fatalf("on %s is %+v, and %d was written last\n%s", last, c, w.written, log.String())
		}
		moves++
	})
	if moves == 0 {
		t.Error("nothing was tried")
	}
}
