package reconciler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"hostctl/planner"
)

// Stamp tells one state of the inventory from every other.
type Stamp struct {
	Instance, Version string        // as Live has them
	Due               []planner.Ref // as Live has them: they come with time, whatever the version is
}

// Stamper is the ability of an inventory to tell whether Live would return what it returned before, without reading the
// objects: for the same Stamp, Live returns the same.
type Stamper interface {
	Stamp(ctx context.Context) (Stamp, error)
}

// Unchanged remembers between processes for what there was nothing to do. The planner is pure, so the same commit and the
// same inventory get the same plan again, and nothing needs to be read to know it. What is kept may be lost at any time.
type Unchanged interface {
	// Get returns what was put for a key, nil if that isn't known.
	Get(key string) []byte
	Put(key string, plan []byte)
}

// question is what a plan answers.
type question struct {
	stamp Stamp
	key   string // "" where the answer can't be remembered
}

// question returns what there is to plan. A tree that isn't a commit's has no name to remember it by.
func (r *Reconciler) question(ctx context.Context, commit string) (question, error) {
	inventory, ok := r.Inventory.(Stamper)
	if !ok || r.Unchanged == nil || commit == "" {
		return question{}, nil
	}
	stamp, err := inventory.Stamp(ctx)
	if err != nil {
		return question{}, fmt.Errorf("read inventory: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q", commit, stamp.Instance, stamp.Version, stamp.Due, r.Policy.AgentBinary, r.Policy.AllowDestroy))
	return question{stamp: stamp, key: hex.EncodeToString(sum[:])}, nil
}

// answered returns the plan of nothing to do that was made before. What can't be read is as good as unknown.
func (r *Reconciler) answered(q question) (planner.Plan, bool) {
	if q.key == "" {
		return planner.Plan{}, false
	}
	saved := r.Unchanged.Get(q.key)
	if saved == nil {
		return planner.Plan{}, false
	}
	p, err := planner.DecodePlan(saved)
	return p, err == nil && p.Empty() && p.Instance == q.stamp.Instance && p.Base == q.stamp.Version
}

// answer remembers a plan of nothing to do, unless the inventory has moved on since the question was asked.
func (r *Reconciler) answer(q question, live planner.Live, p planner.Plan) {
	if q.key == "" || !p.Empty() || live.Instance != q.stamp.Instance || live.Version != q.stamp.Version || !slices.Equal(live.Due, q.stamp.Due) {
		return
	}
	if saved, err := planner.EncodePlan(p); err == nil {
		r.Unchanged.Put(q.key, saved)
	}
}
