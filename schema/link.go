package schema

import (
	"fmt"
	"slices"
	"strings"
)

// link fills in what resources leave to their surroundings, and resolves references. A reference that leads nowhere is
// reported here; later checks pass over it.
func (c *catalog) link() {
	c.linkPlatform()
	c.linkClusters()
	c.linkTenants()
	c.linkZones()
	c.linkRecords()
}

// platform is the one Platform, or nil.
func (c *catalog) platform() *decl[Platform] {
	if len(c.platforms.list) == 0 {
		return nil
	}
	return c.platforms.list[0]
}

func (c *catalog) linkPlatform() {
	if len(c.platforms.list) == 0 && c.unread["platform"] {
		return
	}
	if len(c.platforms.list) == 0 {
		c.errors = append(c.errors, &Error{File: "platform/platform.yaml", Line: 1, Column: 1, Kind: KindPlatform,
			Text: "is missing; declare the Platform there: hostctl schema Platform shows its fields"})
		return
	}
	for _, p := range c.platforms.list[1:] {
		c.fail(&p.origin, "", "there is exactly one Platform, declared at %s; remove one", c.platforms.list[0].meta.Position)
	}
}

// linkClusters resolves references among the platform's own resources.
func (c *catalog) linkClusters() {
	for _, d := range c.clusters.list {
		c.refer(&d.origin, "spec.region", KindRegion, d.v.Region, find(&c.regions, "", d.v.Region))
		c.infrastructure(d, "haproxy", &d.v.HAProxy, RoleLB)
		c.infrastructure(d, "powerdns", &d.v.PowerDNS, RoleDNS)
		c.infrastructure(d, "serviceDB", &d.v.ServiceDB, RoleServiceDB)
	}
	for _, d := range c.addresses.list {
		c.ownCluster(&d.origin, &d.v.Cluster)
	}
	for _, d := range c.hosts.list {
		c.ownCluster(&d.origin, &d.v.Cluster)
	}
	for _, d := range c.shards.list {
		c.ownCluster(&d.origin, &d.v.Cluster)
		c.profile(&d.origin, "spec.profile", d.v.Profile, d.v.Role)
	}
}

// infrastructure checks the profile of a managed part.
func (c *catalog) infrastructure(d *decl[Cluster], part string, i *Infrastructure, role Role) {
	if i.Count > 0 {
		c.profile(&d.origin, "spec.infrastructure."+part+".managed.profile", i.Profile, role)
	}
}

// profile checks that a profile is there and of a role.
func (c *catalog) profile(o *origin, field, name string, role Role) {
	p := c.profiles.get("", name)
	if !c.refer(o, field, KindNodeProfile, name, find(&c.profiles, "", name)) || p.broken || o.broken {
		return
	}
	if p.v.Role != role {
		c.fail(o, field, "the NodeProfile %q (%s) is of role %s; name one of role %s", name, p.meta.Position, p.v.Role, role)
	}
}

// ownCluster fills in the cluster of the folder, and refuses another one.
func (c *catalog) ownCluster(o *origin, name *string) {
	if *name == "" {
		*name = o.cluster
	}
	if *name != o.cluster {
		c.fail(o, "spec.cluster", "is %q, but the file stands in clusters/%s/; leave the key out, or move the file", *name, o.cluster)
		return
	}
	if c.clusters.get("", *name) == nil && !c.unread["clusters"] {
		c.fail(o, "spec.cluster", "the folder clusters/%s declares no Cluster %s; add it", o.cluster, o.cluster)
	}
}

// refer reports a reference that leads nowhere. Both files are named where the target exists elsewhere.
func (c *catalog) refer(o *origin, field string, kind Kind, name string, target target) bool {
	if name == "" {
		return false // reported as missing
	}
	if target.exists {
		return true
	}
	for _, top := range folders[kind] {
		if c.unread[top] || top == "tenants" && c.unread["tenants/"+o.meta.Tenant] {
			return false // it may well be in the file that can't be read
		}
	}
	text := fmt.Sprintf("there is no %s %q", kind, name)
	switch {
	case len(target.others) > 0:
		text += "; " + strings.Join(target.others, ", ")
	case target.near != "":
		text += fmt.Sprintf("; did you mean %q?", target.near)
	case len(target.names) > 0:
		text += "; there are: " + strings.Join(target.names, ", ")
	default:
		text += "; declare it"
	}
	c.fail(o, field, "%s", text)
	return false
}

// target is what a reference found.
type target struct {
	exists bool
	others []string // the same name where it can't be referred to
	names  []string // what could be referred to
	near   string
}

// find looks a reference up. Only if it leads nowhere does it look around for what may be meant.
func find[T any](t *table[T], tenant, name string) target {
	if t.get(tenant, name) != nil {
		return target{exists: true}
	}
	var out target
	for _, d := range t.list {
		switch {
		case d.meta.Tenant == tenant:
			out.names = append(out.names, d.meta.Name)
		case d.meta.Name == name && len(out.others) < 3:
			out.others = append(out.others, fmt.Sprintf("the one at %s belongs to %s, and only that may refer to it", d.meta.Position, ownerName(d.meta.Tenant)))
		}
	}
	slices.Sort(out.names)
	out.near = nearest(name, out.names)
	out.names = out.names[:min(len(out.names), 10)]
	return out
}

// ownerName is a tenant in words.
func ownerName(tenant string) string {
	if tenant == "" {
		return "the platform"
	}
	return "tenant " + tenant
}

