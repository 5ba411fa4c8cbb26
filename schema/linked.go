package schema

import (
	"maps"
	"slices"
	"strings"
)

// linked is a repository that was loaded without an error, and what must be known to load one that differs in some tenants.
type linked struct {
	contents contents
	manifest Manifest
	names    nameIndex
}

// remembersLinked is the ability of a Cache to keep what the last Load without an error made of all tenants. take leaves
// nothing behind, for what was taken is changed in place before it is put back.
type remembersLinked interface {
	takeLinked() *linked
	putLinked(*linked)
}

// loadChanged loads a tree that differs from one that was loaded before in some tenants: it reads, links and checks those
// and the tenants whose names have to do with theirs. It is false where that isn't surely what loading everything would
// come to, and where there is anything to complain of; l is as it was then.
func (l *linked) loadChanged(t Folders, now contents, cache Cache) (Manifest, bool) {
	some, ok := l.contents.changed(now)
	for ok && len(some) <= 16+len(now.tenants)/4 {
		if len(some) == 0 {
			l.contents = now
			return l.manifest, true
		}
		m, err := loadAll(someTenants{t, some}, cache)
		if err != nil {
			return Manifest{}, false // whatever it is, everything has to be looked at to tell it right
		}
		more, ok := l.names.related(some, []Manifest{l.manifest, m})
		if !ok {
			return Manifest{}, false
		}
		if len(more) == 0 {
			return l.replace(some, now, m)
		}
		some = slices.Sorted(maps.Keys(wordsOf(append(some, more...))))
	}
	return Manifest{}, false
}

func wordsOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

// replace puts what was loaded of some tenants in place of what was known of them.
func (l *linked) replace(tenants []string, now contents, m Manifest) (Manifest, bool) {
	if unlisted(m) {
		return Manifest{}, false
	}
	l.names.remove(tenants, l.manifest)
	l.names.add(tenants, m)
	out := l.manifest
	for _, s := range tenantSlices {
		s.splice(&out, &m, tenants)
	}
	out.Parts = maps.Clone(out.Parts)
	for _, t := range tenants {
		if part, ok := m.Parts[t]; ok {
			out.Parts[t] = part
		} else {
			delete(out.Parts, t)
		}
	}
	out.Warnings = spliceWarnings(out.Warnings, m.Warnings, wordsOf(tenants))
	l.contents, l.manifest = now, out
	return out, true
}

// spliceWarnings replaces the warnings of some tenants' files. They are in order of position.
func spliceWarnings(all, part []Warning, tenants map[string]bool) []Warning {
	theirs := func(w Warning) bool { return tenants[tenantOf(w.Position.File)] }
	others := slices.DeleteFunc(slices.Clone(all), theirs)
	part = slices.DeleteFunc(slices.Clone(part), func(w Warning) bool { return !theirs(w) })
	out := slices.Concat(others, part)
	slices.SortStableFunc(out, func(a, b Warning) int { return strings.Compare(a.Position.File, b.Position.File) })
	if len(out) == 0 {
		return nil
	}
	return out
}

// tenantSlice is a slice of a Manifest, sorted by tenant, whose resources may be tenants'.
type tenantSlice struct {
	splice func(into, part *Manifest, tenants []string)
}

// tenantSlices are the slices of a Manifest that may hold tenants' resources. A kind that is in none of them is unlisted:
// a repository that has any is always loaded as a whole.
var tenantSlices = []tenantSlice{
	sliceOf(func(m *Manifest) *[]Tenant { return &m.Tenants }, func(v *Tenant) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]Webroot { return &m.Webroots }, func(v *Webroot) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]FQDN { return &m.FQDNs }, func(v *FQDN) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]Certificate { return &m.Certificates }, func(v *Certificate) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]Database { return &m.Databases }, func(v *Database) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]DatabaseUser { return &m.DatabaseUsers }, func(v *DatabaseUser) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]ValkeyInstance { return &m.ValkeyInstances }, func(v *ValkeyInstance) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]ValkeyUser { return &m.ValkeyUsers }, func(v *ValkeyUser) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]CronJob { return &m.CronJobs }, func(v *CronJob) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]Zone { return &m.Zones }, func(v *Zone) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]ZoneRecord { return &m.Records }, func(v *ZoneRecord) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]EmailDomain { return &m.EmailDomains }, func(v *EmailDomain) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]EmailAccount { return &m.EmailAccounts }, func(v *EmailAccount) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]EmailAlias { return &m.EmailAliases }, func(v *EmailAlias) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]EmailForward { return &m.EmailForwards }, func(v *EmailForward) string { return v.Tenant }),
	sliceOf(func(m *Manifest) *[]EmailAutoreply { return &m.EmailAutoreplies }, func(v *EmailAutoreply) string { return v.Tenant }),
}

func sliceOf[T any](of func(*Manifest) *[]T, tenantOf func(*T) string) tenantSlice {
	return tenantSlice{func(into, part *Manifest, tenants []string) {
		*of(into) = spliced(*of(into), *of(part), tenants, tenantOf)
	}}
}

// spliced is all with the resources of some tenants as they are in part. Both are sorted by tenant, and so is tenants.
func spliced[T any](all, part []T, tenants []string, tenantOf func(*T) string) []T {
	out := make([]T, 0, len(all)+len(part))
	for _, t := range tenants {
		begin, end := rangeOf(all, t, tenantOf)
		out = append(out, all[:begin]...)
		all = all[end:]
		begin, end = rangeOf(part, t, tenantOf)
		out = append(out, part[begin:end]...)
	}
	return append(out, all...)
}

// rangeOf is where a tenant's resources are in a slice that is sorted by tenant.
func rangeOf[T any](all []T, tenant string, tenantOf func(*T) string) (begin, end int) {
	begin = search(len(all), func(i int) bool { return tenantOf(&all[i]) >= tenant })
	for end = begin; end < len(all) && tenantOf(&all[end]) == tenant; end++ { //nolint:revive // it has no body: it only counts
	}
	return begin, end
}
