package inventorytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// childName names the inventory to the process that is to be killed.
const childName = "INVENTORY_TEST_CHILD"

// Open opens an inventory by what its store calls it: a file, a URL.
type Open func(ctx context.Context, name string) (record.Store, error)

// Child does the work of the process that TestKilled kills, where this is one. A TestMain must call it before all else.
func Child(open Open) {
	name := os.Getenv(childName)
	if name == "" {
		return
	}
	if err := runChild(context.Background(), open, name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	killedObjects = 2_000
	killedBatch   = 10 // changes a stage
)

// runChild makes what isn't there yet of the objects, by a run of several stages, and says on standard output what it does: "touched
// REF" is the effect on the far side, "finished REF" comes when the journal has taken it.
func runChild(ctx context.Context, open Open, name string) error {
	s, err := open(ctx, name)
	if err != nil {
		return err
	}
	p, err := rest(ctx, s)
	if err != nil {
		return err
	}
	j, err := s.Begin(ctx, p, reconciler.Holder{Name: fmt.Sprint("child ", os.Getpid())})
	if err != nil {
		return err
	}
	if err := executors.Run(ctx, p, toucher{}, told{j}, executors.Options{}); err != nil {
		return err
	}
	return errors.Join(j.End(ctx, reconciler.Succeeded, ""), s.Close())
}

// toucher is a far side that only says what is done to it.
type toucher struct{}

func (toucher) Apply(_ context.Context, cs []planner.Change) []error {
	say("touched", cs)
	return executors.All(len(cs), nil)
}

// told is a journal that says what it has taken.
type told struct{ executors.Recorder }

func (t told) Finished(ctx context.Context, cs []planner.Change, errs []error) error {
	if err := t.Recorder.Finished(ctx, cs, errs); err != nil {
		return err
	}
	say("finished", cs)
	return nil
}

// say writes in one call, so that a line is there or not.
func say(what string, cs []planner.Change) {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintln(&b, what, c.Ref())
	}
	_, _ = os.Stdout.WriteString(b.String())
}

// rest plans what is left to do.
func rest(ctx context.Context, s record.Store) (planner.Plan, error) {
	l, err := s.Live(ctx)
	if err != nil {
		return planner.Plan{}, err
	}
	var cs []planner.Change
	for _, o := range Sites(killedObjects) {
		if _, dirty := l.Dirty[o.Ref()]; l.State[o.Ref()] == nil || dirty {
			cs = append(cs, planner.Change{ID: len(cs) + 1, Stage: len(cs) / killedBatch, Action: planner.Create, New: o})
		}
	}
	return planner.Plan{Format: planner.PlanFormat, Instance: l.Instance, Base: l.Version, Commit: "c0ffee", Changes: cs}, nil
}

// TestKilled kills a process in the middle of a run, again and again. Nothing that it finished is forgotten, nothing
// that it touched is unknown, and the next one goes on at once.
func TestKilled(t *testing.T, open Open, name string) {
	touched, finished := map[string]bool{}, map[string]bool{}
	kills := 0
	for range 10 {
		killed := killAfter(t, name, 1+rand.IntN(killedObjects/5), touched, finished)
		checkKilled(t, open, name, touched, finished)
		if !killed {
			break
		}
		kills++
	}
	if kills < 3 {
		t.Errorf("only %d runs were killed under way", kills)
	}
	for killAfter(t, name, 1<<30, touched, finished) {
		t.Fatal("a child was killed that nobody killed")
	}
	if l := checkKilled(t, open, name, touched, finished); len(l.State) != killedObjects || len(l.Dirty) != 0 {
		t.Errorf("in the end there are %d objects, %d of them dirty; want %d and none", len(l.State), len(l.Dirty), killedObjects)
	}
}

// killAfter starts a child and kills it after it has said a number of lines. It reports whether it was killed before it
// was through.
func killAfter(t *testing.T, name string, lines int, touched, finished map[string]bool) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childName+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	in := bufio.NewScanner(out)
	for n := 1; in.Scan(); n++ {
		what, ref, _ := strings.Cut(in.Text(), " ")
		switch what {
		case "touched":
			touched[ref] = true
		case "finished":
			finished[ref] = true
		}
		if n == lines {
			must(t, cmd.Process.Kill())
		}
	}
	must(t, in.Err())
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	must(t, err)
	return false
}

func checkKilled(t *testing.T, open Open, name string, touched, finished map[string]bool) planner.Live {
	t.Helper()
	s, err := open(t.Context(), name)
	must(t, err)
	defer s.Close()
	l, err := s.Live(t.Context())
	must(t, err)
	for text := range touched {
		ref, err := planner.ParseRef(text)
		must(t, err)
		_, dirty := l.Dirty[ref]
		switch {
		case l.State[ref] == nil && !dirty:
			t.Fatalf("%s was touched and nobody knows", ref)
		case finished[text] && (dirty || l.State[ref] == nil):
			t.Fatalf("%s was finished and that is forgotten", ref)
		}
	}
	runs, err := s.Runs(t.Context(), 1)
	must(t, err)
	if runs[0].State == reconciler.Running {
		t.Errorf("the run of a dead process goes on: %+v", runs[0])
	}
	return l
}
