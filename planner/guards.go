package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hostctl/schema"
)

// Refusal is one thing that a guard doesn't let happen.
type Refusal struct {
	Owner string `json:"owner,omitempty"` // the resource that it is about, as Owner.ID names it; "" for the whole plan
	Text  string `json:"text"`            // what, and the way out
	Refs  []Ref  `json:"refs,omitempty"`  // the objects that would be lost
}

// RefusedError is every refusal of a plan, sorted by owner.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	lines := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		lines[i] = r.Text
	}
	return "plan refused: " + strings.Join(lines, "; ")
}

// guardInput refuses to plan from a manifest that can't be meant.
func guardInput(m schema.Manifest, live Live) error {
	if len(live.State) == 0 || !declaresNothing(m) {
		return nil
	}
	return &RefusedError{Refusals: []Refusal{{
		Text: fmt.Sprintf("the repository declares nothing, and %d objects are live: an empty source is never read as \"delete everything\"; check the path and the commit", len(live.State)),
	}}}
}

func declaresNothing(m schema.Manifest) bool {
	return len(m.Clusters)+len(m.Hosts)+len(m.Shards)+len(m.Tenants)+len(m.Webroots)+len(m.FQDNs)+len(m.Zones)+len(m.Records) == 0
}

// guard looks at a plan and says what must not happen.
type guard func(m schema.Manifest, live Live, p Plan) []Refusal

var guards = []guard{guardProtected}

func guardPlan(m schema.Manifest, live Live, p Plan) error {
	var all []Refusal
	for _, g := range guards {
		all = append(all, g(m, live, p)...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Text, b.Text))
	})
	return &RefusedError{Refusals: all}
}

// guardProtected refuses deletes and replacements of what a protected resource has made.
func guardProtected(m schema.Manifest, live Live, p Plan) []Refusal {
	protected := protectedOwners(m, live)
	lost := map[string][]Ref{}
	for _, c := range p.Changes {
		if c.Old == nil || c.Action != Delete && c.Action != Replace {
			continue
		}
		if id := c.Old.Owner().ID(); protected[id] {
			lost[id] = append(lost[id], c.Ref())
		}
	}
	var out []Refusal
	for id, refs := range lost {
		out = append(out, Refusal{Owner: id, Refs: refs, Text: fmt.Sprintf(
			"%s is protected, and the plan would delete or replace %s; set protected: false in a commit of its own first", id, some(refs))})
	}
	return out
}

// protectedOwners returns who is protected: as the manifest says, and for what it doesn't declare any more, as the last
// applied commit said.
func protectedOwners(m schema.Manifest, live Live) map[string]bool {
	protected := map[string]bool{}
	for _, id := range live.Protected {
		protected[id] = true
	}
	eachMeta(m, func(meta schema.Meta) {
		switch id := ownerOf(meta).ID(); {
		case meta.Protected:
			protected[id] = true
		case len(live.Protected) > 0:
			delete(protected, id)
		}
	})
	return protected
}

// Protected returns the owners that a manifest protects, sorted: what Live.Protected is once it was applied.
func Protected(m schema.Manifest) []string {
	var ids []string
	eachMeta(m, func(meta schema.Meta) {
		if meta.Protected {
			ids = append(ids, ownerOf(meta).ID())
		}
	})
	slices.Sort(ids)
	return ids
}

// eachMeta calls fn for every resource that objects are lowered from.
func eachMeta(m schema.Manifest, fn func(schema.Meta)) {
	for i := range m.Clusters {
		fn(m.Clusters[i].Meta)
	}
	for i := range m.Shards {
		fn(m.Shards[i].Meta)
	}
	for i := range m.Tenants {
		meta := m.Tenants[i].Meta
		meta.Tenant = meta.Name
		fn(meta)
	}
	for i := range m.Webroots {
		fn(m.Webroots[i].Meta)
	}
	for i := range m.FQDNs {
		fn(m.FQDNs[i].Meta)
	}
	for i := range m.Zones {
		fn(m.Zones[i].Meta)
	}
	for i := range m.Records {
		fn(m.Records[i].Meta)
	}
}

// some names the first references of many.
func some(refs []Ref) string {
	const most = 5
	var names []string
	for _, r := range refs[:min(most, len(refs))] {
		names = append(names, r.String())
	}
	if len(refs) > most {
		names = append(names, fmt.Sprintf("and %d more", len(refs)-most))
	}
	return strings.Join(names, ", ")
}
