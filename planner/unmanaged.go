package planner

import "hostctl/schema"

// Unmanaged returns an RRset that was found in a zone, and that nobody declares, as the inventory holds it for the next plan
// to delete: it has the zone's owner, which no RRset has that was lowered from anything. It is false for what can't be
// declared either, which is never deleted: the keys and signatures of DNSSEC, and types that run code.
func Unmanaged(found RRset, zone Zone) (RRset, bool) {
	owner := zone.Owner()
	if owner.Kind != string(schema.KindZone) || found.FQDN == found.Zone && (found.Type == "SOA" || found.Type == "NS") {
		return RRset{}, false
	}
	for _, t := range schema.RecordTypes() {
		if t == found.Type {
			found.From, found.On = owner, []Ref{zone.Ref()}
			return found, true
		}
	}
	return RRset{}, false
}

// unmanaged reports whether an RRset was found, and never declared.
func (o RRset) unmanaged() bool { return o.From.Kind == string(schema.KindZone) }

// IsUnmanaged reports whether a live object was found in a zone, and isn't declared.
func IsUnmanaged(o Object) bool {
	r, ok := o.(RRset)
	return ok && r.unmanaged()
}

// claimed reports whether somebody declares an RRset now that was found: from then on it is his.
func claimed(have, want Object) bool {
	old, ok := have.(RRset)
	now, is := want.(RRset)
	return ok && is && old.unmanaged() && !now.unmanaged()
}

// leaves reports whether an object is an RRset that nobody declares, in a zone that no longer wants such deleted.
func (d *draft) leaves(have Object) bool {
	r, ok := have.(RRset)
	if !ok || !r.unmanaged() {
		return false
	}
	for i := range d.m.Zones {
		if z := &d.m.Zones[i]; z.Domain == r.Zone {
			return d.m.UnmanagedIn(z) != schema.UnmanagedDelete
		}
	}
	return false
}
