package planner

import (
	"slices"
	"strings"
)

// parentFirst is the way out where a zone's parent has to be changed before the zone is.
const parentFirst = "while its parent has DS records nobody who validates reaches it without its keys; have the registrar remove them, wait for their TTL, then allow it"

// askZoneChanges refuses to do unasked what cuts a zone off from its parent, which is told what it has to be by people:
// to take its keys away, for resolvers that validate take what isn't signed by a key that the parent knows for forged
// (RFC 4035 5.2), or name servers, at which they are still sent to it (RFC 1034 4.2.2).
func (j *judge) askZoneChanges(p Plan) {
	for _, z := range cutOff(p, j.live) {
		o := z.From
		if o.Kind == "" || slices.ContainsFunc(j.allowed, func(a allowance) bool { return a.names(o) }) {
			continue
		}
		switch {
		case z.moved:
			j.refuse(o, allowRef(o), nil, "Zone %s moves from %s to other name servers, which make another key: %s", o.Name, z.Target, parentFirst)
		case z.unsigned:
			j.refuse(o, allowRef(o), nil, "Zone %s would no longer be signed: %s", o.Name, parentFirst)
		default:
			j.refuse(o, allowRef(o), nil, "Zone %s would lose the name servers %s, and while its parent names them some look for it there; "+
				"have the registrar name the new ones, wait for their TTL, then allow it", o.Name, strings.Join(z.lost, ", "))
		}
	}
	for _, l := range j.lost {
		if z, ok := l.old.(Zone); ok && z.Signed && !l.asked {
			j.refuse(l.owner, allowRef(l.owner), []*loss{l}, "Zone %s isn't declared any more, and is signed: %s", l.owner.Name, parentFirst)
		}
	}
}

// cutZone is a zone, as it is live, that a plan cuts off from its parent.
type cutZone struct {
	Zone
	unsigned, moved bool
	lost            []string // name servers
}

func cutOff(p Plan, live Live) []cutZone {
	var out []cutZone
	for _, c := range p.Changes {
		old, was := c.Old.(Zone)
		now, is := c.New.(Zone)
		switch {
		case was && is && old.Signed && !now.Signed:
			out = append(out, cutZone{Zone: old, unsigned: true})
		case was && is && !old.Kept:
			lost := slices.DeleteFunc(slices.Clone(old.Nameservers), func(n string) bool { return slices.Contains(now.Nameservers, n) })
			if len(lost) > 0 {
				out = append(out, cutZone{Zone: old, lost: lost})
			}
		case is && now.Signed:
			if z, ok := signedElsewhere(now, live); ok {
				out = append(out, cutZone{Zone: z, moved: true})
			}
		}
	}
	return out
}

// signedElsewhere returns the signed zone of the same name that other name servers have.
func signedElsewhere(z Zone, live Live) (Zone, bool) {
	for _, o := range live.State {
		if other, ok := o.(Zone); ok && other.Name == z.Name && other.Target != z.Target && other.Signed && !other.Kept {
			return other, true
		}
	}
	return Zone{}, false
}
