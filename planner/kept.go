package planner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"hostctl/schema"
)

// IsKept reports whether an object is only kept for its data: nobody declares it any more.
func IsKept(o Object) bool {
	switch o := o.(type) {
	case Webroot:
		return o.Kept
	case Database:
		return o.Kept
	case Valkey:
		return o.Kept
	case Zone:
		return o.Kept
	case Volume:
		return o.Kept
	}
	return false
}

// Purgeable reports whether an object that is kept is deleted when its time is over. With a volume goes what is stored on it.
func Purgeable(o Object) bool {
	_, volume := o.(Volume)
	return IsKept(o) && (volume || holdsData(o))
}

// holdsData reports whether an object holds what can't be made again, and knows when it may go: files, a database, or the keys
// of a zone, to which its parent points.
func holdsData(o Object) bool {
	switch o := o.(type) {
	case Webroot, Database, Valkey:
		return true
	case Zone:
		return o.Signed
	}
	return false
}

// dataOf says what such an object holds, with its verb.
func dataOf(k Kind) string {
	switch k {
	case KindDatabase, KindValkey:
		return "data is"
	case KindZone:
		return "keys are"
	}
	return "files are"
}

// days writes a duration in days where that is exact.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d >= day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// sortedKeys are the keys of a map in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// keepData keeps what nobody declares any more and can't be made again: webroots with their locked users, databases, Valkey
// instances, signed zones, and volumes. They go when their time is over; all but volumes at once where their deletionPolicy was
// Delete.
func (x *expansion) keepData() {
	homes := map[string]string{}
	for i := range x.sites {
		homes[x.sites[i].name] = x.sites[i].shard.name
	}
	for _, ref := range x.index.data { // volumes first
		if _, ok := x.desired[ref]; ok || x.goesWithVolume(ref) {
			continue
		}
		switch o := x.live.was(ref).(type) {
		case Volume:
			if o.Kept && (x.live.Dirty[ref].Gone || x.purgesVolume(o)) { // or somebody has removed it by hand
				continue
			}
			o.Kept, o.On = true, nil
			x.add(o)
		case Database:
			x.keepDatabase(o)
		case Valkey:
			x.keepValkey(o)
		case Zone:
			x.keepZone(o)
		case Webroot:
			home := homes[siteName(o.Tenant, o.Site)]
			if x.purges(ref, o, home != "") {
				continue
			}
			if o.CopyOf != nil && x.shards[ref.Target] != nil {
				continue // only half of what another shard has
			}
			if x.leftBy(ref) != nil {
				x.notef("webroot %s of tenant %s moves from shard %s to %s with its files; %s keeps them too, for %s", o.Site, o.Tenant, ref.Target, home, ref.Target, days(x.live.Memory.KeepOf(KindWebroot)))
			}
			o.Kept, o.On, o.MovesTo, o.CopyOf = true, nil, "", nil
			if g := x.shards[ref.Target]; g != nil && g.role == schema.RoleWeb {
				x.keepUser(g, o)
				o.On = x.webrootNeeds(g, o.Tenant)
			}
			x.add(o)
		}
	}
}

// purgesVolume reports whether a volume is deleted with all that is stored on it, and says so in the plan. It waits for whatever
// there is kept longer.
func (x *expansion) purgesVolume(o Volume) bool {
	if !x.isDue(o.Ref()) || x.hosts[o.Target] == nil {
		return false
	}
	target, kinds := StoredOn(o.Ref())
	stored := 0
	for _, ref := range x.index.data {
		if target == "" || ref.Target != target || !slices.Contains(kinds, ref.Kind) {
			continue
		}
		if !x.isDue(ref) && !x.live.Dirty[ref].Gone {
			return false
		}
		stored++
	}
	if target != "" {
		x.emptied[target] = kinds
	}
	x.notef("volume %s on %s is deleted for good, and what is kept on it (%d webroots, databases, instances or zones): nobody has declared it for %s",
		o.Name, o.Target, stored, days(x.live.Memory.KeepOf(KindVolume)))
	return true
}

func (x *expansion) isDue(ref Ref) bool {
	_, due := slices.BinarySearchFunc(x.live.Due, ref, Ref.Compare)
	return due
}

// goesWithVolume reports whether an object is stored on a volume that is deleted: nothing is done to it itself.
func (x *expansion) goesWithVolume(ref Ref) bool {
	kinds, ok := x.emptied[ref.Target]
	return ok && slices.Contains(kinds, ref.Kind)
}

// purges reports whether a webroot that isn't declared on its shard is deleted with its files, and says so in the plan. One
// that has moved to another shard is kept whatever its policy.
func (x *expansion) purges(ref Ref, w Webroot, moved bool) bool {
	_, due := slices.BinarySearchFunc(x.live.Due, ref, Ref.Compare)
	switch {
	case x.shards[ref.Target] == nil: // nobody can reach them
		return false
	case w.Kept && due:
		x.notef("the files of webroot %s of tenant %s are deleted for good: nobody has declared it for %s", w.Site, w.Tenant, days(x.live.Memory.KeepOf(KindWebroot)))
	case w.Purge && !w.Kept && !moved:
		x.notef("the files of webroot %s of tenant %s are deleted for good, and at once: its deletionPolicy is Delete", w.Site, w.Tenant)
	default:
		return false
	}
	return true
}

// keepUser keeps the user of a kept webroot on the nodes of its shard, locked unless the tenant still lives there.
func (x *expansion) keepUser(g *group, w Webroot) {
	for _, n := range g.nodes {
		ref := Ref{KindUser, n.name, w.Tenant}
		if _, ok := x.desired[ref]; ok {
			continue
		}
		owner := Owner{Tenant: w.Tenant, Kind: string(schema.KindTenant), Name: w.Tenant}
		was, _ := x.live.was(ref).(User)
		x.add(User{Meta: Meta{Target: n.name, Name: w.Tenant, From: owner, On: n.ready}, Login: login(w.Tenant), UID: w.UID, Locked: true, Limits: was.Limits})
	}
}
