package planner

import (
	"cmp"
	"fmt"
	"slices"

	"hostctl/schema"
)

// askOwners refuses to remove what is never removed unasked: a Tenant, a Shard, a Cluster, a Host, a Zone with records.
func (j *judge) askOwners() {
	j.askEach(schema.KindTenant, named(j.m.Tenants, func(t *schema.Tenant) string { return t.Name }),
		func(l *loss) string { return l.owner.Tenant })
	j.askEach(schema.KindCluster, named(j.m.Clusters, func(c *schema.Cluster) string { return c.Name }), ownedBy(schema.KindCluster))
	j.askEach(schema.KindShard, named(j.m.Shards, func(s *schema.Shard) string { return s.Name }), ownedBy(schema.KindShard))
	j.askHosts()
	j.askZones()
}

func named[T any](all []T, name func(*T) string) map[string]bool {
	out := make(map[string]bool, len(all))
	for i := range all {
		out[name(&all[i])] = true
	}
	return out
}

func ownedBy(kind schema.Kind) func(*loss) string {
	return func(l *loss) string {
		if l.owner.Kind == string(kind) {
			return l.owner.Name
		}
		return ""
	}
}

// askEach refuses for every resource of a kind that loses something and isn't declared any more, unless it is named itself:
// that what it has may go says nothing of the resource.
func (j *judge) askEach(kind schema.Kind, declared map[string]bool, of func(*loss) string) {
	lost := map[string][]*loss{}
	for _, l := range j.lost {
		name := of(l)
		if name == "" || declared[name] || slices.ContainsFunc(j.allowed, func(a allowance) bool { return a.names(resource(kind, name)) }) {
			continue
		}
		lost[name] = append(lost[name], l)
	}
	names := sortedKeys(lost)
	if len(names) > maxNamed {
		var all []*loss
		for _, n := range names {
			all = append(all, lost[n]...)
		}
		j.refuse(Owner{Kind: string(kind)}, string(kind)+"/*", all, "%d %ss aren't declared any more", len(names), kind)
		return
	}
	for _, n := range names {
		o := resource(kind, n)
		j.refuse(o, allowRef(o), lost[n], "%s %s isn't declared any more", kind, n)
	}
}

// resource names one of the platform's own resources, or a tenant.
func resource(kind schema.Kind, name string) Owner {
	o := Owner{Kind: string(kind), Name: name}
	if kind == schema.KindTenant {
		o.Tenant = name
	}
	return o
}

// askHosts refuses to leave a Host, also where nothing is on it any more but data that is kept.
func (j *judge) askHosts() {
	for _, name := range leftHosts(j.m, j.live) {
		o := Owner{Kind: string(schema.KindHost), Name: name}
		if slices.ContainsFunc(j.allowed, func(a allowance) bool { return a.names(o) }) {
			continue
		}
		var lost []*loss
		for _, l := range j.lost {
			if l.ref.Target == name {
				lost = append(lost, l)
			}
		}
		j.refuse(o, allowRef(o), lost, "Host %s isn't declared any more", name)
	}
}

// leftHosts returns the hosts that the last plan knew and the manifest doesn't declare, sorted.
func leftHosts(m schema.Manifest, live Live) []string {
	declared := named(m.Hosts, func(h *schema.Host) string { return h.Name })
	var out []string
	for _, t := range live.Targets {
		if t.Docker != nil && !declared[t.Name] {
			out = append(out, t.Name)
		}
	}
	slices.Sort(out)
	return out
}

// askZones refuses to take away a zone that has records.
func (j *judge) askZones() {
	records := map[Owner][]*loss{}
	for _, l := range j.lost {
		if l.zone != nil && !l.asked {
			records[*l.zone] = append(records[*l.zone], l)
		}
	}
	owners := make([]Owner, 0, len(records))
	for o := range records {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, func(a, b Owner) int { return cmp.Compare(a.ID(), b.ID()) })
	for _, o := range owners {
		lost := records[o]
		for _, l := range j.lost {
			if l.ref.Kind == KindZone && l.owner == o {
				lost = append(lost, l)
			}
		}
		text := hasRecords(len(lost) - 1)
		if z, ok := lost[len(lost)-1].old.(Zone); ok && z.Signed {
			text += " and is signed: " + parentFirst
		}
		j.refuse(o, allowRef(o), lost, "Zone %s isn't declared any more, and %s", o.Name, text)
	}
}

func hasRecords(n int) string {
	if n == 1 {
		return "it has a record"
	}
	return fmt.Sprintf("it has %d records", n)
}
