package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// origin is where a resource was declared.
type origin struct {
	meta    Meta
	places  []place
	cluster string // the folder's cluster, below clusters/
	content string // content.path of a Webroot, custom.certRef of a Certificate
	broken  bool
}

// at is the position of a field, or of the nearest thing around it.
func (o *origin) at(field string) Position {
	for f := field; f != ""; f = outer(f) {
		for _, p := range o.places {
			if p.field == f {
				return Position{o.meta.Position.File, int(p.line), int(p.column)}
			}
		}
	}
	return o.meta.Position
}

// outer is the path of the field that a field is part of.
func outer(field string) string {
	return field[:max(strings.LastIndexAny(field, ".["), 0)]
}

// decl is one declared resource.
type decl[T any] struct {
	origin
	v *T
}

// key identifies a resource within its kind.
type key struct{ tenant, name string }

// table is the resources of one kind, in order of their position.
type table[T any] struct {
	list  []*decl[T]
	byKey map[key]*decl[T]
}

// get finds a resource; tenant is "" for the platform's.
func (t *table[T]) get(tenant, name string) *decl[T] { return t.byKey[key{tenant, name}] }

// sound are the resources without errors of their own.
func (t *table[T]) sound() []*decl[T] {
	return slices.DeleteFunc(slices.Clone(t.list), func(d *decl[T]) bool { return d.broken })
}

// catalog is all resources of the repository while they are being linked and checked.
type catalog struct {
	errors   Errors
	warnings []Warning

	platforms    table[Platform]
	plans        table[HostingPlan]
	regions      table[Region]
	clusters     table[Cluster]
	addresses    table[LBAddress]
	profiles     table[NodeProfile]
	hosts        table[Host]
	shards       table[Shard]
	tenants      table[Tenant]
	webroots     table[Webroot]
	fqdns        table[FQDN]
	certificates table[Certificate]
	databases    table[Database]
	users        table[DatabaseUser]
	instances    table[ValkeyInstance]
	valkeyUsers  table[ValkeyUser]
	jobs         table[CronJob]
	zones        table[Zone]
	records      table[ZoneRecord]
	mail         mailKinds

	unread    map[string]bool // folders that declare more than is known, so that nothing is missing from them
	drafts    []*decl[recordDraft]
	hostnames map[string]*decl[FQDN]
	domains   map[string]*decl[Zone]
}

func newCatalog(l *layout) *catalog {
	c := &catalog{unread: map[string]bool{}, hostnames: map[string]*decl[FQDN]{}, domains: map[string]*decl[Zone]{}}
	for _, folder := range l.unread {
		c.unread[folder] = true
	}
	return c
}

// declare enters a resource that a file declares, if the file's folder may declare it.
func (c *catalog) declare(f file, e *entry) {
	o := origin{meta: e.meta, places: e.places, broken: e.broken}
	o.meta.Position.File = f.path
	switch f.top() {
	case "tenants":
		o.meta.Tenant = f.owner()
	case "clusters":
		o.cluster = f.owner()
	}
	if !c.mayStand(f, &o) {
		return
	}
	switch b := e.body.(type) {
	case *Platform:
		add(c, &c.platforms, o, *b)
	case *HostingPlan:
		add(c, &c.plans, o, *b)
	case *Region:
		add(c, &c.regions, o, *b)
	case *Cluster:
		add(c, &c.clusters, o, *b)
	case *LBAddress:
		add(c, &c.addresses, o, *b)
	case *NodeProfile:
		add(c, &c.profiles, o, *b)
	case *Host:
		add(c, &c.hosts, o, *b)
	case *Shard:
		add(c, &c.shards, o, *b)
	case *Tenant:
		add(c, &c.tenants, o, *b)
	case *webrootDraft:
		o.content = b.content
		add(c, &c.webroots, o, b.webroot)
	case *FQDN:
		host := *b
		host.HostnameAt.File = f.path
		c.declareFQDN(o, host)
	case *certificateDraft:
		o.content = b.chain
		add(c, &c.certificates, o, b.certificate)
	case *Database:
		add(c, &c.databases, o, *b)
	case *DatabaseUser:
		add(c, &c.users, o, *b)
	case *ValkeyInstance:
		add(c, &c.instances, o, *b)
	case *ValkeyUser:
		add(c, &c.valkeyUsers, o, *b)
	case *CronJob:
		add(c, &c.jobs, o, *b)
	case *Zone:
		add(c, &c.zones, o, *b)
	case *EmailDomain:
		add(c, &c.mail.domains, o, *b)
	case *EmailAccount:
		add(c, &c.mail.accounts, o, *b)
	case *EmailAlias:
		add(c, &c.mail.aliases, o, *b)
	case *EmailForward:
		add(c, &c.mail.forwards, o, *b)
	case *EmailAutoreply:
		add(c, &c.mail.autoreplies, o, *b)
	case *recordDraft:
		c.drafts = append(c.drafts, &decl[recordDraft]{o, b})
	}
}

