package planner

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Allocated returns the decisions that observed objects show: the host, address and ports of each container, and the
// uids of users and of what is theirs. They are sorted, and are what an inventory that was lost held of them.
func Allocated(s State) []Allocation {
	seen := map[allocKey]string{}
	for _, o := range s {
		switch o := o.(type) {
		case Container:
			seen[allocKey{scopeHost, o.Name}] = o.Target + "#" + o.Name
			seen[allocKey{scopeAddress + o.Cluster, o.Name}] = o.Address
			for _, p := range o.Ports {
				if p.Name != "" { // else nobody asked for it
					seen[allocKey{scopePort + o.Target + "/" + p.Protocol, o.Name + "/" + p.Name}] = strconv.Itoa(p.Host)
				}
			}
		case Valkey:
			seen[allocKey{scopeValkey + o.Target, o.Name}] = strconv.Itoa(o.Port)
		case User:
			seen[allocKey{scopeUID, o.Name}] = strconv.Itoa(o.UID)
		case Webroot:
			seen[allocKey{scopeUID, o.Tenant}] = strconv.Itoa(o.UID)
		}
	}
	as := make([]Allocation, 0, len(seen))
	for k, v := range seen {
		as = append(as, Allocation{Scope: k.scope, Key: k.what, Value: v})
	}
	slices.SortFunc(as, Allocation.compare)
	return as
}

// Owned returns an object as it was observed with the owner and the needs of the one that it was planned as: what is
// observed says neither.
func Owned(observed, planned Object) (Object, error) {
	b, err := json.Marshal(envelope{Ref: observed.Ref(), Owner: planned.Owner(), Needs: planned.Needs(), Spec: content(observed), Found: foundOf(planned)})
	if err != nil {
		return nil, err
	}
	return Decode(b)
}
