package planner

import (
	"slices"

	"hostctl/schema"
)

// expandRoute makes the route of one host name in a load balancer, after its certificate where it has one. needs are those
// of every name of the site that is served by it.
func (x *expansion) expandRoute(lb *node, s *site, f *schema.FQDN, needs []Ref) {
	r := Route{
		Meta:    Meta{Target: lb.name, Name: f.Hostname, From: ownerOf(f.Meta), On: needs},
		Backend: s.shard.name, ForceHTTPS: f.ForceHTTPS, HSTS: f.HSTS,
	}
	if to := f.Redirect; to != nil {
		r.Backend, r.Redirect, r.Code, r.On = "", to.To, to.Code, lb.ready
	}
	if f.TLS {
		r.On = append(slices.Clone(r.On), x.expandCert(lb, f))
		sortRefs(r.On)
	}
	x.add(r)
}

// expandCert makes the certificate of a host name: the one that the tenant brings, after the secret with its key, or one
// that the load balancer makes for itself.
func (x *expansion) expandCert(lb *node, f *schema.FQDN) Ref {
	c := Cert{Meta: Meta{Target: lb.name, Name: f.Hostname, From: ownerOf(f.Meta), On: lb.ready}}
	brought := x.certs[[2]string{f.Tenant, f.Certificate}]
	if brought == nil {
		c.SelfSigned = true
		x.add(c)
		return c.Ref()
	}
	c.From, c.Chain = ownerOf(brought.Meta), brought.Chain
	secret, held := x.secret(lb, c.From, schema.KindCertificate, "custom.keyRef", brought.Key)
	c.Key, c.On = &held, append(slices.Clone(lb.ready), secret)
	sortRefs(c.On)
	x.add(c)
	return c.Ref()
}

// expandElsewhere notes the host names of a tenant that no site serves: they lead elsewhere, and are where its sites are.
func (x *expansion) expandElsewhere(t *schema.Tenant, fqdns []*schema.FQDN) {
	g := x.shards[t.WebShard]
	if len(fqdns) == 0 {
		return
	}
	if g == nil {
		x.problemf("%s:%d: host name %s: tenant %s has no web shard, whose load balancers would send it elsewhere; add spec.shards.web to the Tenant",
			fqdns[0].Position.File, fqdns[0].Position.Line, fqdns[0].Hostname, t.Name)
		return
	}
	x.sites = append(x.sites, site{shard: g, fqdns: fqdns})
}
