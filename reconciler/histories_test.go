package reconciler_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/inventorytest"
)

// TestMain sets how many histories are gone through.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		checks := "15"
		if testing.Short() {
			checks = "20" // of which rapid goes through a fifth
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestG04_Histories takes a platform through random histories of commits, far sides that fail before or after an effect,
// reconcilers that are killed, containers and volumes that go and nodes that fall silent. When faults stop, it converges: the next
// plan is empty (G2), what is recorded is what is there, nothing is there twice, uids were never used again, and the
// journal is well-formed throughout (G14).
func TestG04_Histories(t *testing.T) {
	t.Parallel()
	base, gone := minimal(t), 0
	defer func() {
		if gone == 0 {
			t.Error("no history was gone through")
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		gone++
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		h := &history{rt: rt, world: worldIn(testingTB{t, rt}, dir), config: firstConfig(base), uids: map[string]string{}}
		defer func() { _ = h.store.Close() }()
		h.file = filepath.Join(dir, "inventory.db")
		h.reopen()
		if rapid.Bool().Draw(rt, "begins well") {
			h.push()
			h.must(h.run())
		}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			h.step()
			h.check()
		}
		h.converge()
	})
}

// testingTB is a testing.TB whose failures are those of a rapid.T, so that rapid shrinks what led to them.
type testingTB struct {
	testing.TB
	rt *rapid.T
}

func (t testingTB) Cleanup(func())                    {} // a history closes what it opened
func (t testingTB) Error(args ...any)                 { t.rt.Error(args...) }
func (t testingTB) Errorf(format string, args ...any) { t.rt.Errorf(format, args...) }
func (t testingTB) Fail()                             { t.rt.Fail() }
func (t testingTB) FailNow()                          { t.rt.FailNow() }
func (t testingTB) Failed() bool                      { return t.rt.Failed() }
func (t testingTB) Fatal(args ...any)                 { t.rt.Fatal(args...) }
func (t testingTB) Fatalf(format string, args ...any) { t.rt.Fatalf(format, args...) }
func (t testingTB) Helper()                           { t.rt.Helper() }
func (t testingTB) Log(args ...any)                   { t.rt.Log(args...) }
func (t testingTB) Logf(format string, args ...any)   { t.rt.Logf(format, args...) }

// history is a world with what was pushed to it.
type history struct {
	*world
	rt     *rapid.T
	file   string
	config *config
	pushed string            // newest commit that was not refused
	at     []planner.Target  // of the last plan of this reconciler, as a loop remembers them
	uids   map[string]string // tenant -> uid, ever
}

func (h *history) reopen() {
	_ = h.store.Close()
	h.open(h.file)
	h.rec.Holder.Lease = 60 * time.Millisecond
	h.rec.Policy.AllowDestroy = nil // commits say what they allow
	h.at = nil
	h.far.fail(nil)
	h.far.Restart()
}

// step is one thing that happens.
func (h *history) step() {
	nodes := []string{"web-1-0", "web-1-1", "web-2-0", "eu-1-lb-0", "eu-1-lb-1", "eu-1-dns-0", "eu-1-db-0"}
	node := rapid.SampledFrom(nodes).Draw(h.rt, "node")
	switch rapid.IntRange(0, 8).Draw(h.rt, "event") {
	case 0:
		h.Logf("container %s goes", node)
		h.far.loseContainer(node)
	case 1:
		h.Logf("node %s falls silent", node)
		h.far.silence(node)
	case 2:
		h.Log("all answer")
		h.far.silence()
	case 3:
		volume := rapid.SampledFrom([]string{"web-1-files", "web-2-files", "eu-1-db-0-data", "web-1-0"}).Draw(h.rt, "volume")
		h.Logf("volume %s goes, with what is on it", volume)
		h.far.loseVolume(volume)
	default:
		h.push()
	}
	if rapid.Bool().Draw(h.rt, "look") {
		h.Logf("look: %+v", h.look(h.at...))
	}
	if h.pushed == "" {
		return
	}
	switch rapid.IntRange(0, 3).Draw(h.rt, "run") {
	case 0:
		h.killed(rapid.IntRange(1, 40).Draw(h.rt, "killed after"))
	case 1, 2:
		h.faulty()
	case 3:
		h.Logf("run: %v", h.run())
	}
}

