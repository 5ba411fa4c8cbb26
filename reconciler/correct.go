package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// The reasons that the inventory notes of drift.
const (
	whyGone    = "not there any more, or not as hostctl makes it"
	whyDiffers = "differs from what was applied"
	whyAltered = "differs in what can't be changed while it runs"
)

// correct marks what an Observe has found, as far as its policy says so and nobody fights over it: the next plan puts it
// right. It reports whether it marked anything. Nothing is marked where a run was begun since. The fights over what was
// found are noted in d.
func (r *Reconciler) correct(ctx context.Context, d *Drift) (moved bool, err error) {
	latest, err := r.latest(ctx)
	if err != nil || latest.ID != d.run || running(latest) {
		return false, err
	}
	now := time.Now()
	if err := r.settleFights(ctx, now); err != nil {
		return false, err
	}
	var gone, altered, differs []Finding
	for i := range d.Found {
		f := &d.Found[i]
		f.Fighting = nil
		if f.corrected() && !f.planned {
			f.Fighting = r.fightOver(*f, now)
		}
		switch {
		case !f.corrected():
		case f.State == DriftOrphan:
			r.noteOrphan(*f, now)
		case f.State == DriftGone:
			gone = append(gone, *f)
		case f.anew:
			altered = append(altered, *f)
		default:
			differs = append(differs, *f)
		}
	}
	g, err := r.mark(ctx, r.Inventory.Gone, gone, whyGone, now)
	if err != nil {
		return false, err
	}
	a, err := r.mark(ctx, r.Inventory.Gone, altered, whyAltered, now)
	if err != nil {
		return false, err
	}
	n, err := r.mark(ctx, r.Inventory.Drifted, differs, whyDiffers, now)
	if err != nil {
		return false, err
	}
	unmanaged, err := r.planUnmanaged(ctx, d)
	return g+a+n > 0 || unmanaged, err
}

// noteOrphan notes that what nobody declares is about to be deleted.
func (r *Reconciler) noteOrphan(f Finding, now time.Time) {
	if f.planned {
		return
	}
	r.drift.correct(f.Ref, f.declared, now)
	r.Log.Info("drift", "ref", f.Ref.String(), "found", string(f.State))
}

// mark marks findings in the inventory and notes that they are corrected.
func (r *Reconciler) mark(ctx context.Context, as func(context.Context, []planner.Ref, string) (int, error), found []Finding, why string, now time.Time) (int, error) {
	if len(found) == 0 {
		return 0, nil
	}
	refs := make([]planner.Ref, len(found))
	for i, f := range found {
		refs[i] = f.Ref
	}
	n, err := as(ctx, refs, why)
	if err != nil {
		return 0, fmt.Errorf("record drift: %w", err)
	}
	for _, f := range found {
		if f.foughtOver() {
			r.drift.correct(f.Ref, f.declared, now)
		}
		r.Log.Info("drift", "ref", f.Ref.String(), "found", string(f.State), "differences", strings.Join(f.Differences, "; "))
	}
	return n, nil
}

// foughtOver reports whether the finding is of a kind of drift that somebody brings about: a container that stops, and
// what else of an engine is gone, is made again each time.
func (f Finding) foughtOver() bool { return f.State == DriftDiffers || !engineHolds(f.Ref.Kind) }

// fightOver returns the fight over what was found, nil where there is none. One that begins is told.
func (r *Reconciler) fightOver(f Finding, now time.Time) *Fight {
	if !f.foughtOver() {
		return nil
	}
	fight, begins := r.drift.fight(f.Ref, f.declared, now)
	if begins {
		found := string(f.Found)
		if found == "" {
			found = "nothing that hostctl knows"
		}
		r.Log.Warn("drift fight: somebody undoes each correction, so there are no more until the declaration changes or 'hostctl converge' asks for it",
			"ref", f.Ref.String(), "corrections", fight.Times, "declared", string(f.Applied), "found", found)
	}
	return fight
}

// settleFights ends the fights over what a run has touched since they began.
func (r *Reconciler) settleFights(ctx context.Context, now time.Time) error {
	var revisions map[planner.Ref]int64
	if r.drift.fighting() {
		objects, err := r.Inventory.Objects(ctx)
		if err != nil {
			return fmt.Errorf("read inventory: %w", err)
		}
		revisions = make(map[planner.Ref]int64, len(objects))
		for _, o := range objects {
			revisions[o.Ref] = o.Revision
		}
	}
	r.drift.settle(revisions, now)
	return nil
}

// correctable leaves of what was found on engines what the drift policy of a commit wants corrected, and nobody fights
// over. Where the policy can't be read nothing is corrected.
func (r *Reconciler) correctable(ctx context.Context, live planner.Live, commit string, found []difference) []difference {
	p, err := r.policies(ctx, live, commit)
	if err != nil {
		r.Log.Warn("drift isn't corrected: its policy can't be read", "commit", short(commit), "error", err)
		return nil
	}
	policy, now := p.drift, time.Now()
	for i, d := range found {
		found[i].missing = slices.DeleteFunc(d.missing, func(ref planner.Ref) bool { return policy.Of(string(ref.Kind)) != schema.DriftCorrect })
		left := func(ref planner.Ref) bool {
			hash := planner.HashOf(live.State[ref])
			return policy.Of(string(ref.Kind)) != schema.DriftCorrect || !r.mayCorrect(ref, hash, now)
		}
		found[i].differing = slices.DeleteFunc(d.differing, left)
		found[i].altered = slices.DeleteFunc(d.altered, left)
	}
	return found
}

// mayCorrect notes a correction of what differs on an engine, unless it is fought over.
func (r *Reconciler) mayCorrect(ref planner.Ref, declared planner.Hash, now time.Time) bool {
	fight, begins := r.drift.fight(ref, declared, now)
	if begins {
		r.Log.Warn("drift fight: somebody undoes each correction", "ref", ref.String(), "corrections", fight.Times)
	}
	if fight == nil {
		r.drift.correct(ref, declared, now)
	}
	return fight == nil
}
