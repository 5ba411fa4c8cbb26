package schema

import (
	"fmt"
	"strings"
)

// checkTenants holds tenants against the limits of their plans.
func (c *catalog) checkTenants() {
	c.checkLimit("Webroots", origins(&c.webroots), func(l Limits) int { return l.Webroots })
	c.checkLimit("host names", origins(&c.fqdns), func(l Limits) int { return l.FQDNs })
	c.checkLimit("Databases", origins(&c.databases), func(l Limits) int { return l.Databases })
	c.checkLimit("DatabaseUsers", origins(&c.users), func(l Limits) int { return l.DatabaseUsers })
	c.checkLimit("ValkeyInstances", origins(&c.instances), func(l Limits) int { return l.ValkeyInstances })
	c.checkLimit("ValkeyUsers", origins(&c.valkeyUsers), func(l Limits) int { return l.ValkeyUsers })
	c.checkLimit("CronJobs", origins(&c.jobs), func(l Limits) int { return l.CronJobs })
	c.checkLimit("Zones", origins(&c.zones), func(l Limits) int { return l.Zones })
	c.checkLimit("RRsets", origins(&c.records), func(l Limits) int { return l.Records })
	c.checkLimit("EmailDomains", origins(&c.mail.domains), func(l Limits) int { return l.EmailDomains })
	c.checkLimit("EmailAccounts", origins(&c.mail.accounts), func(l Limits) int { return l.EmailAccounts })
	c.checkLimit("EmailAliases", origins(&c.mail.aliases), func(l Limits) int { return l.EmailAliases })
	c.checkLimit("EmailForwards", origins(&c.mail.forwards), func(l Limits) int { return l.EmailForwards })
}

func origins[T any](t *table[T]) []*origin {
	out := make([]*origin, len(t.list))
	for i, d := range t.list {
		out[i] = &d.origin
	}
	return out
}

// checkLimit counts resources of one kind by tenant; the first one too many is reported.
func (c *catalog) checkLimit(what string, all []*origin, limitOf func(Limits) int) {
	count := map[string]int{}
	for _, o := range all {
		plan := c.plan(o.meta.Tenant)
		if plan == nil {
			continue
		}
		count[o.meta.Tenant]++
		if limit := limitOf(plan.v.Limits); limit >= 0 && count[o.meta.Tenant] == limit+1 {
			c.fail(o, "", "the HostingPlan %s (%s) allows tenant %s %d %s, and this is one more; remove one, or choose a larger plan",
				plan.meta.Name, plan.meta.Position, o.meta.Tenant, limit, what)
		}
	}
}

// plan is the plan of a tenant, or nil.
func (c *catalog) plan(tenant string) *decl[HostingPlan] {
	t := c.tenants.get(tenant, tenant)
	if t == nil {
		return nil
	}
	if p := c.plans.get("", t.v.Plan); p != nil && !p.broken {
		return p
	}
	return nil
}

// checkWebroots checks what a site asks of its region and plan, and its redirects.
func (c *catalog) checkWebroots() {
	hosts := map[key]map[string]bool{}
	for _, f := range c.fqdns.sound() {
		k := key{f.meta.Tenant, f.v.Webroot}
		if hosts[k] == nil {
			hosts[k] = map[string]bool{}
		}
		hosts[k][f.v.Hostname] = true
	}
	for _, w := range c.webroots.sound() {
		c.checkRuntime(w)
		c.checkMemory(w)
		c.checkRedirects(w, hosts[key{w.meta.Tenant, w.meta.Name}])
		c.checkDocumentRoot(w)
	}
}

// checkRuntime refuses what the region of the tenant's shard doesn't offer.
func (c *catalog) checkRuntime(w *decl[Webroot]) {
	tenant := c.tenants.get(w.meta.Tenant, w.meta.Tenant)
	if tenant == nil || tenant.broken {
		return
	}
	if tenant.v.WebShard == "" {
		c.fail(&w.origin, "", "tenant %s (%s) has no shard for sites; add spec.shards.web there", w.meta.Tenant, tenant.meta.Position)
		return
	}
	region := c.regionOf(tenant.v.WebShard)
	if region == nil {
		return
	}
	var types []string
	for _, offer := range region.v.Runtimes {
		types = append(types, string(offer.Type))
		if offer.Type == w.v.Runtime.Type {
			c.checkOffer(w, region, offer)
			return
		}
	}
	c.fail(&w.origin, "spec.runtime.type", "%s is not offered in region %s; offered: %s", w.v.Runtime.Type, region.meta.Name, strings.Join(types, ", "))
}

