package planner

import (
	"maps"

	"hostctl/schema"
)

// A suspended tenant keeps all that it has, and nothing of it runs or lets anybody in: its users, and those of its databases and
// of Valkey, are locked, its vhosts answer 503 by themselves, and what runs its code is taken away until it is suspended no more. Its
// folders, databases, zones, mail, routes, certificates and secrets stay, and go on being changed.

// suspendedIn returns why each suspended tenant of a manifest is; nil where there is none.
func suspendedIn(m schema.Manifest) map[string]string {
	var all map[string]string
	for i := range m.Tenants {
		t := &m.Tenants[i]
		if !t.Suspended {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[t.Name] = t.SuspendReason
	}
	return all
}

// either is what is in one or the other, the second before the first.
func either(a, b map[string]string) map[string]string {
	if len(a) == 0 {
		return b
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func (x *expansion) isSuspended(tenant string) bool {
	_, is := x.suspended[tenant]
	return is
}

// suspendRedirects lets the first site of each suspended tenant answer for the host names that lead elsewhere.
func (x *expansion) suspendRedirects(fqdns map[[2]string][]*schema.FQDN) {
	if len(x.suspended) == 0 {
		return
	}
	first := map[string]string{}
	for i := len(x.m.Webroots) - 1; i >= 0; i-- { // sorted by tenant and name
		first[x.m.Webroots[i].Tenant] = x.m.Webroots[i].Name
	}
	for tenant := range x.suspended {
		away, site := [2]string{tenant, ""}, [2]string{tenant, first[tenant]}
		switch {
		case len(fqdns[away]) == 0:
			continue
		case site[1] == "":
			x.stand(tenant, "tenant %s is suspended, and has no site that could say so: the host names that it sends elsewhere still go there", tenant)
			continue
		}
		for _, f := range fqdns[away] {
			here := *f
			here.Redirect = nil
			fqdns[site] = append(fqdns[site], &here)
		}
		delete(fqdns, away)
	}
}

// suspends reports whether an object goes for as long as its tenant is suspended. It is no loss: it comes back, made of
// what the repository holds.
func (x *expansion) suspends(o Object) bool {
	switch o.(type) {
	case User, Runtime, Cron:
		return x.isSuspended(o.Owner().Tenant)
	}
	return false
}

// wasSuspended reports whether a user is locked because its tenant is suspended: it counts as one that isn't.
func (x *expansion) wasSuspended(o Object) bool {
	_, was := x.live.Memory.Suspended[o.Owner().Tenant]
	_, user := o.(User)
	return was && user
}

// noteSuspended tells which tenants are suspended, and why: those that the plan changes, and those that weren't, or for
// another reason, when the last plan was applied.
func (d *draft) noteSuspended() {
	changed := map[string]bool{}
	for i := range d.steps {
		if !d.steps[i].off {
			changed[d.tenantOf(i)] = true
		}
	}
	was := d.live.Memory.Suspended
	for i := range d.m.Tenants {
		t := &d.m.Tenants[i]
		before, noted := was[t.Name]
		switch {
		case t.Suspended && (changed[t.Name] || !noted || before != t.SuspendReason):
			d.notef("tenant %s is suspended%s", t.Name, because(t.SuspendReason))
		case !t.Suspended && noted:
			d.notef("tenant %s is suspended no more", t.Name)
		}
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