// linkTenants resolves references of tenants' resources.
func (c *catalog) linkTenants() {
	orphans := map[string]bool{}
	for _, d := range c.tenants.list {
		c.refer(&d.origin, "spec.plan", KindHostingPlan, d.v.Plan, find(&c.plans, "", d.v.Plan))
		if d.v.WebShard != "" {
			c.shardOf(&d.origin, "spec.shards.web", d.v.WebShard, RoleWeb)
		}
		if d.v.DatabaseShard != "" {
			c.shardOf(&d.origin, "spec.shards.database", d.v.DatabaseShard, RoleDatabase)
		}
		if d.v.ValkeyShard != "" {
			c.shardOf(&d.origin, "spec.shards.valkey", d.v.ValkeyShard, RoleValkey)
		}
	}
	for _, d := range c.webroots.list {
		c.tenantOf(&d.origin, orphans)
	}
	for _, d := range c.fqdns.list {
		c.tenantOf(&d.origin, orphans)
		if d.v.Redirect != nil {
			continue
		}
		c.refer(&d.origin, "spec.webroot", KindWebroot, d.v.Webroot, find(&c.webroots, d.meta.Tenant, d.v.Webroot))
	}
	for _, d := range c.certificates.list {
		c.tenantOf(&d.origin, orphans)
	}
	c.linkDatabases(orphans)
	c.linkValkey(orphans)
	c.linkCronJobs(orphans)
	c.linkEmail(orphans)
	for _, d := range c.zones.list {
		c.tenantOf(&d.origin, orphans)
	}
	for _, d := range c.drafts {
		c.tenantOf(&d.origin, orphans)
	}
}

// tenantOf reports a tenant's folder without its Tenant, once.
func (c *catalog) tenantOf(o *origin, reported map[string]bool) {
	name := o.meta.Tenant
	if name == "" || c.tenants.get(name, name) != nil || reported[name] || c.unread["tenants/"+name] {
		return
	}
	reported[name] = true
	c.fail(o, "", "the folder tenants/%s declares no Tenant %s; add it", name, name)
}

// linkZones fills in what zones leave to the platform and the tenant.
func (c *catalog) linkZones() {
	for _, d := range c.zones.list {
		if p := c.platform(); p != nil && len(d.v.Nameservers) == 0 {
			d.v.Nameservers = slices.Clone(p.v.Nameservers)
		}
		if p := c.platform(); p != nil && d.v.TTL == 0 {
			d.v.TTL = p.v.TTL
		}
		if d.v.Cluster == "" {
			d.v.Cluster = c.defaultCluster(d)
		} else {
			c.refer(&d.origin, "spec.cluster", KindCluster, d.v.Cluster, find(&c.clusters, "", d.v.Cluster))
		}
	}
}

// defaultCluster is the cluster of a zone that names none: the one that serves the tenant's sites, or the only one.
func (c *catalog) defaultCluster(d *decl[Zone]) string {
	if t := c.tenants.get(d.meta.Tenant, d.meta.Tenant); t != nil {
		if s := c.shards.get("", t.v.WebShard); s != nil {
			return s.v.Cluster
		}
	}
	if len(c.clusters.list) == 1 {
		return c.clusters.list[0].meta.Name
	}
	if !d.broken && !c.unread["clusters"] && !c.unread["tenants/"+d.meta.Tenant] {
		c.fail(&d.origin, "spec.cluster", "is missing, and there are %d clusters; name the one whose name servers serve the zone", len(c.clusters.list))
	}
	return ""
}

// linkRecords gives each ZoneRecord its zone, and from it the full name, the TTL and the derived identity.
func (c *catalog) linkRecords() {
	for _, d := range c.drafts {
		zone := c.zones.get(d.meta.Tenant, d.v.zone)
		if zone == nil {
			c.refer(&d.origin, "spec.zone", KindZone, d.v.zone, find(&c.zones, d.meta.Tenant, d.v.zone))
			continue
		}
		if zone.v.Domain == "" || d.v.name == "" && d.broken {
			continue
		}
		c.linkRecord(d, zone)
	}
}

func (c *catalog) linkRecord(d *decl[recordDraft], zone *decl[Zone]) {
	r := d.v.record
	name, err := ParseRecordName(d.v.name, zone.v.Domain)
	if err != nil {
		c.fail(&d.origin, d.field("name"), "%s", err)
		return
	}
	r.FQDN, r.Zone = name, zone.meta.Name
	r.Values = slices.Sorted(slices.Values(r.Values))
	if r.TTL == 0 {
		r.TTL = zone.v.TTL
	}
	derived := name + "/" + r.Type
	if d.v.unnamed {
		d.meta.Name = derived
	}
	if written := d.meta.Name; strings.ContainsAny(written, "./") && written != derived {
		c.fail(&d.origin, "metadata.name", "is %q; leave it out, or write %q or a plain name", shorten(written), derived)
	}
	if first := c.records.get(d.meta.Tenant, derived); first != nil && d.v.unnamed {
		c.fail(&d.origin, d.field("name"), "the RRset %s %s is declared twice, first at %s; put the values into one", name, r.Type, first.meta.Position)
		return
	}
	add(c, &c.records, d.origin, r)
}

// field is the path of a field of a record, which in the short form has no "spec." before it.
func (d *decl[T]) field(name string) string {
	if slices.ContainsFunc(d.places, func(p place) bool { return p.field == "spec."+name }) {
		return "spec." + name
	}
	return name
}
