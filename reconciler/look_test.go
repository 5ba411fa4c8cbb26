package reconciler_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// A container that is gone is made again with everything that was in it.
func TestLookFindsAContainerGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	for _, node := range []string{"web-1-0", "eu-1-lb-0", "eu-1-dns-0", "eu-1-db-0"} {
		w.far.loseContainer(node)
		seen := w.look()
		if !seen.Moved || len(seen.Down) > 0 {
			t.Errorf("%s is gone; the look sees %+v", node, seen)
		}
		if w.look().Moved {
			t.Errorf("%s is gone; a second look moves the inventory again", node)
		}
		w.must(w.apply(commit))
		w.wantTrue(commit)
	}
}

// With a volume goes what was on it: the files of sites, zones, the agent's program. All of it is made again.
func TestLookFindsAVolumeGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	for volume, lost := range map[string]planner.Kind{
		"web-1-files": planner.KindWebroot, "eu-1-db-0-data": planner.KindZone, "web-1-0": planner.KindAgent,
	} {
		before := len(w.far.State())
		w.far.loseVolume(volume)
		if !w.look().Moved {
			t.Errorf("%s is gone; the look finds nothing", volume)
		}
		marked := map[planner.Kind]int{}
		for ref, why := range w.live().Dirty {
			if why.Gone {
				marked[ref.Kind]++
			}
		}
		if marked[lost] == 0 || marked[planner.KindVolume] != 1 {
			t.Errorf("%s is gone; marked as gone are %v, want a %s among them", volume, marked, lost)
		}
		if w.look().Moved {
			t.Errorf("%s is gone; a second look moves the inventory again", volume)
		}
		w.must(w.apply(commit))
		w.wantTrue(commit)
		if after := len(w.far.State()); after != before {
			t.Errorf("%s was gone; there were %d objects, and are %d", volume, before, after)
		}
	}
}

// Somebody has changed a container behind our back: what an engine can change back is changed back, all else made anew.
func TestLookFindsDrift(t *testing.T) {
	t.Parallel()
	tree := with(t, minimal(t), "image: hostctl/web:v1", "image: hostctl/web:v1\n  resources: {memory: 256Mi}")
	for what, tt := range map[string]struct {
		change func(*planner.Container)
		action planner.Action
	}{
		"another limit":    {func(c *planner.Container) { c.Memory *= 2 }, planner.Update},
		"no limit":         {func(c *planner.Container) { c.Memory = 0 }, planner.Update},
		"a new limit":      {func(c *planner.Container) { c.NanoCPUs = 1e9 }, planner.Create},
		"another address":  {func(c *planner.Container) { c.Address = "10.99.0.200" }, planner.Create},
		"another network":  {func(c *planner.Container) { c.Network = "somebody's" }, planner.Create},
		"more environment": {func(c *planner.Container) { c.Env = map[string]string{"X": "somebody's"} }, planner.Create},
	} {
		w := newWorld(t)
		commit := w.applied(tree)
		c := w.far.container("web-1-0").(planner.Container)
		tt.change(&c)
		w.far.Put(c)
		if !w.look().Moved {
			t.Fatalf("%s: the look finds nothing", what)
		}
		p := w.plan(commit)
		if i := slices.IndexFunc(p.Changes, func(x planner.Change) bool { return x.Ref() == c.Ref() }); i < 0 || p.Changes[i].Action != tt.action {
			t.Fatalf("%s: want the container's %s, planned is:\n%s", what, tt.action, text(p))
		}
		w.must(w.apply(commit))
		w.wantTrue(commit)
	}
}

// A change in place meets a container that can't be changed so. It is found out, and made anew.
func TestLookFindsDriftOfWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limited := func(memory string) schema.MapTree {
		return with(t, minimal(t), "image: hostctl/web:v1", "image: hostctl/web:v1\n  resources: {memory: "+memory+"}")
	}
	w.applied(limited("256Mi"))
	c := w.far.container("web-1-0").(planner.Container)
	c.Address = "10.99.0.200"
	w.far.Put(c)
	commit := w.push(limited("512Mi"))
	if err := w.apply(commit); err == nil {
		t.Fatal("a container that was moved was changed in place")
	}
	if !w.look().Moved {
		t.Fatal("the look finds nothing")
	}
	w.must(w.apply(commit))
	w.wantTrue(commit)
}

