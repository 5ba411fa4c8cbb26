package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// ErrStale says that the inventory has moved on since the plan was made: plan again.
var ErrStale = errors.New("the inventory has changed since the plan was made; plan again")

// ErrInstance says that a plan belongs to another inventory.
var ErrInstance = errors.New("the plan was made against another inventory; plan against this one")

// LockedError says who holds the run lock.
type LockedError struct {
	Run    int64
	Holder string
	Since  time.Time
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("run %d of %s has been going since %s; wait for it, or look at it with 'hostctl status'",
		e.Run, e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// Inventory is the record of live objects, who owns them, and what was started and not finished. Its reads wait for no
// run. Implementations pass inventorytest.
type Inventory interface {
	// Instance returns the id of the inventory: 32 hex digits, made when it is created.
	Instance(ctx context.Context) (string, error)
	// Live returns what the next plan is made against, as of one moment.
	Live(ctx context.Context) (planner.Live, error)
	// Begin takes the run lock, reserves the plan's allocations and stores the plan with its run. It fails with a
	// *LockedError, with ErrStale where the inventory isn't at the plan's Base or an allocation is taken, and with
	// ErrInstance. A run whose holder's lease is over no longer holds the lock: it is ended as "interrupted". The plan's
	// targets are added to those of the runs before, back to the last one that ended well.
	Begin(ctx context.Context, p planner.Plan, by Holder) (Journal, error)
	// Gone marks objects as seen not to be there, with everything that was inside a container that is gone, in one
	// transaction. Unknown references are ignored. It reports how many objects are newly marked.
	Gone(ctx context.Context, refs []planner.Ref, why string) (int, error)
	// Drifted marks objects as differing from what was applied. It reports how many are newly marked.
	Drifted(ctx context.Context, refs []planner.Ref, why string) (int, error)
	// SetDown replaces the set of nodes that can't be reached, with the reason of each. It reports whether it changed.
	SetDown(ctx context.Context, down map[string]string) (bool, error)
	// SetUnmanaged replaces what was found in the zones on targets that nobody declares (planner.Unmanaged), for the next
	// plan to delete. What a change hasn't finished stays, and so does what is declared. It reports whether anything changed.
	SetUnmanaged(ctx context.Context, targets []string, found []planner.RRset) (bool, error)
	// SetImages remembers image ids by tag.
	SetImages(ctx context.Context, ids map[string]string) error
	// Runs returns the newest runs first, at most limit.
	Runs(ctx context.Context, limit int) ([]Run, error)
	// Changes returns the journal of a run in the order of its plan.
	Changes(ctx context.Context, run int64) ([]ChangeStatus, error)
	// Objects returns the record of every object, ordered by reference.
	Objects(ctx context.Context) ([]ObjectStatus, error)
	// Backup writes a consistent copy of the inventory to a file that must not exist.
	Backup(ctx context.Context, file string) error
	Close() error
}

// Holder is who runs.
type Holder struct {
	Name  string        // "hostd@host:pid"
	Lease time.Duration // how long the lock holds without Journal.Extend; 0: DefaultLease
}

// DefaultLease is how long a run holds the lock without a sign of life.
const DefaultLease = 30 * time.Second

// Journal is one run under way. Its Recorder methods fail once the run has lost the lock.
type Journal interface {
	executors.Recorder
	// Run is the number of the run, counting from 1; it is also its fencing number.
	Run() int64
	// Extend renews the lease.
	Extend(ctx context.Context) error
	// End ends the run and releases the lock. A run that ended well makes its plan's commit and targets the last
	// applied ones and releases what the plan no longer needs; any run makes its commit the latest tried.
	End(ctx context.Context, outcome RunState, message string) error
}

// RunState is where a run stands.
type RunState string

// The states of a run. Every one but Running is final and has a finish time.
const (
	Running     RunState = "running"
	Succeeded   RunState = "succeeded"
	Failed      RunState = "failed"
	Interrupted RunState = "interrupted"
)

// Run is one execution of a plan.
type Run struct {
	ID       int64     `json:"id"`
	Commit   string    `json:"commit"`
	Plan     string    `json:"plan"` // content hash
	Holder   string    `json:"holder"`
	State    RunState  `json:"state"`
	Message  string    `json:"message,omitempty"`
	Changes  int       `json:"changes"`
	Done     int       `json:"done"`
	Failed   int       `json:"failed"`
	Started  time.Time `json:"started"`
	Deadline time.Time `json:"deadline"` // of the lease, while it is running
	Finished time.Time `json:"finished,omitzero"`
}

// ChangeStatus is one line of a run's journal.
type ChangeStatus struct {
	ID       int            `json:"id"`
	Ref      planner.Ref    `json:"ref"`
	Action   planner.Action `json:"action"`
	State    string         `json:"state"` // planned, started, done, failed
	Error    string         `json:"error,omitempty"`
	Started  time.Time      `json:"started,omitzero"`
	Finished time.Time      `json:"finished,omitzero"`
}

// ObjectStatus is the record of one object.
type ObjectStatus struct {
	Ref      planner.Ref   `json:"ref"`
	Owner    planner.Owner `json:"owner"`
	Hash     planner.Hash  `json:"hash"`     // of the content last applied
	Revision int64         `json:"revision"` // run that last touched it
	Commit   string        `json:"commit"`   // that made it so
	Dirty    string        `json:"dirty,omitempty"`
	Started  time.Time     `json:"started,omitzero"`
	Finished time.Time     `json:"finished,omitzero"`
	Error    string        `json:"error,omitempty"` // of the last change of it, while dirty
}
