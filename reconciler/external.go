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

// adopt plans once more where the plan makes something that is there already: now with what the far sides hold. Those that
// hostctl hasn't made are asked for all of it, name servers of its own for the zones that are declared to be taken over.
func (r *Reconciler) adopt(ctx context.Context, tree schema.Tree, m schema.Manifest, live planner.Live, p planner.Plan) (planner.Plan, error) {
	there, zones := planner.State{}, zonesToAdopt(m)
	var notes []string
	for _, t := range p.Targets {
		refs := createdAt(p, t, live, zones)
		if len(refs) == 0 || r.Connect == nil {
			continue
		}
		found, err := r.held(ctx, t, tree, live, refs)
		switch {
		case ctx.Err() != nil:
			return p, ctx.Err()
		case err != nil: // then nothing can be made there either; what is there stays as it is
			notes = append(notes, fmt.Sprintf("%s can't be asked whether it has any of these %s already: %s", t.Name, what(t), err))
			continue
		}
		for ref, o := range found {
			if adopts(t) || zones[zoneOf(o)] {
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
	const text = "%s %s is at %s already, and isn't ours: it stays as it is, and its changes will fail; adopt: true in infrastructure.%s.external of the Cluster takes it over%s"
	switch {
	case t.HAProxy != nil:
		return fmt.Sprintf(text, ref.Kind, ref.Name, t.HAProxy.Map, "haproxy", "")
	case ref.Kind == planner.KindZone:
		return fmt.Sprintf(text, ref.Kind, ref.Name, t.PowerDNS.URL, "powerdns", ", and metadata.adopt: true in the Zone that zone alone")
	}
	return ""
}

// createdAt returns what a plan makes that may be there already: routes and servers of an HAProxy that hostctl hasn't made, and
// zones with what is in them. On name servers of our own it is only zones that are to be taken over, and none where these are
// made with the plan.
func createdAt(p planner.Plan, t planner.Target, live planner.Live, wanted map[string]bool) []planner.Ref {
	known := slices.ContainsFunc(live.Targets, func(l planner.Target) bool { return l.Name == t.Name })
	switch {
	case t.HAProxy != nil:
		return routed(p, t)
	case t.PowerDNS == nil && (len(wanted) == 0 || !known):
		return nil
	}
	zones := map[string]bool{}
	var refs []planner.Ref
	for _, c := range p.Changes {
		if ref := c.Ref(); c.Action == planner.Create && ref.Target == t.Name && ref.Kind == planner.KindZone && (t.PowerDNS != nil || wanted[ref.Name]) {
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

// zonesToAdopt returns the domains of zones that are declared to be taken over.
func zonesToAdopt(m schema.Manifest) map[string]bool {
	wanted := map[string]bool{}
	for _, z := range m.Zones {
		if z.Adopt {
			wanted[z.Domain] = true
		}
	}
	return wanted
}

// zoneOf returns the domain of the zone that an object is, or is in; "" for what is neither.
func zoneOf(o planner.Object) string {
	switch o := o.(type) {
	case planner.Zone:
		return o.Name
	case planner.RRset:
		return o.Zone
	}
	return ""
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

// held reads what a far side holds of some objects: of name servers of our own the first that answers.
func (r *Reconciler) held(ctx context.Context, t planner.Target, tree schema.Tree, live planner.Live, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	if len(t.AnyOf) > 0 {
		return r.presentAt(ctx, live, t.Name, refs)
	}
	return r.askPresent(ctx, t, Session{Instance: live.Instance, Blobs: tree}, refs)
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
