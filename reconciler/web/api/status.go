package api

import (
	"maps"
	"slices"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// Status is how the platform stands, or one tenant of it.
type Status struct {
	Applied   string `json:"applied,omitempty"` // the commit that is true; missing where none is yet
	Converged bool   `json:"converged"`         // nothing is known to differ from it
	Objects   int    `json:"objects"`
	Dirty     int    `json:"dirty"` // of them, those that the next plan touches again
	Tenant    string `json:"tenant,omitempty"`
	Suspended bool   `json:"suspended,omitempty"` // the tenant is
	Frozen    bool   `json:"frozen,omitempty"`    // the tenant's files can't be read as they are

	Platform *PlatformStatus `json:"platform,omitempty"` // for tokens of the platform
}

// PlatformStatus is what is for those who run the platform.
type PlatformStatus struct {
	Instance  string                `json:"instance"`
	Hostd     Hostd                 `json:"hostd"`
	Dirty     []Object              `json:"dirty"`               // the first of them
	Down      map[string]string     `json:"down,omitempty"`      // nodes that don't answer, and why
	Runs      []Run                 `json:"runs"`                // the newest
	Suspended map[string]string     `json:"suspended,omitempty"` // tenants, and why
	Endpoints []reconciler.Endpoint `json:"endpoints"`
}

// Hostd is what hostd is doing.
type Hostd struct {
	Head        string    `json:"head,omitempty"`    // newest commit that was seen
	Applied     string    `json:"applied,omitempty"` // newest commit that is true, but for nodes that can't be reached
	Converged   bool      `json:"converged"`
	Since       time.Time `json:"since,omitzero"`       // of converged
	Message     string    `json:"message,omitempty"`    // of the last failure or refusal
	NextAttempt time.Time `json:"nextAttempt,omitzero"` // after a failure
	Runs        int       `json:"runs"`                 // since hostd leads
	Failed      int       `json:"failed"`
	Impossible  []string  `json:"impossible,omitempty"` // records of the inventory that can't be: a fault of hostctl's
}

// How much of lists is in a status; there are routes for the whole.
const (
	runsInStatus  = 5
	dirtyInStatus = 100
)

func status(c *call) (any, error) {
	live, err := c.Store.LiveOf(c.ctx)
	if err != nil {
		return nil, err
	}
	objects, dirty, err := c.Store.Count(c.ctx, c.whose)
	if err != nil {
		return nil, err
	}
	out := Status{Applied: live.Commit, Objects: objects, Dirty: dirty, Tenant: c.whose.Tenant}
	if !c.whose.All {
		_, out.Suspended = live.Memory.Suspended[out.Tenant]
		_, out.Frozen = live.Memory.Frozen[out.Tenant]
		out.Converged = dirty == 0 && !out.Frozen && live.Commit != ""
		return out, nil
	}
	standing, err := reconciler.Stand(c.ctx, c.Store, runsInStatus, dirtyInStatus)
	if err != nil {
		return nil, err
	}
	hostd := c.Loop.Status()
	p := &PlatformStatus{
		Instance: standing.Instance, Down: standing.Down, Suspended: standing.Suspended, Endpoints: standing.Endpoints, Dirty: []Object{}, Runs: []Run{},
		Hostd: Hostd{
			Head: hostd.Head, Applied: hostd.Applied, Converged: hostd.Converged, Since: hostd.Since, Message: hostd.Message,
			NextAttempt: hostd.NextAttempt, Runs: hostd.Runs, Failed: hostd.Failed, Impossible: hostd.Impossible,
		},
	}
	for _, o := range standing.Dirty {
		p.Dirty = append(p.Dirty, c.object(o))
	}
	for _, r := range standing.Runs {
		p.Runs = append(p.Runs, c.run(r))
	}
	out.Converged, out.Platform = hostd.Converged, p
	return out, nil
}

// Drift is what a look at all far sides has found.
type Drift struct {
	Page[Finding]
	Looked  time.Time         `json:"looked,omitzero"`
	Commit  string            `json:"commit,omitempty"`
	Objects int               `json:"objects,omitempty"` // how many were compared
	Unread  map[string]string `json:"unread,omitempty"`  // targets that couldn't be observed, and why
}

// Finding is one object that isn't as it was applied.
type Finding struct {
	Ref         planner.Ref           `json:"ref"`
	State       reconciler.DriftState `json:"state"`
	Mode        schema.DriftMode      `json:"mode"` // what becomes of it
	Owner       planner.Owner         `json:"owner,omitzero"`
	Differences []string              `json:"differences,omitempty"` // applied → found, a line for each field
	Fighting    *reconciler.Fight     `json:"fighting,omitempty"`
}

// drift shows the latest look. It doesn't look: that is hostd's, on its schedule.
func drift(c *call) (any, error) {
	d := c.Loop.LastDrift()
	var mine []Finding
	for _, f := range d.Found {
		if !c.whose.Sees(f.Owner.Tenant) {
			continue
		}
		one := Finding{Ref: f.Ref, State: f.State, Mode: f.Mode, Owner: c.owner(f.Owner), Fighting: f.Fighting}
		if c.operator() || own[f.Ref.Kind] {
			one.Differences = f.Differences
		}
		mine = append(mine, one)
	}
	page, err := slicePage(c, mine)
	out := Drift{Page: page, Looked: d.Looked}
	if c.whose.All {
		out.Commit, out.Objects, out.Unread = d.Commit, d.Objects, d.Unread
	}
	return out, err
}

// Node is a node, and what it has told last.
type Node struct {
	Name   string            `json:"name"`
	Down   string            `json:"down,omitempty"` // why it can't be reached
	Report *executors.Report `json:"report,omitempty"`
}

func nodes(c *call) (any, error) {
	live, err := c.Store.LiveOf(c.ctx)
	if err != nil {
		return nil, err
	}
	reports := c.Loop.NodeReports()
	all := map[string]Node{}
	for name, r := range reports {
		all[name] = Node{Name: name, Report: &r}
	}
	for name, why := range live.Down {
		n := all[name]
		n.Name, n.Down = name, why
		all[name] = n
	}
	list := []Node{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return slicePage(c, list)
}
