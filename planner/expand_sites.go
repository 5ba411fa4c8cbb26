package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/schema"
)

// site is a webroot with what its routes need.
type site struct {
	name      string // "<tenant>.<webroot>"
	webroot   *schema.Webroot
	shard     *group
	fqdns     []*schema.FQDN
	hostnames []string // sorted
}

// siteName names a webroot across tenants.
func siteName(tenant, webroot string) string { return tenant + "." + webroot }

// maxSlug is the longest tenant name that a login can hold: 31 characters, less the prefix.
const maxSlug = 29

// login derives a tenant's Unix login. A name that is too long is cut and hashed; the underscore keeps it from being the
// login of another tenant, for no tenant's name holds one.
func login(tenant string) string {
	if len(tenant) <= maxSlug {
		return "t-" + tenant
	}
	sum := sha256.Sum256([]byte(tenant))
	return "t-" + tenant[:20] + "_" + hex.EncodeToString(sum[:4])
}

// expandSites makes users, webroots, runtimes and vhosts.
func (x *expansion) expandSites() {
	tenants := make(map[string]*schema.Tenant, len(x.m.Tenants))
	plans := map[string]*schema.HostingPlan{}
	for i := range x.m.Plans {
		plans[x.m.Plans[i].Name] = &x.m.Plans[i]
	}
	for i := range x.m.Tenants {
		t := &x.m.Tenants[i]
		tenants[t.Name] = t
		x.expandTenant(t, plans[t.Plan])
	}
	fqdns := make(map[[2]string][]*schema.FQDN, len(x.m.Webroots))
	for i := range x.m.FQDNs {
		f := &x.m.FQDNs[i]
		fqdns[[2]string{f.Tenant, f.Webroot}] = append(fqdns[[2]string{f.Tenant, f.Webroot}], f)
	}
	x.suspendRedirects(fqdns)
	x.sites = make([]site, 0, len(x.m.Webroots))
	for i := range x.m.Webroots {
		w := &x.m.Webroots[i]
		t := tenants[w.Tenant]
		if t == nil || x.shards[t.WebShard] == nil {
			x.problemf("webroot %s of tenant %s: the tenant has no web shard", w.Name, w.Tenant)
			continue
		}
		s := site{name: x.siteOf(w, t.WebShard), webroot: w, shard: x.shards[t.WebShard], fqdns: fqdns[[2]string{w.Tenant, w.Name}]}
		for _, f := range s.fqdns {
			if f.Redirect == nil {
				s.hostnames = append(s.hostnames, f.Hostname)
			}
		}
		slices.Sort(s.hostnames)
		x.expandSite(&s, w, plans[t.Plan])
		x.sites = append(x.sites, s)
	}
	for i := range x.m.Tenants {
		x.expandElsewhere(&x.m.Tenants[i], fqdns[[2]string{x.m.Tenants[i].Name, ""}])
	}
}

func (x *expansion) expandTenant(t *schema.Tenant, plan *schema.HostingPlan) {
	g := x.shards[t.WebShard]
	if t.WebShard == "" {
		return
	}
	if g == nil {
		x.problemf("tenant %s: there is no shard %s", t.Name, t.WebShard)
		return
	}
	owner, uid := ownerOf(t.Meta), x.uid(t.Name)
	owner.Tenant = t.Name
	limits := limitsOf(plan)
	for _, n := range g.nodes {
		u := User{Meta: Meta{Target: n.name, Name: t.Name, From: owner, On: n.ready}, Login: login(t.Name), UID: uid, Locked: t.Suspended, Limits: limits}
		if t.Shell == schema.ShellSFTP {
			u.Keys = t.SSHKeys
		}
		x.add(u)
		x.noteUnenforced(u, t.Plan)
	}
}

func (x *expansion) expandSite(s *site, w *schema.Webroot, plan *schema.HostingPlan) {
	owner, folder := ownerOf(w.Meta), strings.TrimPrefix(s.name, w.Tenant+".")
	root := Webroot{
		Meta:   Meta{Target: s.shard.name, Name: s.name, From: owner, On: x.webrootNeeds(s.shard, w.Tenant)},
		Tenant: w.Tenant, Site: folder, UID: x.uid(w.Tenant), DocumentRoot: w.DocumentRoot, Files: w.Content,
		Purge: w.Deletion == schema.Delete,
	}
	x.add(root)
	x.relocate(root)
	for _, n := range s.shard.nodes {
		user := Ref{KindUser, n.name, w.Tenant}
		needs := []Ref{root.Ref()}
		if w.Runtime.Type != schema.RuntimeStatic {
			r := Runtime{
				Meta:   Meta{Target: n.name, Name: runtimeName(s.name, w.Runtime), From: owner, On: []Ref{user, root.Ref()}},
				Tenant: w.Tenant, Site: folder, Type: w.Runtime.Type, Version: w.Runtime.Version, Login: login(w.Tenant),
				Env: w.Env, INI: w.PHP.INI, FPM: w.PHP.FPM, Command: w.Command, Health: w.Health,
			}
			if w.Runtime.Type.Service() {
				r.Code = codeOf(w.Content)
			}
			x.siteSecrets(&r, n, w)
			if plan != nil {
				r.MemoryLimit, r.TaskLimit = plan.Resources.Memory, plan.Resources.Pids
			}
			if x.isSuspended(w.Tenant) {
				needs = append(needs, user)
				sortRefs(needs)
			} else {
				x.add(r)
				needs = append(needs, r.Ref())
			}
		} else {
			needs = []Ref{user, root.Ref()}
		}
		if len(s.hostnames) == 0 {
			continue
		}
		x.add(Vhost{
			Meta:   Meta{Target: n.name, Name: s.name, From: owner, On: needs},
			Tenant: w.Tenant, Site: folder, Hostnames: s.hostnames, DocumentRoot: w.DocumentRoot,
			Type: w.Runtime.Type, Version: w.Runtime.Version, Redirects: w.Redirects, Serving: w.Serving,
			Suspended: x.isSuspended(w.Tenant), Front: n.front(),
		})
	}
}

func runtimeName(site string, r schema.Runtime) string {
	return site + "/" + string(r.Type) + "-" + r.Version
}

// codeOf names what a webroot's files are: a service that has read others is started anew.
func codeOf(files []schema.ContentFile) string {
	if len(files) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%s %s\n", f.Blob, f.Path)
	}
	return hex.EncodeToString(sum.Sum(nil)[:20])
}

// webrootNeeds returns what a folder on a shard's volume needs: the volume, and its user on the node that will make it.
func (x *expansion) webrootNeeds(g *group, tenant string) []Ref {
	if len(g.best) == 0 {
		return nil
	}
	n := g.best[0]
	return []Ref{{KindVolume, n.host.Name, g.dataVolume()}, {KindUser, n.name, tenant}}
}

// siteSecrets puts the secret variables of a site on a node, for its runtime.
func (x *expansion) siteSecrets(r *Runtime, n *node, w *schema.Webroot) {
	if len(w.SecretEnv) == 0 {
		return
	}
	r.Secrets = make(map[string]Held, len(w.SecretEnv))
	for _, name := range slices.Sorted(maps.Keys(w.SecretEnv)) {
		var ref Ref
		ref, r.Secrets[name] = x.secret(n, r.From, schema.KindWebroot, "env."+name, w.SecretEnv[name])
		r.On = append(r.On, ref)
	}
	sortRefs(r.On)
}
