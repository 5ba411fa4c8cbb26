package planner

import (
	"slices"
	"strings"

	"hostctl/schema"
)

// loss is an object that is live and that nobody wants any more, or only for its data.
type loss struct {
	ref   Ref
	old   Object
	owner Owner
	zone  *Owner // of an RRset: the zone that goes with it
	thing bool   // budgets count it: it isn't on any other target either, and nothing that goes implies it
	data  bool   // it holds what can't be made again
	left  bool   // it can't go now: its target can't be reached
	asked bool   // allowed, or asked for by a refusal
}

// things are the kinds that budgets count. What else goes, goes with one of these.
var things = []Kind{KindContainer, KindWebroot, KindDatabase, KindValkey, KindZone, KindRRset, KindRoute}

// lost returns every loss, in the order of references.
func (d *draft) lostObjects() []*loss {
	var out []*loss
	for ref, have := range d.live.State {
		if d.live.Dirty[ref].Gone || !active(have) && !d.wasSuspended(have) || d.suspends(have) {
			continue
		}
		want, ok := d.desired[ref]
		if ok && active(want) {
			continue
		}
		out = append(out, &loss{ref: ref, old: have, owner: have.Owner(), data: holdsData(have), left: d.suppressed[ref] || d.withheld[ref]})
	}
	slices.SortFunc(out, func(a, b *loss) int { return a.ref.Compare(b.ref) })
	d.dropMoved(&out)
	d.markThings(out)
	return out
}

// active reports whether an object serves somebody who declared it: it isn't only kept for its data, and nobody else made it.
func active(o Object) bool {
	switch o := o.(type) {
	case Volume:
		return !o.Kept
	case User:
		return !o.Locked
	case Webroot:
		return !o.Kept
	case Database:
		return !o.Kept
	case Valkey:
		return !o.Kept
	case Zone:
		return !o.Kept
	case RRset:
		return !o.unmanaged()
	}
	return true
}

// thingOf names an object whatever target it is on. A site's runtimes are one thing: a new version takes nothing away.
func thingOf(ref Ref) string {
	name := ref.Name
	if ref.Kind == KindRuntime {
		name, _, _ = strings.Cut(name, "/")
	}
	return string(ref.Kind) + "/" + name
}

// dropMoved leaves out what is wanted on another target: a node fewer, a shard that a tenant has left.
func (d *draft) dropMoved(all *[]*loss) {
	if len(*all) == 0 {
		return
	}
	there := make(map[string]bool, len(*all))
	for _, l := range *all {
		there[thingOf(l.ref)] = false
	}
	for ref, o := range d.desired {
		key := thingOf(ref)
		if _, asked := there[key]; asked && active(o) {
			there[key] = true
		}
	}
	*all = slices.DeleteFunc(*all, func(l *loss) bool { return there[thingOf(l.ref)] })
}

// markThings marks what counts, each thing once: not on every target, and no address record whose host name goes too.
func (d *draft) markThings(all []*loss) {
	seen := map[string]bool{}
	zones := map[[2]string]*Owner{}
	hosts := map[string]bool{}
	for _, l := range all {
		switch l.ref.Kind {
		case KindZone:
			zones[[2]string{l.ref.Target, l.ref.Name}] = &l.owner
		case KindRoute:
			hosts[l.ref.Name] = true
		}
	}
	for _, l := range all {
		if r, ok := l.old.(RRset); ok {
			l.zone = zones[[2]string{r.Target, r.Zone}]
			if l.owner.Kind == string(schema.KindFQDN) && hosts[r.FQDN] {
				continue
			}
		}
		key := thingOf(l.ref)
		if seen[key] || !slices.Contains(things, l.ref.Kind) {
			continue
		}
		l.thing, seen[key] = true, true
	}
}
