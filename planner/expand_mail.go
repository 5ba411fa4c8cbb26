package planner

import (
	"strings"

	"hostctl/schema"
)

// mailPolicies returns the mail domains whose SPF policy has its place in DNS, by domain: a TXT RRset that a person declares at
// the same name gets it too, for a name has one RRset of a type.
func (x *expansion) mailPolicies() map[string]*schema.EmailDomain {
	out := make(map[string]*schema.EmailDomain, len(x.m.EmailDomains))
	for i := range x.m.EmailDomains {
		if e := &x.m.EmailDomains[i]; e.ManageDNS {
			out[e.Domain] = e
		}
	}
	return out
}

// expandMail gives mail domains their MX, SPF, DKIM and DMARC in the closest zone that is ours. What a person declares at
// the same name wins, but for the TXT RRset that the SPF policy was added to.
func (x *expansion) expandMail(t *dnsTables) {
	for i := range x.m.EmailDomains {
		e := &x.m.EmailDomains[i]
		z := t.closest(e.Domain)
		switch {
		case !e.ManageDNS:
			continue
		case z == nil || z.Tenant != "" && z.Tenant != e.Tenant:
			x.stand(e.Tenant, "mail domain %s: its zone isn't served here; have these published where it is: %s", e.Domain, published(e))
			continue
		}
		for _, r := range e.Records() {
			x.expandMailRecord(t, z, e, r)
		}
	}
}

func (x *expansion) expandMailRecord(t *dnsTables, z *schema.Zone, e *schema.EmailDomain, r schema.MailRecord) {
	own := t.explicit[[2]string{r.FQDN, r.Type}]
	if own == nil {
		own = t.explicit[[2]string{r.FQDN, "CNAME"}]
	}
	switch {
	case own != nil && r.SPF && own.Tenant == e.Tenant:
	case own != nil:
		x.stand(e.Tenant, "%s %s: the record at %s:%d wins over the one of mail domain %s", r.FQDN, r.Type, own.Position.File, own.Position.Line, e.Domain)
	default:
		x.addRRset(z, RRset{
			Meta: Meta{From: ownerOf(e.Meta)}, FQDN: r.FQDN, Type: r.Type, TTL: firstOf(e.TTL, z.TTL, x.m.Platform.TTL), Values: r.Values,
		}, nil)
	}
}

// published writes the records of a mail domain for those who serve its zone.
func published(e *schema.EmailDomain) string {
	var all []string
	for _, r := range e.Records() {
		for _, v := range r.Values {
			all = append(all, r.FQDN+". "+r.Type+" "+v)
		}
	}
	return strings.Join(all, "; ")
}