// An engine that can't be observed holds what it held.
func TestLookCannotObserve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	w.far.silence("host-1")
	if seen := w.look(); seen.Moved || seen.Busy {
		t.Errorf("the look sees %+v", seen)
	}
	if p := w.plan(commit); !p.Empty() {
		t.Errorf("an engine that can't be observed was read as empty:\n%s", text(p))
	}
}

// While a run is under way the far sides differ from the inventory, and that means nothing.
func TestLookDuringARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	j, err := w.store.Begin(t.Context(), w.plan(commit), reconciler.Holder{Name: "somebody"})
	w.must(err)
	w.far.loseContainer("web-1-0")
	looks := w.far.count(&w.far.looks)
	if seen := w.look(); !seen.Busy || seen.Moved || w.far.count(&w.far.looks) != looks {
		t.Errorf("the look sees %+v", seen)
	}
	w.must(j.End(t.Context(), reconciler.Failed, ""))
	if seen := w.look(); seen.Busy || !seen.Moved {
		t.Errorf("after the run the look sees %+v", seen)
	}
}

// A run that begins and ends while the far sides are looked at makes the look worthless.
func TestLookIsOvertakenByARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.applied(minimal(t))
	w.rec.Connect = func(target planner.Target, s reconciler.Session) (executors.Executor, error) {
		if target.Docker != nil {
			j, err := w.store.Begin(t.Context(), w.plan(commit), reconciler.Holder{Name: "somebody"})
			w.must(err)
			w.must(j.End(t.Context(), reconciler.Succeeded, ""))
			w.far.loseContainer("web-1-0") // as if the run had
		}
		return w.far.connect(target, s)
	}
	if seen := w.look(); !seen.Busy || seen.Moved {
		t.Errorf("the look sees %+v", seen)
	}
	if dirty := w.live().Dirty; len(dirty) > 0 {
		t.Errorf("it has marked %v", dirty)
	}
}

// One who has stopped asking gets no answers, and must not take that for silence.
func TestLookIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applied(minimal(t))
	ctx, stop := context.WithCancel(t.Context())
	w.rec.Connect = func(target planner.Target, s reconciler.Session) (executors.Executor, error) {
		stop()
		return w.far.connect(target, s)
	}
	if _, err := w.rec.Look(ctx, nil); err == nil {
		t.Error("the look says nothing of having been stopped")
	}
	if down := w.live().Down; len(down) > 0 {
		t.Errorf("nodes are down: %v", down)
	}
}

// The reason why a node is down is the first one that was seen: turns of phrase don't move the inventory.
func TestLookKeepsReasons(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applied(minimal(t))
	w.far.silence("web-1-0")
	first := w.look()
	if !first.Moved || !strings.Contains(first.Down["web-1-0"], "no answer") {
		t.Fatalf("the look sees %+v", first)
	}
	_, err := w.store.SetDown(t.Context(), map[string]string{"web-1-0": "connection reset, port 4711"})
	w.must(err)
	if seen := w.look(); seen.Moved || seen.Down["web-1-0"] != "connection reset, port 4711" {
		t.Errorf("the look sees %+v", seen)
	}
}

// A node whose container is gone, and which a run has failed to make again, is not one that can't be reached: when it is
// made it serves at once.
func TestLookAtANodeThatWasNotMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applied(two(t))
	w.far.fail(func(_ memory.Point, c planner.Change) error {
		if c.Ref().Kind == planner.KindContainer {
			return errors.New("no room")
		}
		return nil
	})
	commit := w.push(with(t, two(t), "image: hostctl/web:v1", "image: hostctl/web:v2"))
	if err := w.apply(commit); !asType[*executors.RunError](err) {
		t.Fatalf("got %v", err)
	}
	w.far.fail(nil)
	w.far.loseContainer("web-1-0")
	if seen := w.look(); len(seen.Down) > 0 {
		t.Errorf("the look sees %+v", seen)
	}
	w.must(w.apply(commit))
	w.wantTrue(commit)
}
