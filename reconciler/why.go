package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hostctl/planner"
)

// Step is one object on the way of a name, with what is behind it.
type Step struct {
	Ref    planner.Ref   `json:"ref"`
	Owner  planner.Owner `json:"owner"` // with file and line
	Commit string        `json:"commit"`
	Health string        `json:"health"` // "ok", or what is wrong
	Depth  int           `json:"depth"`  // 0 for what was asked for; what it needs is one deeper

	Endpoint string `json:"endpoint,omitempty"` // host and port at which clients reach it, of what has one of its own
}

// Why follows a host name, or an object's reference, through all that it needs: routes and RRsets, backends, servers,
// virtual hosts, runtimes, files, users, nodes. An object is told once, where it is first met.
func Why(ctx context.Context, inv interface {
	Inventory
	Pager
}, name string) ([]Step, error) {
	live, err := inv.Live(ctx)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	w := trail{live: live, records: map[planner.Ref]ObjectStatus{}, seen: map[planner.Ref]bool{}}
	for _, ref := range roots(live, name) {
		w.follow(ref, 0)
	}
	refs := make([]planner.Ref, len(w.steps))
	for i, s := range w.steps {
		refs[i] = s.Ref
	}
	records, err := inv.ObjectsNamed(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	for _, r := range records {
		w.records[r.Ref] = r
	}
	for i, s := range w.steps {
		w.steps[i].Commit, w.steps[i].Health = w.records[s.Ref].Commit, w.health(s.Ref)
	}
	return w.steps, nil
}

// roots returns the objects that a name means, from the top of the ladder down.
func roots(live planner.Live, name string) []planner.Ref {
	if ref, err := planner.ParseRef(name); err == nil {
		if _, ok := live.State[ref]; ok {
			return []planner.Ref{ref}
		}
		return nil
	}
	host := strings.TrimSuffix(strings.ToLower(name), ".")
	var refs []planner.Ref
	for ref, o := range live.State {
		set, isRRset := o.(planner.RRset)
		if isRRset && set.FQDN == host || (ref.Kind == planner.KindRoute || ref.Kind == planner.KindCert) && ref.Name == host {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b planner.Ref) int { return b.Compare(a) })
	return refs
}

type trail struct {
	live    planner.Live
	records map[planner.Ref]ObjectStatus
	seen    map[planner.Ref]bool
	steps   []Step
}

func (w *trail) follow(ref planner.Ref, depth int) {
	o, ok := w.live.State[ref]
	if w.seen[ref] || !ok {
		return
	}
	w.seen[ref] = true
	w.steps = append(w.steps, Step{Ref: ref, Owner: o.Owner(), Depth: depth, Endpoint: planner.Endpoint(w.live.State, o)})
	needs := slices.Clone(o.Needs())
	slices.SortFunc(needs, func(a, b planner.Ref) int { return b.Compare(a) })
	for _, n := range needs {
		w.follow(n, depth+1)
	}
}

// health says what is wrong with an object, as far as the inventory knows.
func (w *trail) health(ref planner.Ref) string {
	if why, ok := w.live.Down[ref.Target]; ok {
		return "node " + ref.Target + " doesn't answer: " + why
	}
	if why, ok := w.live.Down[ref.Name]; ok && ref.Kind == planner.KindContainer {
		return "its agent doesn't answer: " + why
	}
	if r := w.records[ref]; r.Error != "" {
		return r.Error
	}
	if why, ok := w.live.Dirty[ref]; ok {
		return why.Text
	}
	return "ok"
}
