package executors

import (
	"context"
	"time"

	"hostctl/planner"
	"hostctl/schema"
)

// Reporter is the fourth ability, that of a node's agent: it looks after the node by itself, and tells what it sees.
type Reporter interface {
	// Watch hands the node its standing orders, then calls tell with a whole report at once and again whenever something
	// has changed, until ctx is done or the connection is lost.
	Watch(ctx context.Context, o Orders, tell func(Report)) error
}

// Orders are what a node does about drift while nobody tells it what to do.
type Orders struct {
	Run    int64 // number of the run that they come from; a node keeps what it has from a newer one
	Policy schema.DriftPolicy
}

// Report is how a node stands, seen by its own agent.
type Report struct {
	At     time.Time   `json:"at"`
	Health []Part      `json:"health"`          // by name
	Drift  []NodeDrift `json:"drift,omitempty"` // by reference
	Usage  []Usage     `json:"usage,omitempty"` // by tenant
}

// Part is one part of a node that is well or isn't: a service, a disk, its memory.
type Part struct {
	Name    string `json:"name"` // "service/nginx", "disk/srv/tenants"
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}

// NodeDrift is an object of a node that isn't as it was applied.
type NodeDrift struct {
	Ref    planner.Ref `json:"ref"`
	Gone   bool        `json:"gone,omitempty"`   // else it differs
	Healed bool        `json:"healed,omitempty"` // the agent has put it right
	Why    string      `json:"why,omitempty"`    // why it hasn't
}

// Usage is what a tenant uses of a node now.
type Usage struct {
	Tenant    string        `json:"tenant"`
	Processes int           `json:"processes"`
	Memory    int64         `json:"memory"` // bytes, resident
	CPU       time.Duration `json:"cpu"`    // of the processes that run, since they started
	Disk      int64         `json:"disk"`   // bytes of its files on the shard, allocated; -1: not measured yet
	Files     int64         `json:"files"`
}

// Sick returns the parts that aren't well.
func (r Report) Sick() []Part {
	var sick []Part
	for _, p := range r.Health {
		if !p.OK {
			sick = append(sick, p)
		}
	}
	return sick
}