// push pushes a changed config. What the guards refuse is allowed by another commit, or taken back, as git revert does.
func (h *history) push() {
	next := h.config.clone()
	for range rapid.IntRange(0, 6).Draw(h.rt, "mutations") {
		next.mutate(h.rt)
	}
	id := h.source.push(next.tree(h.world))
	_, err := h.rec.Plan(context.Background(), id)
	var refused *planner.RefusedError
	if errors.As(err, &refused) && rapid.Bool().Draw(h.rt, "meant") {
		h.Logf("commit %s has to be allowed: %v", id[36:], err)
		id = h.source.push(next.tree(h.world), allowances(refused)...)
		_, err = h.rec.Plan(context.Background(), id)
	}
	if asType[*reconciler.PlanError](err) {
		h.Logf("commit %s is refused: %v", id[36:], err)
		next = h.config
		id = h.source.push(next.tree(h.world))
		_, err = h.rec.Plan(context.Background(), id)
	}
	h.must(err)
	h.config, h.pushed = next, id
	h.Logf("commit %s", id[36:])
}

// allowances is what a refusal says would allow it.
func allowances(refused *planner.RefusedError) []string {
	var all []string
	for _, r := range refused.Refusals {
		if r.Allow != "" {
			all = append(all, r.Allow)
		}
	}
	return all
}

func (h *history) run() error {
	p, err := h.rec.Plan(context.Background(), h.pushed)
	if err != nil {
		h.Fatalf("plan: %v", err)
	}
	h.Logf("plan of %s:\n%s", h.pushed[36:], text(p))
	h.at = p.Targets
	return h.rec.Apply(context.Background(), p, nil)
}

// faulty runs with far sides that fail before or after an effect.
func (h *history) faulty() {
	seed, odds := rapid.Uint64().Draw(h.rt, "luck"), rapid.Uint64Range(3, 60).Draw(h.rt, "odds")
	h.far.fail(func(at memory.Point, c planner.Change) error {
		luck := fnv.New64a() // the same whatever the order of targets is
		fmt.Fprint(luck, seed, at, c.ID)
		if luck.Sum64()%odds > 0 {
			return nil
		}
		return fmt.Errorf("a fault %s the effect", at)
	})
	h.Logf("faulty run: %v", h.run())
	h.far.fail(nil)
}

// killed runs and is killed after some steps of the journal. What it had begun on the far side takes effect or not, and
// nothing more; another reconciler then opens the inventory.
func (h *history) killed(after int) {
	m := &mortal{Inventory: h.store, left: after}
	m.die = func() {
		h.far.fail(func(memory.Point, planner.Change) error { return memory.ErrCrash })
	}
	h.rec.Inventory = m
	err := h.run()
	h.Logf("killed after %d steps: %v", after, err)
	h.reopen()
	until(h.world, "the killed run's lease is over", func() bool {
		runs := h.runs()
		return len(runs) == 0 || runs[0].State != reconciler.Running || !runs[0].Deadline.After(time.Now())
	})
}

// check checks what must hold at any time.
func (h *history) check() {
	inventorytest.CheckStatus(h.world, h.store)
	for _, a := range h.live().Allocations {
		if a.Scope != "uid" {
			continue
		}
		for tenant, uid := range h.uids {
			if (tenant == a.Key) != (uid == a.Value) {
				h.Fatalf("uid %s of %s was %s of %s", a.Value, a.Key, uid, tenant)
			}
		}
		h.uids[a.Key] = a.Value
	}
	for _, broken := range append(h.far.broken, h.far.twice()...) {
		h.Fatal(broken)
	}
}

// converge lets all faults stop and checks that one look and one run make everything right. A reconciler that was just
// started, and never finished a run, learns from its first plan where to look.
func (h *history) converge() {
	h.far.silence()
	if h.pushed == "" {
		h.push()
	}
	if p, err := h.rec.Plan(context.Background(), h.pushed); err == nil {
		h.at = p.Targets
	}
	h.Logf("at last, look: %+v", h.look(h.at...))
	if err := h.run(); err != nil {
		h.Fatalf("the last run: %v", err)
	}
	h.check()
	h.wantTrue(h.pushed)
	if h.look(h.at...).Moved {
		h.Error("a look after the last run finds something")
	}
	var unfinished []string
	for _, r := range h.runs() {
		if r.State == reconciler.Running || r.Finished.IsZero() {
			unfinished = append(unfinished, fmt.Sprint(r.ID))
		}
	}
	if len(unfinished) > 0 {
		h.Errorf("runs %v have no end", unfinished)
	}
}
