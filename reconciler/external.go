package reconciler

import (
	"context"
	"fmt"
	"slices"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// looking is a session that only looks. The keys of far sides that hostctl hasn't made stand in the repository: where there
// is none they can't be looked at.
func (r *Reconciler) looking(ctx context.Context, instance, commit string, targets []planner.Target) (s Session, close func()) {
	s = Session{Instance: instance}
	external := slices.ContainsFunc(targets, func(t planner.Target) bool { return t.PowerDNS != nil })
	if !external || r.Source == nil || commit == "" {
		return s, func() {}
	}
	tree, err := r.Source.Tree(ctx, commit)
	if err != nil {
		r.Log.Warn("keys can't be read", "commit", short(commit), "error", err)
		return s, func() {}
	}
	s.Blobs = tree
	return s, func() { done(tree) }
}

// adopt plans once more where the plan makes something on far sides that hostctl hasn't made, and it is there already: now
// with what they hold.
func (r *Reconciler) adopt(ctx context.Context, tree schema.Tree, m schema.Manifest, live planner.Live, p planner.Plan) (planner.Plan, error) {
	there := planner.State{}
	var notes []string
	for _, t := range p.Targets {
		refs := createdAt(p, t)
		if len(refs) == 0 || r.Connect == nil {
			continue
		}
		found, err := r.askPresent(ctx, t, Session{Instance: live.Instance, Blobs: tree}, refs)
		switch {
		case ctx.Err() != nil:
			return p, ctx.Err()
		case err != nil: // then nothing can be made there either; what is there stays as it is
			notes = append(notes, fmt.Sprintf("%s can't be asked whether it has any of these %s already: %s", t.Name, what(t), err))
			continue
		}
		for ref, o := range found {
			if adopts(t) {
				there[ref] = o
			} else if note := isTaken(t, ref); note != "" {
				notes = append(notes, note)
			}
		}
	}
	if len(there) > 0 {
		live.There = there
		var err error
		if p, err = r.planBy(ctx, planner.New, m, live); err != nil {
			return p, err
		}
	}
	p.Notes = slices.Concat(p.Notes, notes)
	slices.Sort(p.Notes)
	return p, nil
}

func adopts(t planner.Target) bool {
	return t.PowerDNS != nil && t.PowerDNS.Adopt || t.HAProxy != nil && t.HAProxy.Adopt
}

func what(t planner.Target) string {
	if t.HAProxy != nil {
		return "host names and servers"
	}
	return "zones"
}

// isTaken says of something that is there already why its changes will fail.
func isTaken(t planner.Target, ref planner.Ref) string {
	const text = "%s %s is at %s already, and isn't ours: it stays as it is, and its changes will fail; adopt: true in infrastructure.%s.external of the Cluster takes it over"
	switch {
	case t.HAProxy != nil:
		return fmt.Sprintf(text, ref.Kind, ref.Name, t.HAProxy.Map, "haproxy")
	case ref.Kind == planner.KindZone:
		return fmt.Sprintf(text, ref.Kind, ref.Name, t.PowerDNS.URL, "powerdns")
	}
	return ""
}

// createdAt returns what a plan makes that may be there on a far side that hostctl hasn't made: routes and servers, and what
// is in new zones.
func createdAt(p planner.Plan, t planner.Target) []planner.Ref {
	switch {
	case t.HAProxy != nil:
		return routed(p, t)
	case t.PowerDNS == nil:
		return nil
	}
	zones := map[string]bool{}
	var refs []planner.Ref
	for _, c := range p.Changes {
		if ref := c.Ref(); c.Action == planner.Create && ref.Target == t.Name && ref.Kind == planner.KindZone {
			zones[ref.Name] = true
			refs = append(refs, ref)
		}
	}
	for _, c := range p.Changes {
		if set, ok := c.New.(planner.RRset); ok && c.Action == planner.Create && set.Target == t.Name && zones[set.Zone] {
			refs = append(refs, set.Ref())
		}
	}
	return refs
}

// routed returns the routes and servers that a plan makes.
func routed(p planner.Plan, t planner.Target) []planner.Ref {
	var refs []planner.Ref
	for _, c := range p.Changes {
		if ref := c.Ref(); c.Action == planner.Create && ref.Target == t.Name && (ref.Kind == planner.KindRoute || ref.Kind == planner.KindServer) {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (r *Reconciler) askPresent(ctx context.Context, t planner.Target, s Session, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	far, err := r.Connect(t, s)
	if err != nil {
		return nil, err
	}
	defer done(far)
	reader, ok := far.(executors.Reader)
	if !ok {
		return nil, nil
	}
	return reader.Present(ctx, refs)
}
