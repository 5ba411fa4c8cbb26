package planner

import "slices"

// unsigned returns the zones that a plan no longer signs, as they are.
func unsigned(p Plan) []Zone {
	var out []Zone
	for _, c := range p.Changes {
		old, _ := c.Old.(Zone)
		now, ok := c.New.(Zone)
		if ok && old.Signed && !now.Signed {
			out = append(out, old)
		}
	}
	return out
}

// askUnsigned refuses to destroy the keys of a zone unasked: while its parent has a DS record, resolvers that validate take
// a zone without signatures for forged (RFC 4035 5.2), and nobody reaches it.
func (j *judge) askUnsigned(p Plan) {
	for _, z := range unsigned(p) {
		o := z.From
		if slices.ContainsFunc(j.allowed, func(a allowance) bool { return a.names(o) }) {
			continue
		}
		j.refuse(o, allowRef(o), nil, "Zone %s would no longer be signed, and while its parent has DS records nobody who validates reaches it; "+
			"have the registrar remove them, wait for their TTL, then allow it", o.Name)
	}
}
