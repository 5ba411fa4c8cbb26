package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// inspectRuns is how many of the newest runs a Loop's janitor looks at. Those before were looked at when they were new.
const inspectRuns = 20

// Impossible returns what the records of an inventory say that can't be, a line each: a run or an object that lacks its
// revision, start or deadline, one that is final and has no end, one that has ended before it began, one that is under way
// and belongs to no run that is. It reads the newest runs, at most that many, with their journals, and all objects; the
// inventory should not be written to meanwhile.
func Impossible(ctx context.Context, inv Inventory, runs int) ([]string, error) {
	newest, err := inv.Runs(ctx, runs)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	var found []string
	under := int64(0) // the run that is under way
	for i, r := range newest {
		found = append(found, impossibleRun(r, newest[0])...)
		if r.State == Running && i == 0 {
			under = r.ID
		}
		changes, err := inv.Changes(ctx, r.ID)
		if err != nil {
			return nil, fmt.Errorf("read the changes of run %d: %w", r.ID, err)
		}
		found = append(found, impossibleChanges(r, changes)...)
	}
	objects, err := inv.Objects(ctx)
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	for _, o := range objects {
		if why := impossibleObject(o, under); why != "" {
			found = append(found, fmt.Sprintf("%s of run %d, dirty %q: %s", o.Ref, o.Revision, o.Dirty, why))
		}
	}
	return found, nil
}

func impossibleRun(r, newest Run) (found []string) {
	say := func(why string) { found = append(found, fmt.Sprintf("run %d, %s: %s", r.ID, r.State, why)) }
	if !slices.Contains([]RunState{Running, Succeeded, Failed, Interrupted}, r.State) {
		say("no such state")
	}
	if r.ID == 0 || r.Started.IsZero() || r.Deadline.IsZero() || r.Holder == "" || r.Plan == "" {
		say("lacks its number, start, deadline, holder or plan")
	}
	if r.Commit == "" && r.State != Interrupted { // what was lost with an inventory that was made again stands for one such run
		say("lacks its commit")
	}
	if (r.State == Running) != r.Finished.IsZero() {
		say("is final without an end, or not final with one")
	}
	if !r.Finished.IsZero() && r.Finished.Before(r.Started) {
		say("ended before it began")
	}
	if r.State == Running && r.ID != newest.ID {
		say(fmt.Sprintf("is under way though run %d is newer", newest.ID))
	}
	return found
}

func impossibleChanges(r Run, changes []ChangeStatus) (found []string) {
	count := map[string]int{}
	for _, c := range changes {
		count[c.State]++
		if !possibleChange(r, c) {
			found = append(found, fmt.Sprintf("run %d, %s: its change %d of %s is %s, from %s to %s, with error %q",
				r.ID, r.State, c.ID, c.Ref, c.State, c.Started, c.Finished, c.Error))
		}
	}
	if len(changes) != r.Changes || count["done"] != r.Done || count["failed"] != r.Failed {
		found = append(found, fmt.Sprintf("run %d, %s: counts %d changes, %d done and %d failed; its journal has %d: %v",
			r.ID, r.State, r.Changes, r.Done, r.Failed, len(changes), count))
	}
	if r.State == Succeeded && r.Done != r.Changes {
		found = append(found, fmt.Sprintf("run %d succeeded with %d of %d changes done", r.ID, r.Done, r.Changes))
	}
	return found
}

// possibleChange reports whether a change can stand as it does in the journal of a run.
func possibleChange(r Run, c ChangeStatus) bool {
	begun, ended := !c.Started.IsZero(), !c.Finished.IsZero()
	if begun && ended && c.Finished.Before(c.Started) {
		return false
	}
	switch c.State {
	case "planned":
		return !begun && !ended && c.Error == ""
	case "started":
		return begun && !ended && c.Error == "" && r.State == Running
	case "done":
		return begun && ended && c.Error == ""
	case "failed":
		return begun && ended && c.Error != ""
	}
	return false
}

// impossibleObject says why the record of an object can't be; under is the run that is under way, 0 for none.
func impossibleObject(o ObjectStatus, under int64) string {
	switch {
	case o.Revision == 0 || o.Started.IsZero():
		return "has no revision or no start"
	case o.Finished.IsZero() && (o.Revision != under || o.Dirty == ""):
		return "is clean, or in no run that is under way, and has no end"
	case o.Dirty == "" && (o.Hash == "" || o.Commit == "" || o.Error != ""):
		return "is clean and has no content, no commit, or an error"
	case !o.Finished.IsZero() && o.Finished.Before(o.Started):
		return "ended before it began"
	}
	return ""
}

// inspect is Impossible at a moment when no run is under way; ErrBusy where one is, or was meanwhile.
func (r *Reconciler) inspect(ctx context.Context) ([]string, error) {
	before, err := r.latest(ctx)
	if err != nil {
		return nil, err
	}
	if running(before) {
		return nil, ErrBusy
	}
	found, err := Impossible(ctx, r.Inventory, inspectRuns)
	if err != nil {
		return nil, err
	}
	if after, err := r.latest(ctx); err != nil || after.ID != before.ID || after.State != before.State {
		return nil, ErrBusy
	}
	return found, nil
}

// inspect is the janitor: states that can't be are found and said. They are left as they are, for nobody knows what they
// mean.
func (l *Loop) inspect(ctx context.Context) {
	found, err := l.Reconciler.inspect(ctx)
	if err != nil {
		return // the next look is soon
	}
	was := l.Status().Impossible
	l.setStatus(func(s *Status) { s.Impossible = found })
	if len(found) > 0 && !slices.Equal(was, found) {
		l.Reconciler.Log.Error("the inventory holds what can't be; keep a backup of it ('hostctl inventory backup') and tell the makers", "found", strings.Join(found, "\n"))
	}
}