// declareFQDN enters a host name. One without a name of its own, and declared by the same tenant twice, is reported for
// what it is.
func (c *catalog) declareFQDN(o origin, host FQDN) {
	first := c.fqdns.get(o.meta.Tenant, host.Hostname)
	if first != nil && first.v.Hostname == host.Hostname && o.meta.Name == host.Hostname && host.Hostname != "" {
		c.fail(&o, "spec.hostname", "the host name %s is declared twice, first at %s; keep one", host.Hostname, first.v.HostnameAt)
		return
	}
	add(c, &c.fqdns, o, host)
}

// add enters a resource into its table; a name that is taken is refused.
func add[T any](c *catalog, t *table[T], o origin, v T) *decl[T] {
	d := &decl[T]{o, &v}
	k := key{o.meta.Tenant, o.meta.Name}
	if first, ok := t.byKey[k]; ok && k.name != "" {
		c.fail(&o, "metadata.name", "is declared twice, first at %s; rename or remove one", first.meta.Position)
		return nil
	}
	if t.byKey == nil {
		t.byKey = map[key]*decl[T]{}
	}
	t.byKey[k] = d
	t.list = append(t.list, d)
	return d
}

// fail reports a problem of a field.
func (c *catalog) fail(o *origin, field, text string, args ...any) {
	at := o.at(field)
	c.errors = append(c.errors, &Error{
		File: at.File, Line: at.Line, Column: at.Column, Kind: o.meta.Kind, Name: o.meta.Name, Field: field, Text: fmt.Sprintf(text, args...),
	})
}

// warn reports what is allowed and probably not meant.
func (c *catalog) warn(o *origin, field, text string, args ...any) {
	name := strings.ToLower(string(o.meta.Kind)) + "/" + o.meta.Name + ": "
	c.warnings = append(c.warnings, Warning{o.at(field), name + field + ": " + fmt.Sprintf(text, args...)})
}

// folders says where resources of each kind may stand.
var folders = map[Kind][]string{
	KindPlatform: {"platform"}, KindHostingPlan: {"platform"}, KindRegion: {"platform"},
	KindCluster: {"clusters"}, KindLBAddress: {"clusters"}, KindHost: {"clusters"}, KindShard: {"clusters"},
	KindNodeProfile: {"clusters", "platform"},
	KindTenant:      {"tenants"}, KindWebroot: {"tenants"}, KindFQDN: {"tenants"},
	KindCertificate: {"tenants"}, KindDatabase: {"tenants"}, KindDatabaseUser: {"tenants"}, KindCronJob: {"tenants"},
	KindValkeyInstance: {"tenants"}, KindValkeyUser: {"tenants"},
	KindEmailDomain: {"tenants"}, KindEmailAccount: {"tenants"}, KindEmailAlias: {"tenants"},
	KindEmailForward: {"tenants"}, KindEmailAutoreply: {"tenants"},
	KindZone: {"tenants", "platform"}, KindZoneRecord: {"tenants", "platform"},
}

// mayStand checks that a file's folder may declare a resource: the folder is the authorisation.
func (c *catalog) mayStand(f file, o *origin) bool {
	allowed := folders[o.meta.Kind]
	if !slices.Contains(allowed, f.top()) {
		c.fail(o, "", "a %s can't be declared below %s/; move it below %s", o.meta.Kind, f.top(), folderNames(allowed))
		return false
	}
	switch owner := f.owner(); {
	case f.top() == "platform":
		return true
	case owner == "":
		c.fail(o, "", "stands directly in %s/; move the file into a folder of its own below it, %s/<name>/", f.top(), f.top())
		return false
	case o.meta.Kind == KindTenant && o.meta.Name != owner && o.meta.Name != "":
		c.fail(o, "metadata.name", "the folder tenants/%s may declare only the tenant %s; move the file to tenants/%s/", owner, owner, o.meta.Name)
		return false
	case o.meta.Kind == KindCluster && o.meta.Name != owner && o.meta.Name != "":
		c.fail(o, "metadata.name", "the folder clusters/%s may declare only the cluster %s; move the file to clusters/%s/", owner, owner, o.meta.Name)
		return false
	}
	return true
}

