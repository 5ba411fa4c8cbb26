package schema

import "gopkg.in/yaml.v3"

// ExternalHAProxy is an HAProxy that hostctl hasn't made, on the machine that runs hostctl. It is driven by its command
// socket and by the file of the map that its configuration leads requests by.
type ExternalHAProxy struct {
	Socket string // Unix socket, level admin
	Map    string // file, under the name that haproxy.cfg has for it
	Adopt  bool   // entries and servers that are there are taken over when they are declared
}

// haproxy decodes the load balancers of a cluster: managed ones, or an external one.
func (d *decoder) haproxy(parts *yaml.Node) (Infrastructure, *ExternalHAProxy) {
	external := d.external(child(parts, "haproxy"))
	if external == nil {
		return d.infrastructure(parts, "haproxy"), nil
	}
	return Infrastructure{}, &ExternalHAProxy{
		Socket: d.value(child(external, "socket"), checkAbsPath),
		Map:    d.value(child(external, "map"), checkAbsPath),
		Adopt:  d.flag(child(external, "adopt"), false),
	}
}

// checkExternal refuses what an HAProxy that hostctl hasn't made isn't told to do: it leads host names to backends.
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
		const text = "the HAProxy of cluster %s (%s) wasn't made by hostctl, which leads host names to sites there and nothing more; take it out, and set it up in haproxy.cfg"
		switch {
		case f.v.TLS:
			c.fail(&f.origin, "spec.tls", text, cluster.meta.Name, cluster.meta.Position)
		case f.v.Redirect != nil:
			c.fail(&f.origin, "spec.redirect", text, cluster.meta.Name, cluster.meta.Position)
		}
	}
}