// checkOffer refuses a version that isn't among those offered.
func (c *catalog) checkOffer(w *decl[Webroot], region *decl[Region], offer RuntimeOffer) {
	if offer.Type == RuntimeStatic {
		return
	}
	var versions []string
	for _, v := range offer.Versions {
		if v == w.v.Runtime.Version {
			return
		}
		versions = append(versions, fmt.Sprintf("%q", v))
	}
	c.fail(&w.origin, "spec.runtime.version", "%q is not offered in region %s; offered: %s", w.v.Runtime.Version, region.meta.Name, strings.Join(versions, ", "))
}

// regionOf is the region that a shard stands in, or nil.
func (c *catalog) regionOf(shard string) *decl[Region] {
	s := c.shards.get("", shard)
	if s == nil {
		return nil
	}
	cluster := c.clusters.get("", s.v.Cluster)
	if cluster == nil {
		return nil
	}
	if r := c.regions.get("", cluster.v.Region); r != nil && !r.broken {
		return r
	}
	return nil
}

// checkMemory refuses a PHP memory limit above what the plan gives.
func (c *catalog) checkMemory(w *decl[Webroot]) {
	plan, limit := c.plan(w.meta.Tenant), w.v.PHP.INI["memory_limit"]
	if plan == nil || plan.v.Resources.Memory == 0 || limit == "" {
		return
	}
	if iniBytes(limit) > plan.v.Resources.Memory {
		c.fail(&w.origin, "spec.php.ini", "memory_limit %s is above the %d MiB of HostingPlan %s (%s); lower it, or choose a larger plan",
			limit, plan.v.Resources.Memory>>20, plan.meta.Name, plan.meta.Position)
	}
}

// checkDocumentRoot tells a document root that the content leaves empty.
func (c *catalog) checkDocumentRoot(w *decl[Webroot]) {
	if w.v.DocumentRoot == "" || len(w.v.Content) == 0 {
		return
	}
	for _, f := range w.v.Content {
		if strings.HasPrefix(f.Path, w.v.DocumentRoot+"/") {
			return
		}
	}
	c.warn(&w.origin, "spec.documentRoot", "no file of %s/ stands below %s/, so the site is empty", w.content, w.v.DocumentRoot)
}

// checkRedirects refuses redirects that lead to themselves, directly or through each other. A URL whose host is the site's
// own counts as its path.
func (c *catalog) checkRedirects(w *decl[Webroot], own map[string]bool) {
	next := map[string]string{}
	for _, r := range w.v.Redirects {
		next[r.From] = ownPath(r.To, own)
	}
	reported := map[string]bool{}
	for i, r := range w.v.Redirects {
		loop := loopFrom(r.From, next)
		if loop == nil || reported[r.From] {
			continue
		}
		for _, p := range loop {
			reported[p] = true
		}
		if len(loop) == 1 {
			c.fail(&w.origin, redirectField(i), "%s is redirected to itself; take it out, or send it elsewhere", r.From)
			continue
		}
		c.fail(&w.origin, redirectField(i), "redirects go in a circle: %s; take one out", strings.Join(append(loop, r.From), " → "))
	}
}

// ownPath is the path that a redirect leads to on the same site, or "".
func ownPath(to string, own map[string]bool) string {
	if _, rest, ok := strings.Cut(to, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		name, _, _ := strings.Cut(host, ":")
		if !own[name] {
			return ""
		}
		to = "/" + path
	}
	if i := strings.IndexAny(to, "?#"); i >= 0 {
		to = to[:i]
	}
	return to
}

// loopFrom follows next from a start; it is the way round if that comes back to the start, or nil.
func loopFrom(start string, next map[string]string) []string {
	way := []string{start}
	for at := next[start]; at != ""; at = next[at] {
		if at == start {
			return way
		}
		if len(way) > len(next) {
			return nil
		}
		way = append(way, at)
	}
	return nil
}
