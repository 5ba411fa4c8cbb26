//go:build faults

package wire

import (
	"context"
	"fmt"
	"sync"

	"hostctl/cmd/internal/fault"
	"hostctl/planner"
	"hostctl/reconciler"
)

// withFaults returns an inventory whose runs have fault points: begin, begun; of each batch start, started, done (the far
// side has answered, and nobody has noted it), finished; end, ended.
func withFaults(i reconciler.Inventory) reconciler.Inventory { return faulty{i} }

type faulty struct{ reconciler.Inventory }

func (f faulty) Begin(ctx context.Context, p planner.Plan, by reconciler.Holder) (reconciler.Journal, error) {
	fault.Point("begin")
	j, err := f.Inventory.Begin(ctx, p, by)
	if err != nil {
		return nil, err
	}
	fault.Point("begun")
	return &faultyJournal{Journal: j, times: map[string]int{}}, nil
}

type faultyJournal struct {
	reconciler.Journal
	mu    sync.Mutex
	times map[string]int // that a batch was started
}

func (j *faultyJournal) Started(ctx context.Context, cs []planner.Change) error {
	name := j.batch(cs, true)
	fault.Point("start " + name)
	if err := j.Journal.Started(ctx, cs); err != nil {
		return err
	}
	fault.Point("started " + name)
	return nil
}

func (j *faultyJournal) Finished(ctx context.Context, cs []planner.Change, errs []error) error {
	name := j.batch(cs, false)
	fault.Point("done " + name)
	if err := j.Journal.Finished(ctx, cs, errs); err != nil {
		return err
	}
	fault.Point("finished " + name)
	return nil
}

func (j *faultyJournal) End(ctx context.Context, outcome reconciler.RunState, message string) error {
	fault.Point("end")
	if err := j.Journal.End(ctx, outcome, message); err != nil {
		return err
	}
	fault.Point("ended")
	return nil
}

// batch names a batch; the second one of a run that would have the same name is numbered.
func (j *faultyJournal) batch(cs []planner.Change, starts bool) string {
	name := fault.Title(cs)
	j.mu.Lock()
	defer j.mu.Unlock()
	if starts {
		j.times[name]++
	}
	if n := j.times[name]; n > 1 {
		return fmt.Sprintf("%s, time %d", name, n)
	}
	return name
}
