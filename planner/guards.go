package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/schema"
)

// Refusal is one thing that a guard doesn't let happen.
type Refusal struct {
	Owner string   `json:"owner,omitempty"` // the resource that it is about, as Owner.ID names it; "" for the whole plan
	Text  string   `json:"text"`            // what, and the way out
	Allow string   `json:"allow,omitempty"` // what Allow-Destroy has to name; "" where nothing allows it
	Refs  []Ref    `json:"refs,omitempty"`  // the objects that would be lost
	Lines []string `json:"lines,omitempty"` // them, folded for people
}

// Trailer is the line that allows what is refused, at the end of a commit message.
const Trailer = "Allow-Destroy"

// String is what would be lost, then why that is refused, then what allows it.
func (r Refusal) String() string {
	var b strings.Builder
	for _, l := range r.Lines {
		b.WriteString(l + "\n")
	}
	b.WriteString(r.Text)
	if r.Allow != "" {
		fmt.Fprintf(&b, "\nIf that is meant, end the commit message with this line, or plan with --allow-destroy '%s':\n%s: %s", r.Allow, Trailer, r.Allow)
	}
	return b.String()
}

// RefusedError is every refusal of a plan, sorted by owner.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	parts := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		parts[i] = r.String()
	}
	return "plan refused:\n" + strings.Join(parts, "\n\n")
}

// guardInput refuses to plan from a manifest that can't be meant: one that declares nothing, while something serves. Who
// takes the last cluster away says so by its name.
func guardInput(m schema.Manifest, live Live, p Policy) error {
	if len(live.State) == 0 || !declaresNothing(m) {
		return nil
	}
	clusters := map[string]bool{}
	serving := 0
	for _, o := range live.State {
		if !active(o) {
			continue
		}
		serving++
		if owner := o.Owner(); owner.Kind == string(schema.KindCluster) {
			clusters[owner.Name] = true
		}
	}
	if serving == 0 || len(clusters) > 0 && allAllowed(sortedKeys(clusters), slices.Concat(p.AllowDestroy, live.Memory.Allowed)) {
		return nil
	}
	r := Refusal{Text: fmt.Sprintf("the repository declares nothing, and %d objects are live: an empty source is never read as \"delete everything\"; check the path and the commit", len(live.State))}
	switch names := sortedKeys(clusters); len(names) {
	case 0:
	case 1:
		r.Allow = allowRef(resource(schema.KindCluster, names[0]))
	default:
		r.Allow = string(schema.KindCluster) + "/*"
	}
	return &RefusedError{Refusals: []Refusal{r}}
}

// allAllowed reports whether each of these clusters is named among what may be destroyed.
func allAllowed(clusters, allowed []string) bool {
	return !slices.ContainsFunc(clusters, func(name string) bool {
		return !slices.ContainsFunc(allowed, func(text string) bool {
			a, err := parseAllow(text)
			return err == nil && a.names(resource(schema.KindCluster, name))
		})
	})
}

func declaresNothing(m schema.Manifest) bool {
	return len(m.Clusters)+len(m.Hosts)+len(m.Shards)+len(m.Tenants)+len(m.Webroots)+len(m.FQDNs)+len(m.Zones)+len(m.Records) == 0
}

// judge holds a plan against the policy.
type judge struct {
	*draft
	rails    schema.Guardrails
	allowed  []allowance
	lost     []*loss
	refusals []Refusal
}

// guardPlan refuses what must not happen unasked. It returns those allowances that are needed still, because what they
// allow can't be done now.
func guardPlan(d *draft, p Plan) ([]string, error) {
	j := &judge{draft: d, rails: d.live.Memory.guardrails(), allowed: d.allowances()}
	if !takesAway(p) && len(cutOff(p, d.live)) == 0 && len(d.suppressed) == 0 && len(leftHosts(d.m, d.live)) == 0 {
		return nil, nil
	}
	j.lost = d.lostObjects()
	for _, l := range j.lost {
		l.asked = l.asked || slices.ContainsFunc(j.allowed, func(a allowance) bool { return a.covers(l) })
	}
	j.askOwners()
	j.askZoneChanges(p)
	j.askBudgets()
	j.askProtected(p) // last, for it asks by name, whatever else was asked or allowed
	if len(j.refusals) == 0 {
		return j.stillNeeded(p), nil
	}
	slices.SortStableFunc(j.refusals, func(a, b Refusal) int { return cmp.Compare(a.Owner, b.Owner) })
	return nil, &RefusedError{Refusals: j.refusals}
}

