package schema

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// checkZones checks that a zone is served, and that its own name servers have addresses.
func (c *catalog) checkZones() {
	c.checkTransfers()
	for _, z := range c.zones.sound() {
		if d := c.clusters.get("", z.v.Cluster); d != nil && !d.broken && d.v.PowerDNS.Count == 0 && d.v.ExternalPowerDNS == nil {
			c.fail(&z.origin, "spec.cluster", "the cluster %s (%s) has no name servers; add infrastructure.powerdns there", d.meta.Name, d.meta.Position)
		}
	}
}

// rrsets finds RRsets by owner name, over all zones.
type rrsets map[string][]*decl[ZoneRecord]

// typed is the RRset of a name and type, or nil.
func (s rrsets) typed(name, recordType string) *decl[ZoneRecord] {
	for _, r := range s[name] {
		if r.v.Type == recordType {
			return r
		}
	}
	return nil
}

// hasAddress reports whether a name has an A or AAAA RRset.
func (s rrsets) hasAddress(name string) bool {
	return s.typed(name, "A") != nil || s.typed(name, "AAAA") != nil
}

// checkRecords checks RRsets against each other.
func (c *catalog) checkRecords() {
	all := rrsets{}
	for _, r := range c.records.sound() {
		if first := all.typed(r.v.FQDN, r.v.Type); first != nil && first.v.Zone == r.v.Zone {
			c.fail(&r.origin, r.field("name"), "the RRset %s %s is declared twice, first at %s; put the values into one", r.v.FQDN, r.v.Type, first.meta.Position)
			continue
		}
		all[r.v.FQDN] = append(all[r.v.FQDN], r)
	}
	for _, r := range c.records.sound() {
		zone := c.zones.get(r.meta.Tenant, r.v.Zone)
		if zone == nil || zone.broken {
			continue
		}
		c.checkPlace(r, zone, all)
		c.checkAlone(r, zone, all)
		c.checkTargets(r, all)
		c.checkValues(r)
	}
	for _, z := range c.zones.sound() {
		c.checkGlue(z, all)
	}
}

// checkPlace refuses an RRset where resolvers never look: below a delegation, or in another zone of ours.
func (c *catalog) checkPlace(r *decl[ZoneRecord], zone *decl[Zone], all rrsets) {
	for name := strings.TrimPrefix(r.v.FQDN, "*."); name != zone.v.Domain && isBelow(name, zone.v.Domain); name = parentDomain(name) {
		delegates := r.v.FQDN == name && (r.v.Type == "NS" || r.v.Type == "DS")
		if child := c.domains[name]; child != nil && !delegates {
			c.fail(&r.origin, r.field("name"), "%s belongs to the zone %s of %s (%s); declare it there", r.v.FQDN, name, ownerName(child.meta.Tenant), child.meta.Position)
			return
		}
		if cut := all.typed(name, "NS"); cut != nil && !delegates && !isGlue(r, cut) {
			c.fail(&r.origin, r.field("name"), "%s lies in the part of the zone that is delegated at %s; declare it in that zone, or remove the NS RRset", r.v.FQDN, cut.meta.Position)
			return
		}
	}
}

// isGlue tells the address of a name server that the delegation itself needs.
func isGlue(r, cut *decl[ZoneRecord]) bool {
	return (r.v.Type == "A" || r.v.Type == "AAAA") && slices.Contains(cut.v.Values, r.v.FQDN+".")
}

// checkAlone refuses RRsets that can't stand where they do, or beside what they do.
func (c *catalog) checkAlone(r *decl[ZoneRecord], zone *decl[Zone], all rrsets) {
	apex := r.v.FQDN == zone.v.Domain
	switch r.v.Type {
	case "CNAME":
		if apex {
			c.fail(&r.origin, r.field("name"), "a CNAME can't stand at the zone's own name %s, beside SOA and NS (RFC 1034 3.6.2); use A and AAAA, or an FQDN", r.v.FQDN)
			return
		}
		for _, other := range all[r.v.FQDN] {
			if other != r {
				c.fail(&r.origin, r.field("name"), "a CNAME stands alone, and %s has %s too (%s); remove one (RFC 1034 3.6.2)", r.v.FQDN, other.v.Type, other.meta.Position)
				return
			}
		}
		c.checkChain(r, all)
	case "NS":
		if apex {
			c.fail(&r.origin, r.field("name"), "the name servers of the zone itself are its spec.nameservers (%s); write them there", zone.meta.Position)
		}
	case "DS":
		if apex || all.typed(r.v.FQDN, "NS") == nil {
			c.fail(&r.origin, r.field("name"), "a DS RRset stands beside the NS RRset of a delegation, and there is none at %s", r.v.FQDN)
		}
	}
}

