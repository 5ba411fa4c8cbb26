package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"hostctl/reconciler"
	"hostctl/schema"
)

// Resource is what a person has declared.
type Resource struct {
	schema.Meta
	Commit string          `json:"commit"` // that it is read from: the one that was applied last
	File   string          `json:"file"`
	Line   int             `json:"line"`
	Column int             `json:"column"`
	Spec   json.RawMessage `json:"spec"` // without passwords and their hashes; of secrets where they come from
}

// Commit is one that has changed a file. A tenant's token sees more than its id and time where it changes that tenant's
// folder alone.
type Commit = reconciler.CommitInfo

// declared is what the commit declares that was applied last.
type declared struct {
	mu        sync.Mutex
	stamp     string // of the inventory that it was read with
	commit    string
	resources []schema.Resource // sorted
}

// read returns the commit and its resources, which must not be changed.
func (d *declared) read(c *call) (commit string, all []schema.Resource, err error) {
	stamp, err := c.Store.Stamp(c.ctx)
	if err != nil {
		return "", nil, err
	}
	key := stamp.Instance + " " + stamp.Version
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stamp == key {
		return d.commit, d.resources, nil
	}
	live, err := c.Store.LiveOf(c.ctx)
	if err != nil {
		return "", nil, err
	}
	if live.Commit == "" {
		return "", nil, nil
	}
	m, err := c.Loop.Reconciler.Declared(c.ctx, live, live.Commit)
	if err != nil {
		return "", nil, err
	}
	d.stamp, d.commit, d.resources = live.Instance+" "+live.Version, live.Commit, m.Resources()
	return d.commit, d.resources, nil
}

// resources lists what is declared. The place of a page is the resource that the one before has ended with.
func resources(c *call) (any, error) {
	commit, all, err := c.declared.read(c)
	if err != nil {
		return nil, err
	}
	after := schema.Resource{}
	if place := strings.Split(c.cursor(), "\x00"); len(place) == 3 {
		after.Meta = schema.Meta{Kind: schema.Kind(place[0]), Tenant: place[1], Name: place[2]}
	}
	kind := c.query.Get("kind")
	from, found := slices.BinarySearchFunc(all, after, schema.Resource.Compare)
	if found {
		from++
	}
	var items []Resource
	for _, r := range all[from:] {
		if !c.whose.Sees(r.Meta.Tenant) || kind != "" && !strings.EqualFold(kind, string(r.Meta.Kind)) {
			continue
		}
		if items = append(items, c.resource(r, commit)); len(items) > c.limit() {
			break
		}
	}
	return paged(items, c.limit(), func(r Resource) string { return string(r.Kind) + "\x00" + r.Tenant + "\x00" + r.Name }), nil
}

func resource(c *call) (any, error) {
	r, commit, err := c.findResource()
	if err != nil {
		return nil, err
	}
	return c.resource(r, commit), nil
}

// findResource returns the resource that a path names. Where several tenants have one of the name, the platform's operator
// has to say whose.
func (c *call) findResource() (schema.Resource, string, error) {
	commit, all, err := c.declared.read(c)
	if err != nil {
		return schema.Resource{}, "", err
	}
	var found []schema.Resource
	for _, r := range all {
		if c.whose.Sees(r.Meta.Tenant) && r.Meta.Name == c.r.PathValue("name") && strings.EqualFold(string(r.Meta.Kind), c.r.PathValue("kind")) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return schema.Resource{}, "", notFound()
	case 1:
		return found[0], commit, nil
	}
	return schema.Resource{}, "", problem(http.StatusBadRequest, "%d tenants have one of this name: say which, with tenant=", len(found))
}

// resource shows a resource. Why a tenant is suspended is for those who run the platform.
func (c *call) resource(r schema.Resource, commit string) Resource {
	at := r.Meta.Position
	out := Resource{Meta: r.Meta, Commit: commit, File: at.File, Line: at.Line, Column: at.Column, Spec: r.Spec()}
	if c.operator() || r.Meta.Kind != schema.KindTenant {
		return out
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out.Spec, &fields); err != nil {
		fields = nil
	}
	delete(fields, "suspendReason")
	out.Spec, _ = json.Marshal(fields) // it was JSON
	return out
}

// history lists the commits that have changed a resource's file. The place of a page is the commit that it looks back from.
func history(c *call) (any, error) {
	r, commit, err := c.findResource()
	if err != nil {
		return nil, err
	}
	source, ok := c.Loop.Reconciler.Source.(reconciler.Historian)
	if !ok {
		return nil, errors.New("this repository tells no history")
	}
	from := commit
	if place := c.cursor(); place != "" {
		relation, err := c.Loop.Reconciler.Source.Relation(c.ctx, place, commit)
		if err != nil || relation != reconciler.Ahead && relation != reconciler.Same {
			return nil, problem(http.StatusBadRequest, "cursor: want the next of a page of this list")
		}
		from = place
	}
	commits, next, err := source.History(c.ctx, from, r.Meta.Position.File, c.limit())
	if err != nil {
		return nil, fmt.Errorf("history of %s %s: %w", r.Meta.Kind, r.Meta.Name, err)
	}
	p := Page[Commit]{Items: append([]Commit{}, commits...)}
	if next != "" {
		p.Next = cursorOf(next)
	}
	for i, info := range p.Items {
		if !c.operator() && !slices.Equal(info.Folders, []string{"tenants/" + c.whose.Tenant}) {
			p.Items[i] = Commit{Commit: info.Commit, Time: info.Time}
		}
	}
	return p, nil
}
