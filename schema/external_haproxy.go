package schema

import "gopkg.in/yaml.v3"

// ExternalHAProxy is an HAProxy that hostctl hasn't made, on the machine that runs hostctl. It is driven by its command
// socket and by files that its configuration names.
type ExternalHAProxy struct {
	Socket  string // Unix socket, level admin
	Map     string // file of the map that leads requests, under the name that haproxy.cfg has for it
	Rules   string // file of the map of what HAProxy answers by itself, in the same way; "": it answers nothing by itself
	CrtList string // file of the list of certificates, in the same way; "": it has none of hostctl's
	Adopt   bool   // entries and servers that are there are taken over when they are declared
}

// haproxy decodes the load balancers of a cluster: managed ones, or an external one.
func (d *decoder) haproxy(parts *yaml.Node) (Infrastructure, *ExternalHAProxy) {
	external := d.external(child(parts, "haproxy"))
	if external == nil {
		return d.infrastructure(parts, "haproxy"), nil
	}
	e := &ExternalHAProxy{
		Socket: d.value(child(external, "socket"), checkAbsPath),
		Map:    d.value(child(external, "map"), checkAbsPath),
		Adopt:  d.flag(child(external, "adopt"), false),
	}
	for _, file := range []struct {
		key string
		at  *string
	}{{"rules", &e.Rules}, {"crtList", &e.CrtList}} {
		if n := child(external, file.key); n != nil {
			*file.at = d.value(n, checkAbsPath)
		}
	}
	for _, key := range []string{"rules", "crtList"} {
		n := child(external, key)
		if v := map[string]string{"rules": e.Rules, "crtList": e.CrtList}[key]; v != "" && (v == e.Map || key == "crtList" && v == e.Rules) {
			d.fail(n, "is the file of another key; give each a file of its own")
		}
	}
	return Infrastructure{}, e
}

// checkExternal refuses what an HAProxy that hostctl hasn't made has no file for.
func (c *catalog) checkExternal() {
	for _, f := range c.fqdns.sound() {
		t := c.tenants.get(f.meta.Tenant, f.meta.Tenant)
		if t == nil || f.broken {
			continue
		}
		shard := c.shards.get("", t.v.WebShard)
		if shard == nil {
			continue
		}
		cluster := c.clusters.get("", shard.v.Cluster)
		if cluster == nil || cluster.v.ExternalHAProxy == nil {
			continue
		}
		const text = "the HAProxy of cluster %[1]s (%[2]s) wasn't made by hostctl, and its resource names no %[3]s; add infrastructure.haproxy.external.%[3]s there (docs/external.md), or take this out"
		lacks := func(field, key string) { c.fail(&f.origin, field, text, cluster.meta.Name, cluster.meta.Position, key) }
		if f.v.TLS && cluster.v.ExternalHAProxy.CrtList == "" {
			lacks("spec.tls", "crtList")
		}
		switch {
		case cluster.v.ExternalHAProxy.Rules != "":
		case f.v.Redirect != nil:
			lacks("spec.redirect", "rules")
		case f.v.ForceHTTPS:
			lacks("spec.forceHTTPS", "rules")
		}
	}
}
