package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"hostctl/planner"
	"hostctl/schema"
)

// Standing is how a platform stands, as its inventory knows it.
type Standing struct {
	Instance string            `json:"instance"`
	Objects  int               `json:"objects"`
	Dirty    []ObjectStatus    `json:"dirty"`
	Down     map[string]string `json:"down,omitempty"` // nodes that don't answer
	Runs     []Run             `json:"runs"`

	Suspended map[string]string `json:"suspended,omitempty"` // tenants, and why
	Endpoints []Endpoint        `json:"endpoints"`
}

// Endpoint is a published port of a node.
type Endpoint struct {
	Node     string      `json:"node"`
	Role     schema.Role `json:"role"`
	Name     string      `json:"name"`
	Address  string      `json:"address"` // host:port
	Protocol string      `json:"protocol"`
}

// Stand reads how a platform stands, with its newest runs and at most so many of its objects that are dirty.
func Stand(ctx context.Context, inv interface {
	Inventory
	Pager
}, runs, dirty int) (Standing, error) {
	all := Whose{All: true}
	live, errL := inv.LiveOf(ctx, planner.KindContainer)
	objects, _, errC := inv.Count(ctx, all)
	newest, errR := inv.RunPage(ctx, all, 0, runs)
	unsettled, errO := inv.ObjectPage(ctx, ObjectQuery{Whose: all, Dirty: true, Limit: dirty})
	instance, errI := inv.Instance(ctx)
	if err := errors.Join(errL, errC, errR, errO, errI); err != nil {
		return Standing{}, fmt.Errorf("read inventory: %w", err)
	}
	slices.SortFunc(unsettled, func(a, b ObjectStatus) int { return a.Ref.Compare(b.Ref) })
	return Standing{
		Instance: instance, Objects: objects, Dirty: append([]ObjectStatus{}, unsettled...), Down: live.Down, Runs: append([]Run{}, newest...),
		Suspended: live.Memory.Suspended, Endpoints: endpoints(live),
	}, nil
}

// endpoints lists where the platform can be reached, agents aside.
func endpoints(live planner.Live) []Endpoint {
	es := []Endpoint{}
	for _, o := range live.State {
		c, ok := o.(planner.Container)
		if !ok {
			continue
		}
		for _, p := range c.Ports {
			if p.Container != planner.AgentPort {
				es = append(es, Endpoint{c.Name, c.Role, p.Name, net.JoinHostPort(p.Address, strconv.Itoa(p.Host)), p.Protocol})
			}
		}
	}
	slices.SortFunc(es, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name))
	})
	return es
}
