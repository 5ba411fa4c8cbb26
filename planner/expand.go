package planner

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hostctl/schema"
)

// ProblemsError is everything that keeps a manifest from being made true, sorted.
type ProblemsError []string

func (e ProblemsError) Error() string { return strings.Join(e, "\n") }

// expansion is a manifest on its way to objects: what it was lowered to so far, and the indexes that needs.
type expansion struct {
	m      schema.Manifest
	live   Live
	policy Policy

	desired     State
	alloc       *allocator
	clusters    map[string]*cluster
	groups      []*group // all groups of nodes, in the order of tiers, then name
	shards      map[string]*group
	nodes       map[string]*node
	hosts       map[string]*host
	index       liveIndex
	sites       []site
	certs       map[[2]string]*schema.Certificate // by tenant and name
	suspended   map[string]string                 // tenant -> why
	moving      map[dataName]dataMove             // databases and Valkey instances
	emptied     map[string][]Kind                 // what goes with volumes that are deleted: kinds, by target
	relocations map[string]*relocation            // of webroots, by name
	shardNames  []string                          // of web shards that there are or were
	copies      map[dataName][]Ref                // of databases and Valkey instances
	problems    []string
	notes       []string
	noted       map[string]bool // tenants that notes come from though nothing may change; "" is the platform
}

// cluster is a Cluster with the groups of nodes that serve it.
type cluster struct {
	schema.Cluster
	db, dns, lb *group
	v4, v6      []string // published addresses, sorted
}

// expand lowers a manifest to the desired state.
func expand(m schema.Manifest, live Live, p Policy) (*expansion, error) {
	x := &expansion{
		m: m, live: live, policy: p,
		desired:     make(State, len(live.State)+len(m.FQDNs)*2+len(m.Webroots)*3),
		alloc:       newAllocator(live.Allocations),
		clusters:    map[string]*cluster{},
		shards:      map[string]*group{},
		nodes:       map[string]*node{},
		hosts:       map[string]*host{},
		index:       indexLive(live),
		noted:       map[string]bool{},
		suspended:   suspendedIn(m),
		moving:      map[dataName]dataMove{},
		emptied:     map[string][]Kind{},
		relocations: map[string]*relocation{},
	}
	x.expandNodes()
	if len(x.problems) == 0 { // without nodes the rest would only repeat what is wrong with them
		x.expandSites()
		x.expandDatabases()
		x.expandValkey()
		x.expandCronJobs()
		x.expandTraffic()
		x.expandDNS()
		x.keepData()
		x.hintRenames()
	}
	if len(x.problems) > 0 {
		slices.Sort(x.problems)
		return nil, ProblemsError(slices.Compact(x.problems))
	}
	return x, x.checkClosed()
}

func (x *expansion) add(o Object) { x.desired[o.Ref()] = o }

func (x *expansion) problemf(format string, args ...any) {
	x.problems = append(x.problems, fmt.Sprintf(format, args...))
}

func (x *expansion) notef(format string, args ...any) {
	x.notes = append(x.notes, fmt.Sprintf(format, args...))
}

// stand notes what a tenant's resources say in every plan, whether it changes anything or not.
func (x *expansion) stand(tenant, format string, args ...any) {
	x.noted[tenant] = true
	x.notef(format, args...)
}

func (x *expansion) allNotes() []string {
	for _, w := range x.m.Warnings {
		x.notef("%s:%d:%d: %s", w.Position.File, w.Position.Line, w.Position.Column, w.Text)
	}
	slices.Sort(x.notes)
	return slices.Compact(x.notes)
}

// checkClosed makes sure that whatever a desired object needs is desired too and stands on a lower rung. That it isn't
// is a mistake in this package, never in the manifest.
func (x *expansion) checkClosed() error {
	var errs []error
	type list struct { // of needs: objects share most of theirs
		first *Ref
		rung  int
	}
	seen := map[list]int{} // lengths
	for ref, o := range x.desired {
		needs := o.Needs()
		if len(needs) == 0 {
			continue
		}
		rung, _ := ref.Kind.Rung()
		l := list{&needs[0], rung}
		if seen[l] == len(needs) {
			continue
		}
		seen[l] = len(needs)
		for _, n := range needs {
			below, _ := n.Kind.Rung()
			tiers := ref.Kind == KindContainer && n.Kind == KindContainer
			if _, ok := x.desired[n]; !ok || below >= rung && !tiers {
				errs = append(errs, fmt.Errorf("planner: bug: %s needs %s, which isn't planned below it", ref, n))
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// ownerOf names a resource as the owner of objects.
func ownerOf(m schema.Meta) Owner {
	return Owner{Tenant: m.Tenant, Kind: string(m.Kind), Name: m.Name, File: m.Position.File, Line: m.Position.Line}
}