func folderNames(tops []string) string {
	names := map[string]string{"platform": "platform/", "clusters": "clusters/<cluster>/", "tenants": "tenants/<tenant>/"}
	var out []string
	for _, t := range tops {
		out = append(out, names[t])
	}
	return strings.Join(out, " or ")
}

// manifest collects the resources that are right in themselves.
func (c *catalog) manifest() Manifest {
	m := Manifest{
		Plans:           collect(&c.plans, func(v *HostingPlan) *Meta { return &v.Meta }),
		Regions:         collect(&c.regions, func(v *Region) *Meta { return &v.Meta }),
		Clusters:        collect(&c.clusters, func(v *Cluster) *Meta { return &v.Meta }),
		LBAddresses:     collect(&c.addresses, func(v *LBAddress) *Meta { return &v.Meta }),
		NodeProfiles:    collect(&c.profiles, func(v *NodeProfile) *Meta { return &v.Meta }),
		Hosts:           collect(&c.hosts, func(v *Host) *Meta { return &v.Meta }),
		Shards:          collect(&c.shards, func(v *Shard) *Meta { return &v.Meta }),
		Tenants:         collect(&c.tenants, func(v *Tenant) *Meta { return &v.Meta }),
		Webroots:        collect(&c.webroots, func(v *Webroot) *Meta { return &v.Meta }),
		FQDNs:           collect(&c.fqdns, func(v *FQDN) *Meta { return &v.Meta }),
		Certificates:    collect(&c.certificates, func(v *Certificate) *Meta { return &v.Meta }),
		Databases:       collect(&c.databases, func(v *Database) *Meta { return &v.Meta }),
		DatabaseUsers:   collect(&c.users, func(v *DatabaseUser) *Meta { return &v.Meta }),
		ValkeyInstances: collect(&c.instances, func(v *ValkeyInstance) *Meta { return &v.Meta }),
		ValkeyUsers:     collect(&c.valkeyUsers, func(v *ValkeyUser) *Meta { return &v.Meta }),
		CronJobs:        collect(&c.jobs, func(v *CronJob) *Meta { return &v.Meta }),
		Zones:           collect(&c.zones, func(v *Zone) *Meta { return &v.Meta }),
		Records:         collect(&c.records, func(v *ZoneRecord) *Meta { return &v.Meta }),

		EmailDomains:     collect(&c.mail.domains, func(v *EmailDomain) *Meta { return &v.Meta }),
		EmailAccounts:    collect(&c.mail.accounts, func(v *EmailAccount) *Meta { return &v.Meta }),
		EmailAliases:     collect(&c.mail.aliases, func(v *EmailAlias) *Meta { return &v.Meta }),
		EmailForwards:    collect(&c.mail.forwards, func(v *EmailForward) *Meta { return &v.Meta }),
		EmailAutoreplies: collect(&c.mail.autoreplies, func(v *EmailAutoreply) *Meta { return &v.Meta }),

		Warnings: c.warnings,
	}
	if p := c.platform(); p != nil {
		m.Platform = *p.v
		m.Platform.Meta = p.meta
	}
	slices.SortStableFunc(m.Warnings, func(a, b Warning) int {
		return cmp.Or(strings.Compare(a.Position.File, b.Position.File), cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
	})
	return m
}

// collect copies the sound resources of a table, sorted by tenant and name.
func collect[T any](t *table[T], meta func(*T) *Meta) []T {
	sorted := t.sound()
	slices.SortStableFunc(sorted, func(a, b *decl[T]) int {
		return cmp.Or(strings.Compare(a.meta.Tenant, b.meta.Tenant), strings.Compare(a.meta.Name, b.meta.Name))
	})
	out := make([]T, len(sorted))
	for i, d := range sorted {
		out[i] = *d.v
		*meta(&out[i]) = d.meta
	}
	return out
}
