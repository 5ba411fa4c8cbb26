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

var databaseShards = []string{"db-1", "db-2", "db-3"}

// movingWorld is a world with a database in it, that is written to wherever that can be done.
type movingWorld struct {
	*world
	copies  map[string]*databaseCopy // by shard
	written int                      // what was written last
}

// databaseCopy is a database on one shard.
type databaseCopy struct {
	object   planner.Database
	data     int  // the last write that is in it
	whole    bool // false while it is being copied
	readOnly bool
}

func newMovingWorld() *movingWorld {
	w := &movingWorld{world: newWorld(), copies: map[string]*databaseCopy{}}
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

// take does what the agent of a database node does. half leaves a copy half made.
func (w *movingWorld) take(c planner.Change, half bool) bool {
	ref := c.Ref()
	if ref.Kind != planner.KindDatabase {
		w.real[ref] = c.New
		if c.New == nil {
			delete(w.real, ref)
		}
		return true
	}
	have := w.copies[ref.Target]
	if c.New == nil {
		if old := c.Old.(planner.Database); have != nil && have.whole && !old.Kept && !old.Purge && (old.Source == nil || have.object.Source == nil) {
			w.violated("%s is dropped, and nobody has said that it may go", ref)
		}
		delete(w.copies, ref.Target)
		return true
	}
	want := c.New.(planner.Database)
	if want.Source != nil && !want.Kept {
		return w.copyTo(ref.Target, want, have, half)
	}
	if have == nil {
		for shard, other := range w.copies {
			if other.data > 0 && other.whole && other.object.Source == nil && other.object.MovedTo == "" && w.live.Down[shard+"-0"] == "" {
				w.violated("an empty database is made on %s, and there is one on %s", ref.Target, shard)
			}
		}
		have = &databaseCopy{whole: true}
		w.copies[ref.Target] = have
	}
	if have.object.Source == nil && !have.whole && !want.Kept {
		return false
	}
	if have.object.Source != nil && want.Source == nil && !want.Kept {
		from := w.copies[shardOf(have.object.Source.Node)]
		if !have.whole || from == nil || !from.readOnly || from.data != have.data || from.object.MovedTo != ref.Target+"-0" {
			have.whole = false
			return false
		}
	}
	have.object, have.readOnly = want, want.MovedTo != "" || want.Source != nil || want.Kept
	return true
}

func (w *movingWorld) copyTo(shard string, want planner.Database, have *databaseCopy, half bool) bool {
	if have != nil && have.whole && planner.HashOf(have.object) == planner.HashOf(want) {
		return true
	}
	from := w.copies[shardOf(want.Source.Node)]
	if from == nil || !from.readOnly || from.object.MovedTo != shard+"-0" || w.live.Down[want.Source.Node] != "" {
		return false
	}
	w.copies[shard] = &databaseCopy{object: want, data: from.data, whole: !half, readOnly: true}
	return true
}

func shardOf(node string) string { return strings.TrimSuffix(node, "-0") }

// write writes to every database that takes it. What was written before must be there.
func (w *movingWorld) write(when string) {
	var open []string
	for shard, c := range w.copies {
		user := planner.Ref{Kind: planner.KindDatabaseUser, Target: shard, Name: "acme.app"}
		if u, ok := w.real[user].(planner.DatabaseUser); !ok || u.Locked || c.readOnly {
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

// databaseCommits returns a manifest for each shard that the database may be declared on, and "" for none.
func databaseCommits(t *testing.T) map[string]schema.Manifest {
	ar, err := txtar.ParseFile("testdata/database.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]schema.Manifest{}
	for _, shard := range append([]string{""}, databaseShards...) {
		tree := schema.MapTree{}
		for _, f := range ar.Files {
			if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
				tree[name] = string(f.Data)
			}
		}
		for _, s := range databaseShards[1:] {
			tree["clusters/eu-1/"+s+".yaml"] = "apiVersion: hosting/v1\nkind: Shard\nmetadata: {name: " + s + "}\nspec: {role: database, nodeCount: 1, profile: db}\n"
		}
		tree["tenants/acme/shop.yaml"] = ""
		if shard != "" {
			tree["tenants/acme/shop.yaml"] = fmt.Sprintf(movedYAML, shard, strings.Repeat("61", 43))
		}
		all[shard] = load(t, tree)
	}
	return all
}

const movedYAML = `apiVersion: hosting/v1
kind: Database
metadata: {name: shop}
spec:
  shard: %s
  users: [{name: app, privileges: readwrite, passwordHash: "0x244124303035243031323334353637383930313233343536373839%s"}]
`

// A database that moves between shards, while changes fail, runs are killed, nodes can't be reached and the move is taken
// back: it can be written to in one place at most, what was written is never lost, and when faults stop, one run or two put
// it where it is declared, with all that was ever written, and open.
func TestG04_DatabaseMoves(t *testing.T) {
	commits := databaseCommits(t)
	moves := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newMovingWorld()
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
		w.carry(plan("db-1"), func(planner.Change) fault { return fine })
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			shard := rapid.SampledFrom(append([]string{"db-1", "db-2", ""}, databaseShards...)).Draw(t, "shard")
			clear(w.live.Down)
			if rapid.IntRange(0, 4).Draw(t, "down") == 0 {
				w.live.Down[rapid.SampledFrom(databaseShards).Draw(t, "node")+"-0"] = "no answer"
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
		last := rapid.SampledFrom(databaseShards).Draw(t, "last")
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
