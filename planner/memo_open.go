package planner

import (
	"cmp"
	"maps"
	"slices"

	"hostctl/schema"
)

// planOpen plans the platform with the open tenants alone. It is false where that may not be the plan of all: then
// everything has to be planned.
func (s *settled) planOpen(m schema.Manifest, live Live, p Policy) (Plan, bool) {
	open := slices.Sorted(maps.Keys(s.open))
	if len(open) > len(s.parts)/2 {
		return Plan{}, false
	}
	some, few := only(m, open), live
	few.State = s.of(open)
	if !s.sameZones(some, m) {
		return Plan{}, false
	}
	d, err := newDraft(some, few, p)
	if err != nil || !s.stands(d, live) {
		return Plan{}, false
	}
	d.m, d.live = m, live
	plan, err := d.plan()
	if err != nil || takesAway(plan) {
		return Plan{}, false
	}
	d.m = some
	s.open = map[string]bool{}
	s.reopen(d)
	return plan, true
}

// of returns the live objects of the platform and of some tenants.
func (s *settled) of(tenants []string) State {
	n := len(s.objects[""])
	for _, t := range tenants {
		n += len(s.objects[t])
	}
	out := make(State, n)
	maps.Copy(out, s.objects[""])
	for _, t := range tenants {
		maps.Copy(out, s.objects[t])
	}
	return out
}

// only returns what a manifest declares of the platform and of some tenants, sorted.
func only(m schema.Manifest, tenants []string) schema.Manifest {
	tenants = slices.DeleteFunc(slices.Clone(tenants), func(t string) bool { return t == "" })
	m.Tenants = pick(m.Tenants, tenants, func(t *schema.Tenant) string { return t.Tenant })
	m.Webroots = pick(m.Webroots, tenants, func(w *schema.Webroot) string { return w.Tenant })
	m.FQDNs = pick(m.FQDNs, tenants, func(f *schema.FQDN) string { return f.Tenant })
	m.Certificates = pick(m.Certificates, tenants, func(c *schema.Certificate) string { return c.Tenant })
	m.Databases = pick(m.Databases, tenants, func(d *schema.Database) string { return d.Tenant })
	m.DatabaseUsers = pick(m.DatabaseUsers, tenants, func(u *schema.DatabaseUser) string { return u.Tenant })
	m.ValkeyInstances = pick(m.ValkeyInstances, tenants, func(v *schema.ValkeyInstance) string { return v.Tenant })
	m.ValkeyUsers = pick(m.ValkeyUsers, tenants, func(u *schema.ValkeyUser) string { return u.Tenant })
	m.CronJobs = pick(m.CronJobs, tenants, func(j *schema.CronJob) string { return j.Tenant })
	m.EmailDomains = pick(m.EmailDomains, tenants, func(e *schema.EmailDomain) string { return e.Tenant })
	m.Zones = pick(m.Zones, append([]string{""}, tenants...), func(z *schema.Zone) string { return z.Tenant })
	m.Records = pick(m.Records, append([]string{""}, tenants...), func(r *schema.ZoneRecord) string { return r.Tenant })
	return m
}

// pick returns the resources of some tenants, both sorted by tenant.
func pick[T any](all []T, tenants []string, tenantOf func(*T) string) []T {
	var out []T
	for _, t := range tenants {
		begin, _ := slices.BinarySearchFunc(all, t, func(v T, t string) int { return cmp.Compare(tenantOf(&v), t) })
		end := begin
		for end < len(all) && tenantOf(&all[end]) == t {
			end++
		}
		out = append(out, all[begin:end]...)
		all = all[end:]
	}
	return out
}

// sameZones takes over the zones of the open tenants. It is false where one that is new or gone may be the zone of
// another tenant's names.
func (s *settled) sameZones(some, all schema.Manifest) bool {
	now := map[string][]string{}
	for i := range some.Zones {
		now[some.Zones[i].Tenant] = append(now[some.Zones[i].Tenant], some.Zones[i].Domain)
	}
	changed := map[string]string{} // the zones that were or are new
	for t := range s.open {
		if slices.Equal(s.domains[t], now[t]) {
			continue
		}
		for _, d := range slices.Concat(s.domains[t], now[t]) {
			if owner, taken := s.zones[d]; taken && owner != t {
				return false
			}
			changed[d] = t
		}
	}
	if len(changed) == 0 {
		return true
	}
	probe := settled{zones: changed}
	theirs := false
	eachName(all, func(tenant, name string) {
		probe.eachZone(name, func(string) { theirs = theirs || !s.open[tenant] })
	})
	if theirs {
		return false
	}
	for d, t := range changed {
		delete(s.zones, d)
		s.domains[t] = now[t]
	}
	for t := range s.open {
		for _, d := range now[t] {
			s.zones[d] = t
		}
	}
	return true
}

// stands reports whether nothing that was left out has a part in what was drafted.
func (s *settled) stands(d *draft, live Live) bool {
	if d.noted[""] || !d.calm() || len(leftHosts(d.m, live)) > 0 {
		return false
	}
	for i := range d.steps {
		if d.tenantOf(i) == "" {
			return false
		}
	}
	for ref := range d.desired {
		if _, have := d.live.State[ref]; !have && live.State[ref] != nil {
			return false // what another tenant had
		}
	}
	apart := true
	eachName(d.m, func(_, name string) {
		s.eachZone(name, func(t string) { apart = apart && (t == "" || s.open[t]) })
	})
	declared := make(map[string]bool, len(d.m.FQDNs))
	for i := range d.m.FQDNs {
		declared[d.m.FQDNs[i].Hostname] = true
	}
	return apart && d.keepsNames(declared)
}

// tenantOf returns the tenant of what a step changes, "" if that is the platform's before or after it.
func (d *draft) tenantOf(i int) (tenant string) {
	for _, o := range []Object{d.steps[i].old, d.steps[i].new} {
		if o == nil {
			continue
		}
		if tenant = o.Owner().Tenant; tenant == "" {
			break
		}
	}
	return tenant
}

// keepsNames reports whether every name that a vhost has, or may have, is declared: another may have taken it else.
func (d *draft) keepsNames(declared map[string]bool) bool {
	keeps := func(o Object) bool {
		v, ok := o.(Vhost)
		return !ok || !slices.ContainsFunc(v.Hostnames, func(h string) bool { return !declared[h] })
	}
	for _, o := range d.live.State {
		if !keeps(o) {
			return false
		}
	}
	for _, why := range d.live.Dirty {
		if !keeps(why.Pending) {
			return false
		}
	}
	return true
}