// takesAway reports whether a plan deletes, replaces or retires anything.
func takesAway(p Plan) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		return c.Action == Delete || c.Action == Replace || c.Old != nil && c.New != nil && active(c.Old) && !active(c.New)
	})
}

// stillNeeded returns what allows losses that can't happen now, and the leaving of hosts that hold kept data.
func (j *judge) stillNeeded(p Plan) []string {
	var out []string
	for _, a := range j.allowed {
		left := slices.ContainsFunc(leftHosts(j.m, Live{Targets: p.Targets}), func(host string) bool {
			return a.names(Owner{Kind: string(schema.KindHost), Name: host})
		})
		if left || slices.ContainsFunc(j.lost, func(l *loss) bool { return l.left && a.covers(l) }) {
			out = append(out, a.text)
		}
	}
	slices.Sort(out)
	return out
}

// refuse adds a refusal; what it is about isn't asked for again.
func (j *judge) refuse(o Owner, allow string, lost []*loss, format string, args ...any) {
	r := Refusal{Text: fmt.Sprintf(format, args...), Allow: allow}
	if o.Name != "" {
		r.Owner = o.ID()
	}
	changes := make([]Change, 0, len(lost))
	for i := len(lost) - 1; i >= 0; i-- { // as they go: down the ladder
		lost[i].asked = true
		r.Refs = append(r.Refs, lost[i].ref)
		changes = append(changes, j.goes(lost[i]))
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return b.Ref().Compare(a.Ref()) })
	for _, e := range entries(changes) {
		r.Lines = append(r.Lines, strings.TrimRight(fmt.Sprintf("  %s %-9s %s %s", signs[e.action], e.kind, printable(e.what), e.why), " "))
	}
	j.refusals = append(j.refusals, r)
}

// goes is what becomes of a loss.
func (j *judge) goes(l *loss) Change {
	if now, ok := j.desired[l.ref]; ok && Purgeable(now) {
		return Change{Action: Delete, Old: l.old, Why: "(its " + dataOf(l.ref.Kind) + " kept for " + days(j.live.Memory.KeepOf(l.ref.Kind)) + ")"}
	}
	if now, ok := j.desired[l.ref]; ok && active(now) {
		return Change{Action: Replace, Old: l.old, New: now}
	}
	if l.data {
		return Change{Action: Delete, Old: l.old, Why: "(with its data, at once)"}
	}
	return Change{Action: Delete, Old: l.old}
}

// askProtected refuses to take away or replace what a protected resource has made, unless it is allowed by its name.
func (j *judge) askProtected(p Plan) {
	protected := map[string]bool{}
	for _, id := range slices.Concat(j.live.Memory.Protected, Protected(j.m)) {
		protected[id] = true
	}
	if len(protected) == 0 {
		return
	}
	lost := map[Owner][]*loss{}
	add := func(l *loss) {
		o := l.owner
		o.File, o.Line = "", 0
		byName := func(a allowance) bool { return a.names(o) && a.owner.Name != "*" }
		if protected[o.ID()] && !slices.ContainsFunc(j.allowed, byName) {
			lost[o] = append(lost[o], l)
		}
	}
	for _, l := range j.lost {
		if l.ref.Kind != KindRuntime && l.ref.Kind != KindServer {
			add(l)
		}
	}
	for _, c := range p.Changes {
		if _, dirty := j.live.Dirty[c.Ref()]; c.Action == Replace && !dirty {
			add(&loss{ref: c.Ref(), old: c.Old, owner: c.Old.Owner()})
		}
	}
	for _, o := range slices.SortedFunc(maps.Keys(lost), func(a, b Owner) int { return cmp.Compare(a.ID(), b.ID()) }) {
		j.refuse(o, allowRef(o), lost[o], "%s is protected; set protected: false in a commit of its own first", allowRef(o))
	}
}

// Protected returns the owners that a manifest protects, sorted: what Memory.Protected is once it was applied.
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
	for i := range m.Databases {
		fn(m.Databases[i].Meta)
	}
	for i := range m.DatabaseUsers {
		fn(m.DatabaseUsers[i].Meta)
	}
	for i := range m.CronJobs {
		fn(m.CronJobs[i].Meta)
	}
	for i := range m.EmailDomains {
		fn(m.EmailDomains[i].Meta)
	}
	for i := range m.ValkeyInstances {
		fn(m.ValkeyInstances[i].Meta)
	}
	for i := range m.ValkeyUsers {
		fn(m.ValkeyUsers[i].Meta)
	}
	for i := range m.Zones {
		fn(m.Zones[i].Meta)
	}
	for i := range m.Records {
		fn(m.Records[i].Meta)
	}
}
