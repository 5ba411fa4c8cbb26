package reconciler

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Reconciler makes commits of a Source true. Its fields are set once, before use.
type Reconciler struct {
	Source    Source
	Inventory Inventory
	Connect   Connect
	Policy    planner.Policy
	Holder    Holder
	Log       *slog.Logger

	Cache schema.Cache  // of parsed blobs; nil: none
	Memo  *planner.Memo // of the last plan; nil: every plan is a whole one

	Unchanged Unchanged // commits with nothing to do, known without looking; nil: none are

	Grace time.Duration // how long what runs may go on after a run's context is done; 0: executors.DefaultGrace

	drift   driftMemory
	granted granted
	aside   bool // it only wants to know: the Memo remembers nothing of it
}

// Connect opens the far side of a target that names a Docker engine or a node's agent. An executor that can be closed
// (io.Closer) is closed after use.
type Connect func(t planner.Target, s Session) (executors.Executor, error)

// Session is what far sides are told about who is calling.
type Session struct {
	Instance string
	Fence    int64               // number of the run; 0 for one that only looks
	Blobs    executors.Blobs     // files of the commit; nil for one that only looks
	Drift    *schema.DriftPolicy // what nodes do about drift from now on; nil: as before
}

// ImageResolver is the ability of a Docker executor to say which images its engine holds: ids by tag. Tags that it
// doesn't hold are missing in the answer.
type ImageResolver interface {
	ImageIDs(ctx context.Context, tags []string) (map[string]string, error)
}

// Plan loads a commit and plans it against the inventory. Bad input is a schema.Errors; a plan that must not be carried
// out is a refusal of the planner.
func (r *Reconciler) Plan(ctx context.Context, commit string) (planner.Plan, error) {
	tree, err := r.Source.Tree(ctx, commit)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	defer done(tree)
	return r.PlanTree(ctx, tree, commit)
}

// PlanTree plans a tree, which need not be committed: commit is "" then, and the plan can't be applied.
func (r *Reconciler) PlanTree(ctx context.Context, tree schema.Tree, commit string) (planner.Plan, error) {
	q, err := r.question(ctx, commit)
	if err != nil {
		return planner.Plan{}, err
	}
	if p, ok := r.answered(q); ok {
		return p, nil
	}
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read inventory: %w", err)
	}
	manifest, err := r.load(ctx, tree, live)
	if err != nil {
		return planner.Plan{}, err
	}
	manifest.Commit = commit
	r.drift.setPolicy(commit, policiesOf(manifest))
	if live, err = r.resolveImages(ctx, manifest, live); err != nil {
		return planner.Plan{}, err
	}
	p, err := r.plan(ctx, manifest, live)
	if err == nil {
		r.answer(q, live, p)
		p, err = r.adopt(ctx, tree, manifest, live, p)
	}
	return p, err
}

// newPlan is planner.New, with what is remembered of the last plan.
func (r *Reconciler) newPlan(m schema.Manifest, live planner.Live, p planner.Policy) (planner.Plan, error) {
	switch {
	case r.Memo == nil:
		return planner.New(m, live, p)
	case r.aside:
		return r.Memo.Ask(m, live, p)
	}
	return r.Memo.New(m, live, p)
}

// resolveImages asks the engines for the images that the inventory knows no id of. Those that no engine holds stay
// unresolved; the plan shows them and can't be applied.
func (r *Reconciler) resolveImages(ctx context.Context, m schema.Manifest, live planner.Live) (planner.Live, error) {
	var missing []string
	for _, p := range m.NodeProfiles {
		if live.Images[p.Image] == "" {
			missing = append(missing, p.Image)
		}
	}
	if len(missing) == 0 || r.Connect == nil {
		return live, nil
	}
	slices.Sort(missing)
	found, err := r.askImages(ctx, live.Instance, m.Hosts, slices.Compact(missing))
	if err != nil {
		return live, err
	}
	if len(found) == 0 {
		return live, nil
	}
	if err := r.Inventory.SetImages(ctx, found); err != nil {
		return live, fmt.Errorf("record image ids: %w", err)
	}
	return r.Inventory.Live(ctx)
}

// askImages asks every host's engine; an id must be the same wherever an image is held. A host that gives no answer is
// passed over: it must not keep the others from being planned.
func (r *Reconciler) askImages(ctx context.Context, instance string, hosts []schema.Host, tags []string) (map[string]string, error) {
	found := map[string]string{}
	for _, h := range hosts {
		if h.Lost {
			continue
		}
		ids, err := r.hostImages(ctx, planner.Target{Name: h.Name, Docker: &h.Docker}, instance, tags)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			r.Log.Warn("engine doesn't say which images it holds", "host", h.Name, "error", err)
			continue
		}
		for tag, id := range ids {
			if other, ok := found[tag]; ok && other != id {
				return nil, &PlanError{Err: fmt.Errorf("image %s is %.19s on one host and %.19s on %s; bring the same image to all hosts", tag, other, id, h.Name)}
			}
			found[tag] = id
		}
	}
	return found, nil
}

func (r *Reconciler) hostImages(ctx context.Context, t planner.Target, instance string, tags []string) (map[string]string, error) {
	far, err := r.Connect(t, Session{Instance: instance})
	if err != nil {
		return nil, err
	}
	defer done(far)
	resolver, ok := far.(ImageResolver)
	if !ok {
		return nil, nil
	}
	return resolver.ImageIDs(ctx, tags)
}
