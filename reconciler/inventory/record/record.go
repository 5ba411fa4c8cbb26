// Package record is what the inventory's two stores share: what makes a change fit what is recorded, what a reader
// remembers of the objects, and the portable form of a whole inventory. It knows no SQL; each store has its own.
package record

import (
	"errors"
	"fmt"

	"hostctl/executors"
	"hostctl/planner"
)

// ErrLost says that a run no longer holds the lock: its lease was over and another run took it, or it has ended.
var ErrLost = errors.New("the run no longer holds the lock; what it did not finish is planned again")

// ErrNoPlan says that the inventory doesn't hold a plan, or not any more.
var ErrNoPlan = errors.New("no such plan; 'hostctl history' lists runs and their plans")

// ErrNotEmpty says that an inventory holds something already, so that no other one can be put in its place.
var ErrNotEmpty = errors.New("it is not empty; name a new file or an empty database")

// How much of the past is kept, in runs: enough to ask what happened, and no more than a disk can hold. Runs themselves
// are kept for good.
const (
	PlansKept    = 100
	JournalsKept = 1_000
)

// RemovalsKept is for how many versions of the inventory it is known what was removed. A reader whose last look was
// before that reads everything again.
const RemovalsKept = 100_000

// Found is what is known of an object when a change of it starts.
type Found struct {
	Hash planner.Hash // of the content last applied
	Gone bool
}

// Compare checks that each object is what its change starts from; found has them by reference. What doesn't fit is an
// *executors.Error of kind Conflict
// around an *executors.ConflictError.
func Compare(found map[string]Found, cs []planner.Change) error {
	var bad []executors.Changed
	for _, c := range cs {
		if f := found[c.Ref().String()]; !f.fits(c) {
			if f.Gone {
				f.Hash = ""
			}
			bad = append(bad, executors.Changed{Ref: c.Ref(), Expected: c.Expect, Found: f.Hash})
		}
	}
	if len(bad) > 0 {
		return &executors.Error{Kind: executors.Conflict, Err: &executors.ConflictError{Objects: bad}}
	}
	return nil
}

// fits reports whether a change may start from what was found. What is gone is nothing; to delete it is as good as done,
// whatever it was.
func (f Found) fits(c planner.Change) bool {
	if c.Adopt && (f.Hash == "" || f.Gone) {
		return true // what is there was nobody's: the far side compares it
	}
	if f.Gone {
		return c.Expect == "" || c.Action == planner.Delete && c.Expect == f.Hash
	}
	return c.Expect == f.Hash
}

// LeftAlone ends the reason of an object that a change was refused for, because it had drifted.
const LeftAlone = "was refused, and the object left as it was found"

// Dirty says why an object is dirty after a change of it that failed.
func Dirty(c planner.Change, run int64, err error) string {
	if executors.KindOf(err) == executors.Drifted {
		return fmt.Sprintf("%s of run %d %s", c.Action, run, LeftAlone)
	}
	return fmt.Sprintf("%s of run %d failed", c.Action, run)
}

// Split parts the changes of a batch that went well from those that did not, with their errors.
func Split(cs []planner.Change, errs []error) (good, bad []planner.Change, failures []error) {
	for i, c := range cs {
		if errs[i] == nil {
			good = append(good, c)
			continue
		}
		bad, failures = append(bad, c), append(failures, errs[i])
	}
	return good, bad, failures
}

// InsideKinds are the kinds of planner.InContainer.
var InsideKinds = []planner.Kind{
	planner.KindSecret, planner.KindUser, planner.KindRuntime, planner.KindVhost, planner.KindCron, planner.KindCert, planner.KindBackend, planner.KindServer, planner.KindRoute,
}

// EmptiesContainer reports whether nothing in a container's filesystem outlives a change.
func EmptiesContainer(c planner.Change) bool {
	return c.Ref().Kind == planner.KindContainer && c.Action != planner.Update
}

// Stored is what goes with a volume: objects of some kinds on a target.
type Stored struct {
	Volume planner.Ref
	Target string
	Kinds  []planner.Kind
}

// EmptiesVolumes returns what goes with the volumes that changes delete.
func EmptiesVolumes(cs []planner.Change) []Stored {
	var all []Stored
	for _, c := range cs {
		if c.Ref().Kind != planner.KindVolume || c.New != nil {
			continue
		}
		if target, kinds := planner.StoredOn(c.Ref()); target != "" {
			all = append(all, Stored{c.Ref(), target, kinds})
		}
	}
	return all
}
