package planner

import (
	"net/netip"
	"slices"
	"strings"

	"hostctl/schema"
)

// dnsTables finds zones and explicit records by name.
type dnsTables struct {
	zones    map[string]*schema.Zone // by domain
	explicit map[[2]string]*schema.ZoneRecord
}

// expandDNS makes zones, the RRsets that people declare, and those that host names get by themselves.
func (x *expansion) expandDNS() {
	t := dnsTables{zones: map[string]*schema.Zone{}, explicit: map[[2]string]*schema.ZoneRecord{}}
	byName := map[[2]string]*schema.Zone{}
	for _, c := range x.clusters {
		x.expandCatalog(c)
	}
	for i := range x.m.Zones {
		z := &x.m.Zones[i]
		t.zones[z.Domain] = z
		byName[[2]string{z.Tenant, z.Name}] = z
		x.expandZone(z)
	}
	policies := x.mailPolicies()
	for i := range x.m.Records {
		r := &x.m.Records[i]
		z := byName[[2]string{r.Tenant, r.Zone}]
		if z == nil {
			x.problemf("record %s: there is no zone %s", r.Name, r.Zone)
			continue
		}
		t.explicit[[2]string{r.FQDN, r.Type}] = r
		x.expandRecord(z, r, policies)
	}
	x.expandMail(&t)
	x.publishedAddresses()
	for i := range x.sites {
		for _, f := range x.sites[i].fqdns {
			if f.ManageDNS {
				x.expandHostname(&t, x.sites[i].shard, f)
			}
		}
	}
}

func (x *expansion) expandZone(z *schema.Zone) {
	c := x.clusters[z.Cluster]
	at, ok := c.nameServers()
	if !ok {
		x.problemf("zone %s: cluster %s has no name servers; set infrastructure.powerdns of the cluster, or remove the zone", z.Domain, z.Cluster)
		return
	}
	nameservers := slices.Clone(z.Nameservers)
	if len(nameservers) == 0 {
		nameservers = slices.Clone(x.m.Platform.Nameservers)
	}
	slices.Sort(nameservers)
	o := Zone{
		Meta:        Meta{Target: at.target, Name: z.Domain, From: ownerOf(z.Meta), On: at.ready},
		Nameservers: nameservers, Hostmaster: x.m.Platform.Hostmaster, TTL: firstOf(z.TTL, x.m.Platform.TTL),
		Signed: z.DNSSEC,
	}
	if t, needs := x.transferOf(c); t != nil {
		o.Transfer, o.On = t, append(slices.Clone(o.On), needs...)
		sortRefs(o.On)
	}
	x.noteSigning(o)
	x.add(o)
}

func (x *expansion) expandRecord(z *schema.Zone, r *schema.ZoneRecord, policies map[string]*schema.EmailDomain) {
	if r.FQDN == z.Domain && (r.Type == "NS" || r.Type == "SOA") {
		x.problemf("%s:%d: record %s: %s of the zone itself is made from the zone; set nameservers of zone %s", r.Position.File, r.Position.Line, r.Name, r.Type, z.Name)
		return
	}
	values := slices.Clone(r.Values)
	if e := policies[r.FQDN]; e != nil && r.Type == "TXT" && e.Tenant == r.Tenant {
		values = append(values, e.SPFRecord())
	}
	slices.Sort(values)
	x.addRRset(z, RRset{
		Meta: Meta{From: ownerOf(r.Meta)}, FQDN: r.FQDN, Type: r.Type,
		TTL: firstOf(r.TTL, z.TTL, x.m.Platform.TTL), Values: values,
	}, nil)
}

func (x *expansion) addRRset(z *schema.Zone, r RRset, routes []Ref) {
	at, ok := x.clusters[z.Cluster].nameServers()
	if !ok {
		return // expandZone has said so
	}
	r.Zone, r.Target, r.Name = z.Domain, at.target, z.Domain+"/"+r.FQDN+"/"+r.Type
	r.On = make([]Ref, 0, 2+len(routes))
	r.On = append(append(append(r.On, at.ready...), Ref{KindZone, at.target, z.Domain}), routes...)
	x.add(r)
}

// expandHostname gives a host name its A and AAAA in the closest zone that is ours, unless a person has said otherwise.
func (x *expansion) expandHostname(t *dnsTables, shard *group, f *schema.FQDN) {
	z := t.closest(f.Hostname)
	switch {
	case z == nil || shard.drain || shard.count == 0:
		return
	case z.Tenant != "" && z.Tenant != f.Tenant:
		x.stand(f.Tenant, "%s gets no automatic record: its zone %s is another tenant's", f.Hostname, z.Domain)
		return
	}
	var routes []Ref
	for _, lb := range shard.cluster.lb.nodes {
		if shard.cluster.lb.serves(lb) || x.mayServe(lb) {
			routes = append(routes, Ref{KindRoute, lb.name, f.Hostname})
		}
	}
	for _, family := range []struct {
		rrtype string
		values []string
	}{{"A", shard.cluster.v4}, {"AAAA", shard.cluster.v6}} {
		r := t.explicit[[2]string{f.Hostname, family.rrtype}]
		if r == nil {
			r = t.explicit[[2]string{f.Hostname, "CNAME"}]
		}
		switch {
		case len(family.values) == 0:
		case r != nil:
			x.stand(f.Tenant, "%s %s: the record at %s:%d wins over the automatic one", f.Hostname, family.rrtype, r.Position.File, r.Position.Line)
		default:
			x.addRRset(z, RRset{
				Meta: Meta{From: ownerOf(f.Meta)}, FQDN: f.Hostname, Type: family.rrtype,
				TTL: firstOf(f.TTL, x.m.Platform.TTL), Values: family.values,
			}, routes)
		}
	}
}

// automatic reports whether a host name got the RRset by itself: such a one needs its routes.
func (o RRset) automatic() bool { return o.From.Kind == string(schema.KindFQDN) }

// closest returns the zone with the longest domain that a name is in.
func (t *dnsTables) closest(name string) *schema.Zone {
	for {
		if z := t.zones[name]; z != nil {
			return z
		}
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return nil
		}
		name = parent
	}
}

func (x *expansion) publishedAddresses() {
	for _, a := range x.m.LBAddresses {
		c := x.clusters[a.Cluster]
		if c == nil || !a.Published {
			continue
		}
		if ip, err := netip.ParseAddr(a.Address); err == nil && ip.Is4() {
			c.v4 = append(c.v4, a.Address)
		} else {
			c.v6 = append(c.v6, a.Address)
		}
	}
	for _, c := range x.clusters {
		slices.Sort(c.v4)
		slices.Sort(c.v6)
		if len(c.v4)+len(c.v6) == 0 && len(x.m.FQDNs) > 0 && len(x.m.Zones) > 0 {
			x.stand("", "cluster %s has no published LBAddress: its host names get no automatic records", c.Name)
		}
	}
}

func firstOf(numbers ...int) int {
	for _, n := range numbers {
		if n != 0 {
			return n
		}
	}
	return 0
}