// checkChain follows a CNAME through our zones.
func (c *catalog) checkChain(r *decl[ZoneRecord], all rrsets) {
	way := []string{r.v.FQDN}
	for at := r; at != nil && len(at.v.Values) == 1; {
		target := strings.TrimSuffix(at.v.Values[0], ".")
		if i := slices.Index(way, target); i >= 0 {
			if i == 0 {
				c.fail(&r.origin, r.field("values"), "CNAMEs go in a circle: %s; point one elsewhere", strings.Join(append(way, target), " → "))
			}
			return
		}
		if len(way) > 8 {
			c.fail(&r.origin, r.field("values"), "is a chain of more than 8 CNAMEs, which resolvers give up on; point it at its end")
			return
		}
		way = append(way, target)
		at = all.typed(target, "CNAME")
	}
}

// checkTargets refuses mail, service and name server targets that are aliases (RFC 2181 10.3), and tells those that
// have no address in a zone of ours.
func (c *catalog) checkTargets(r *decl[ZoneRecord], all rrsets) {
	if r.v.Type != "MX" && r.v.Type != "NS" && r.v.Type != "SRV" {
		return
	}
	for _, v := range r.v.Values {
		target := strings.TrimSuffix(v[strings.LastIndexByte(v, ' ')+1:], ".")
		if target == "" {
			continue
		}
		if alias := all.typed(target, "CNAME"); alias != nil {
			c.fail(&r.origin, r.field("values"), "%s is a CNAME (%s), and the target of %s must have addresses itself (RFC 2181 10.3); point it at %s",
				target, alias.meta.Position, r.v.Type, strings.Join(alias.v.Values, " "))
			continue
		}
		if zone := c.zoneOf(target); zone != nil && !all.hasAddress(target) && c.hostnames[target] == nil && !wildcard(target, zone, all) {
			c.warn(&r.origin, r.field("values"), "%s has no A or AAAA RRset in the zone %s, so nothing reaches it", target, zone.v.Domain)
		}
	}
}

// zoneOf is the zone of ours that a name is in, or nil.
func (c *catalog) zoneOf(name string) *decl[Zone] {
	for up := name; up != ""; up = parentDomain(up) {
		if z := c.domains[up]; z != nil {
			return z
		}
	}
	return nil
}

// wildcard reports whether a wildcard of the zone answers for a name, or a delegation takes it out of the zone.
func wildcard(name string, zone *decl[Zone], all rrsets) bool {
	for up := parentDomain(name); isBelow(up, zone.v.Domain); up = parentDomain(up) {
		if len(all["*."+up]) > 0 || all.typed(up, "NS") != nil {
			return true
		}
	}
	return false
}

// checkValues tells values that are allowed and seldom meant.
func (c *catalog) checkValues(r *decl[ZoneRecord]) {
	switch r.v.Type {
	case "A", "AAAA":
		for _, v := range r.v.Values {
			if a, err := netip.ParseAddr(v); err == nil && unreachable(a) {
				c.warn(&r.origin, r.field("values"), "%s is a private address, which the internet can't reach", v)
			}
		}
	case "CAA":
		issue := func(v string) bool { return strings.Contains(v, " issue ") }
		if slices.ContainsFunc(r.v.Values, issue) && !slices.ContainsFunc(r.v.Values, func(v string) bool { return issue(v) && strings.Contains(v, acmeCA) }) {
			c.warn(&r.origin, r.field("values"), "keeps the platform from getting certificates for %s; add '0 issue %q'", r.v.FQDN, acmeCA)
		}
	}
}

// acmeCA is the certificate authority that the platform will use, as CAA records name it.
const acmeCA = "letsencrypt.org"

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

func unreachable(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || sharedSpace.Contains(a)
}

// checkGlue refuses a zone that is served by names in itself which have no address.
func (c *catalog) checkGlue(z *decl[Zone], all rrsets) {
	if c.unread["tenants/"+z.meta.Tenant] || z.meta.Tenant == "" && c.unread["platform"] {
		return
	}
	for i, ns := range z.v.Nameservers {
		if c.zoneOf(ns) != z {
			continue
		}
		if alias := all.typed(ns, "CNAME"); alias != nil {
			c.fail(&z.origin, fmt.Sprintf("spec.nameservers[%d]", i), "%s is a CNAME (%s); a name server must have addresses itself (RFC 2181 10.3)", ns, alias.meta.Position)
		} else if !all.hasAddress(ns) {
			c.fail(&z.origin, fmt.Sprintf("spec.nameservers[%d]", i), "the name server %s lies in the zone itself and has no address; add an A record for it", ns)
		}
	}
}
