package api

import (
	"strings"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
)

// Object is the record of one real thing.
type Object struct {
	Ref      planner.Ref   `json:"ref"`
	Owner    planner.Owner `json:"owner"`
	Revision int64         `json:"revision"` // run that last touched it
	Commit   string        `json:"commit"`   // that made it so
	Dirty    string        `json:"dirty,omitempty"`
	Started  time.Time     `json:"started,omitzero"`
	Finished time.Time     `json:"finished,omitzero"`
	Error    string        `json:"error,omitempty"` // of the last change of it, while dirty
}

// What a tenant is told in place of what far sides say, which may name others.
const (
	tenantDirty  = "it isn't as declared; the next plan touches it again"
	tenantFailed = "it failed; who runs the platform can see why"
)

func objects(c *call) (any, error) {
	found, err := c.Store.ObjectPage(c.ctx, reconciler.ObjectQuery{
		Whose: c.whose, Kind: planner.Kind(c.query.Get("kind")), Dirty: c.query.Get("dirty") == "true", After: c.cursor(), Limit: c.limit() + 1,
	})
	if err != nil {
		return nil, err
	}
	items := make([]Object, len(found))
	for i, o := range found {
		items[i] = c.object(o)
	}
	return paged(items, c.limit(), func(o Object) string { return o.Ref.String() }), nil
}

func object(c *call) (any, error) {
	ref, err := planner.ParseRef(c.r.PathValue("ref"))
	if err != nil {
		return nil, notFound()
	}
	found, err := c.Store.ObjectsNamed(c.ctx, []planner.Ref{ref})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || !c.whose.Sees(found[0].Owner.Tenant) {
		return nil, notFound()
	}
	return c.object(found[0]), nil
}

func (c *call) object(o reconciler.ObjectStatus) Object {
	out := Object{
		Ref: o.Ref, Owner: c.owner(o.Owner), Revision: o.Revision, Commit: o.Commit, Dirty: o.Dirty, Started: o.Started, Finished: o.Finished,
		Error: c.failure(o.Error),
	}
	if out.Dirty != "" && !c.operator() {
		out.Dirty = tenantDirty
	}
	return out
}

// failure shows what a far side has said.
func (c *call) failure(text string) string {
	if text != "" && !c.operator() {
		return tenantFailed
	}
	return text
}

// owner shows a tenant no place but its own folder.
func (c *call) owner(o planner.Owner) planner.Owner {
	if !c.operator() && !strings.HasPrefix(o.File, "tenants/"+c.whose.Tenant+"/") {
		o.File, o.Line = "", 0
	}
	return o
}

// Way is what a host name or an object needs.
type Way struct {
	Name  string            `json:"name"`
	Steps []reconciler.Step `json:"steps"`
}

// why follows a name. A tenant sees what is its own on the way.
func why(c *call) (any, error) {
	name := c.query.Get("name")
	if name == "" {
		return nil, problem(400, "name: want a host name, or the reference of an object: kind/target/name")
	}
	if err := c.takeSlot(); err != nil { // the whole of what is live is in memory
		return nil, err
	}
	defer func() { <-c.plans }()
	steps, err := reconciler.Why(c.ctx, c.Store, name)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 || !c.whose.Sees(steps[0].Owner.Tenant) && !c.anyRoot(steps) {
		return nil, notFound()
	}
	out := Way{Name: name, Steps: []reconciler.Step{}}
	for _, s := range steps {
		if !c.whose.Sees(s.Owner.Tenant) {
			continue
		}
		s.Owner = c.owner(s.Owner)
		if !c.operator() && s.Health != "ok" {
			s.Health = tenantDirty
		}
		out.Steps = append(out.Steps, s)
	}
	return out, nil
}

// anyRoot reports whether one of the things that a name means may be seen.
func (c *call) anyRoot(steps []reconciler.Step) bool {
	for _, s := range steps {
		if s.Depth == 0 && c.whose.Sees(s.Owner.Tenant) {
			return true
		}
	}
	return false
}
