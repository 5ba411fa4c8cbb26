package schema

import (
	"reflect"
	"slices"
	"sort"
	"strings"
)

// nameIndex tells whose names have to do with each other: which tenants' checks look at a name, and who declares it. It
// knows one tenant for each, and several as several.
type nameIndex map[string]nameUse

// nameUse says whose checks look at a name, and who declares it: a tenant, nobody ("") or several.
type nameUse struct{ looks, declares string }

// several stands for more than one tenant, or the platform beside one; it is no tenant's name.
const several = "*"

func (u *nameUse) note(tenant string, declares bool) {
	at := &u.looks
	if declares {
		at = &u.declares
	}
	switch *at {
	case tenant:
	case "":
		*at = tenant
	default:
		*at = several
	}
}

// tenantNames are the domain names that the checks of one tenant's resources have to do with.
type tenantNames struct {
	declares []string // zones, host names, owner names of records
	targets  []string // that records and name servers point at
}

// namesOf collects the names of a tenant, "" for the platform. What lies in a tenant's own zone stands for that zone: whoever
// looks at a name looks at those above it too, and nobody else may have names in it. In the platform's zones tenants may.
func namesOf(m *Manifest, tenant string) tenantNames {
	var n tenantNames
	zones := of(m.Zones, tenant, func(v *Zone) string { return v.Tenant })
	own := make(map[string]bool, len(zones))
	for i := range zones {
		own[zones[i].Domain] = tenant != ""
	}
	top := func(name string) string {
		name = strings.TrimPrefix(strings.TrimSuffix(name, "."), "*.")
		for up := name; up != ""; up = parentDomain(up) {
			if own[up] {
				name = up
			}
		}
		return name
	}
	for i := range zones {
		n.declares = append(n.declares, top(zones[i].Domain))
		for _, server := range zones[i].Nameservers {
			n.targets = append(n.targets, top(server))
		}
	}
	fqdns := of(m.FQDNs, tenant, func(v *FQDN) string { return v.Tenant })
	for i := range fqdns {
		n.declares = append(n.declares, top(fqdns[i].Hostname))
	}
	records := of(m.Records, tenant, func(v *ZoneRecord) string { return v.Tenant })
	for i := range records {
		n.declares = append(n.declares, top(records[i].FQDN))
		switch records[i].Type {
		case "CNAME", "MX", "NS", "SRV":
			for _, v := range records[i].Values {
				n.targets = append(n.targets, top(v[strings.LastIndexByte(v, ' ')+1:]))
			}
		}
	}
	domains := of(m.EmailDomains, tenant, func(v *EmailDomain) string { return v.Tenant })
	for i := range domains {
		n.declares = append(n.declares, top(domains[i].Domain))
		for _, server := range domains[i].Servers {
			n.targets = append(n.targets, top(server))
		}
	}
	forwards := of(m.EmailForwards, tenant, func(v *EmailForward) string { return v.Tenant })
	for i := range forwards {
		for _, d := range forwards[i].Destinations {
			n.targets = append(n.targets, top(domainOf(d)))
		}
	}
	slices.Sort(n.declares)
	slices.Sort(n.targets)
	n.declares, n.targets = slices.Compact(n.declares), slices.Compact(n.targets)
	return n
}

// of are the resources of a tenant in a slice that is sorted by tenant.
func of[T any](all []T, tenant string, tenantOf func(*T) string) []T {
	begin, end := rangeOf(all, tenant, tenantOf)
	return all[begin:end]
}

func search(n int, f func(int) bool) int { return sort.Search(n, f) }

// eachLook calls fn with each name that checks look at: the names, their targets, and all above them.
func (n tenantNames) eachLook(fn func(name string)) {
	for _, list := range [][]string{n.declares, n.targets} {
		for _, name := range list {
			for up := name; up != ""; up = parentDomain(up) {
				fn(up)
			}
		}
	}
}

// indexNames indexes the names of all tenants and of the platform.
func indexNames(m *Manifest) nameIndex {
	x := make(nameIndex, len(m.Zones)*2)
	tenants := make([]string, len(m.Tenants))
	for i := range m.Tenants {
		tenants[i] = m.Tenants[i].Tenant
	}
	x.add(tenants, *m)
	// What the platform declares is in every load; what it looks at is nobody's to change unnoticed.
	platform := namesOf(m, "")
	platform.eachLook(func(name string) {
		u := x[name]
		u.looks = several
		x[name] = u
	})
	return x
}

// add notes the names of some tenants.
func (x nameIndex) add(tenants []string, m Manifest) {
	names := make([]tenantNames, len(tenants))
	for i, t := range tenants {
		names[i] = namesOf(&m, t)
		for _, name := range names[i].declares {
			u := x[name]
			u.note(t, true)
			x[name] = u
		}
	}
	for i, t := range tenants {
		names[i].eachLook(func(name string) {
			if u := x[name]; u.declares != t {
				u.note(t, false)
				x[name] = u
			}
		})
	}
}

// remove forgets the names of some tenants. What several have to do with stays as it is.
func (x nameIndex) remove(tenants []string, m Manifest) {
	for _, t := range tenants {
		n := namesOf(&m, t)
		n.eachLook(func(name string) {
			u, ok := x[name]
			if !ok {
				return
			}
			if u.declares == t {
				u.declares = ""
			}
			if u.looks == t {
				u.looks = ""
			}
			if u == (nameUse{}) {
				delete(x, name)
				return
			}
			x[name] = u
		})
	}
}

// related returns the other tenants whose names have to do with those of some tenants, as the manifests have them. It is
// false where that isn't known.
func (x nameIndex) related(tenants []string, manifests []Manifest) ([]string, bool) {
	own, more, known := wordsOf(tenants), map[string]bool{}, true
	note := func(tenant string) {
		switch {
		case tenant == several:
			known = false
		case tenant != "" && !own[tenant]:
			more[tenant] = true
		}
	}
	for i := range manifests {
		for _, t := range tenants {
			n := namesOf(&manifests[i], t)
			n.eachLook(func(name string) { note(x[name].declares) })
			for _, name := range n.declares {
				note(x[name].looks)
			}
		}
	}
	return sortedKeys(more), known
}

// unlisted reports whether a manifest holds resources of tenants of which tenantSlices doesn't know.
func unlisted(m Manifest) bool {
	v := reflect.ValueOf(m)
	for _, i := range unlistedFields {
		if v.Field(i).Len() > 0 {
			return true
		}
	}
	return false
}

// listedFields are the slices of a Manifest with resources that tenantSlices has, and those of the platform alone.
var listedFields = wordSet(`Tenants Webroots FQDNs Certificates Databases DatabaseUsers ValkeyInstances ValkeyUsers CronJobs Zones Records EmailDomains EmailAccounts EmailAliases EmailForwards EmailAutoreplies Plans Regions Clusters LBAddresses NodeProfiles Hosts Shards`)

// unlistedFields are the others.
var unlistedFields = func() (out []int) {
	t := reflect.TypeFor[Manifest]()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() != reflect.Struct || listedFields[f.Name] {
			continue
		}
		if _, ok := f.Type.Elem().FieldByName("Meta"); ok {
			out = append(out, i)
		}
	}
	return out
}()
