package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// DriftState is how what was found stands to what was applied.
type DriftState string

// The states.
const (
	DriftGone    DriftState = "gone"    // it isn't there, or not in a form that hostctl makes
	DriftDiffers DriftState = "differs" // Differences says in what
	DriftOrphan  DriftState = "orphan"  // nobody declared it; it is never deleted unless a zone's policy says so
)

// Finding is one object that isn't as it was applied.
type Finding struct {
	Ref         planner.Ref      `json:"ref"`
	State       DriftState       `json:"state"`
	Mode        schema.DriftMode `json:"mode"`                  // what becomes of it; an orphan is deleted or reported
	Owner       planner.Owner    `json:"owner,omitzero"`        // of what was applied, with file and line
	Differences []string         `json:"differences,omitempty"` // applied → found, a line for each field
	Applied     json.RawMessage  `json:"applied,omitempty"`     // planner.Encode; missing for an orphan
	Found       json.RawMessage  `json:"found,omitempty"`       // planner.Encode; missing where it is gone
	Fighting    *Fight           `json:"fighting,omitempty"`    // it is no longer corrected

	declared  planner.Hash   // of what was applied
	unmanaged *planner.RRset // of an orphan that is to be deleted, as the inventory is to have it
	planned   bool           // the inventory has it already
	anew      bool           // it differs in what only a new one hasn't
}

// Fight is drift that came back each time it was corrected: somebody else wants another content.
type Fight struct {
	Since time.Time `json:"since"` // the correction that was the last one
	Times int       `json:"times"` // it was corrected within FightWindow
}

// Drift is what a look at all far sides has found.
type Drift struct {
	Looked  time.Time         `json:"looked,omitzero"`
	Commit  string            `json:"commit,omitempty"` // whose drift policy holds: the one that was tried last
	Objects int               `json:"objects"`          // how many were compared
	Found   []Finding         `json:"found"`            // by reference
	Unread  map[string]string `json:"unread,omitempty"` // targets that couldn't be observed, and why: nothing is known of them

	run int64 // that was the latest when it was looked

	zonesSeen []string // targets whose RRsets could be read
	recorded  bool     // the inventory holds RRsets that nobody declares
}

// DriftSummary is a Drift in numbers.
type DriftSummary struct {
	Looked   time.Time     `json:"looked,omitzero"`
	Differs  int           `json:"differs"` // objects that are gone or differ
	Orphans  int           `json:"orphans"`
	Unread   int           `json:"unread"`             // targets that couldn't be observed
	Fighting []planner.Ref `json:"fighting,omitempty"` // objects that are no longer corrected
}

// Summary returns a Drift in numbers.
func (d Drift) Summary() DriftSummary {
	s := DriftSummary{Looked: d.Looked, Unread: len(d.Unread)}
	for _, f := range d.Found {
		if f.State == DriftOrphan {
			s.Orphans++
		} else {
			s.Differs++
		}
		if f.Fighting != nil {
			s.Fighting = append(s.Fighting, f.Ref)
		}
	}
	return s
}

// finding tells of an object that was applied and is gone, differs, or is an orphan; have or found is nil.
func finding(have, found planner.Object, mode schema.DriftMode) Finding {
	switch {
	case have == nil:
		return Finding{Ref: found.Ref(), State: DriftOrphan, Mode: schema.DriftReport, Found: planner.Encode(found)}
	case found == nil:
		return Finding{Ref: have.Ref(), State: DriftGone, Mode: mode, Owner: have.Owner(), Applied: planner.Encode(have), declared: planner.HashOf(have)}
	}
	return Finding{
		Ref: have.Ref(), State: DriftDiffers, Mode: mode, Owner: have.Owner(), Applied: planner.Encode(have), Found: planner.Encode(found),
		declared: planner.HashOf(have), anew: !planner.InPlace(found, have), Differences: planner.Differences(planner.Change{Old: have, New: found}),
	}
}

// policies returns what a commit says of drift. One that was planned by this process is remembered; where there is no
// repository or no commit yet, all is corrected.
func (r *Reconciler) policies(ctx context.Context, live planner.Live, commit string) (policies, error) {
	if r.Source == nil || commit == "" {
		return policies{}, nil
	}
	if p, ok := r.drift.policy(commit); ok {
		return p, nil
	}
	tree, err := r.Source.Tree(ctx, commit)
	if err != nil {
		return policies{}, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	defer done(tree)
	m, err := r.load(ctx, tree, live)
	if err != nil {
		return policies{}, fmt.Errorf("load commit %s: %w", short(commit), err)
	}
	p := policiesOf(m)
	r.drift.setPolicy(commit, p)
	return p, nil
}

// ordersOf returns what nodes are told to do about drift by a run for a commit. Where that can't be read they go on as
// before.
func (r *Reconciler) ordersOf(ctx context.Context, commit string) *schema.DriftPolicy {
	p, ok := r.drift.policy(commit)
	if !ok { // a saved plan, of another process
		live, err := r.Inventory.Live(ctx)
		if err == nil {
			p, err = r.policies(ctx, live, commit)
		}
		if err != nil {
			r.Log.Warn("nodes aren't told what becomes of drift", "commit", short(commit), "error", err)
			return nil
		}
	}
	return &p.drift
}

// corrected reports whether a finding is one that the next plan is to put right.
func (f Finding) corrected() bool {
	return f.Mode == schema.DriftCorrect && f.Fighting == nil
}
