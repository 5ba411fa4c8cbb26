package schema

import (
	"fmt"
	"slices"
	"strings"
)

// mailKinds are the resources of the e-mail kinds.
type mailKinds struct {
	domains     table[EmailDomain]
	accounts    table[EmailAccount]
	aliases     table[EmailAlias]
	forwards    table[EmailForward]
	autoreplies table[EmailAutoreply]
}

// linkEmail fills in what mail domains leave to the platform, and resolves references. An account of another tenant is none.
func (c *catalog) linkEmail(orphans map[string]bool) {
	m := &c.mail
	for _, d := range m.domains.list {
		c.tenantOf(&d.origin, orphans)
		if p := c.platform(); p != nil && len(d.v.Servers) == 0 {
			d.v.Servers = slices.Clone(p.v.MailServers)
		}
		if len(d.v.Servers) == 0 && !d.broken && !c.unread["platform"] {
			c.fail(&d.origin, "spec.servers", "is missing, and the Platform names none; write the host names that take the mail, here or in spec.mail.servers there")
		}
		c.refer(&d.origin, "spec.catchAll", KindEmailAccount, d.v.CatchAll, find(&m.accounts, d.meta.Tenant, d.v.CatchAll))
	}
	for _, d := range m.accounts.list {
		c.tenantOf(&d.origin, orphans)
	}
	for _, d := range m.aliases.list {
		c.tenantOf(&d.origin, orphans)
		for i, a := range d.v.Accounts {
			c.refer(&d.origin, fmt.Sprintf("spec.accounts[%d]", i), KindEmailAccount, a, find(&m.accounts, d.meta.Tenant, a))
		}
	}
	for _, d := range m.forwards.list {
		c.tenantOf(&d.origin, orphans)
	}
	answers := map[key]*decl[EmailAutoreply]{}
	for _, d := range m.autoreplies.list {
		c.tenantOf(&d.origin, orphans)
		c.refer(&d.origin, "spec.account", KindEmailAccount, d.v.Account, find(&m.accounts, d.meta.Tenant, d.v.Account))
		k := key{d.meta.Tenant, d.v.Account}
		if first := answers[k]; first != nil && d.v.Account != "" {
			c.fail(&d.origin, "spec.account", "%s has an automatic reply already (%s); keep one", d.v.Account, first.meta.Position)
		}
		answers[k] = d
	}
}

// checkEmail checks mail domains and addresses against each other.
func (c *catalog) checkEmail() {
	if len(c.mail.domains.list)+len(c.mail.accounts.list)+len(c.mail.aliases.list)+len(c.mail.forwards.list) == 0 {
		return
	}
	domains := c.checkEmailDomains()
	c.checkEmailRecords()
	c.checkAddresses(domains)
	c.checkForwards()
}

// checkEmailDomains refuses mail domains that two declare, or that are another's. It returns them by domain.
func (c *catalog) checkEmailDomains() map[string]*decl[EmailDomain] {
	domains := map[string]*decl[EmailDomain]{}
	for _, d := range c.mail.domains.sound() {
		if first := domains[d.v.Domain]; first != nil {
			c.fail(&d.origin, "spec.domain", "the mail domain %s is declared twice, first by %s at %s; keep one", d.v.Domain, ownerName(first.meta.Tenant), first.meta.Position)
			continue
		}
		domains[d.v.Domain] = d
		if c.inPlatformDomain(&d.origin, "spec.domain", d.v.Domain) {
			continue
		}
		if z := c.zoneOf(d.v.Domain); z != nil && z.meta.Tenant != "" && z.meta.Tenant != d.meta.Tenant {
			c.fail(&d.origin, "spec.domain", "%s lies in the zone %s of tenant %s (%s); only that tenant may receive mail for it",
				d.v.Domain, z.v.Domain, z.meta.Tenant, z.meta.Position)
			continue
		}
		for up := d.v.Domain; up != ""; up = parentDomain(up) {
			if h := c.hostnames[up]; h != nil && h.meta.Tenant != d.meta.Tenant {
				c.fail(&d.origin, "spec.domain", "%s is, or lies below, the host name %s of tenant %s (%s); only that tenant may receive mail for it",
					d.v.Domain, up, h.meta.Tenant, h.v.HostnameAt)
				break
			}
		}
	}
	return domains
}

// checkEmailRecords holds the records that a mail domain gets against those that people declare.
func (c *catalog) checkEmailRecords() {
	all := rrsets{}
	for _, r := range c.records.sound() {
		all[r.v.FQDN] = append(all[r.v.FQDN], r)
	}
	for _, d := range c.mail.domains.sound() {
		if !d.v.ManageDNS {
			continue
		}
		if alias := all.typed(d.v.Domain, "CNAME"); alias != nil {
			c.fail(&d.origin, "spec.domain", "%s is a CNAME (%s), which leaves no room for MX and TXT (RFC 1034 3.6.2); remove it, or set dns: {manage: false}",
				d.v.Domain, alias.meta.Position)
		}
		if txt := all.typed(d.v.Domain, "TXT"); txt != nil && slices.ContainsFunc(txt.v.Values, isSPF) {
			c.fail(&d.origin, "spec.spf", "%s has an SPF policy of its own (%s), and receivers refuse two (RFC 7208 4.5); move it here, or set dns: {manage: false}",
				d.v.Domain, txt.meta.Position)
		}
		for _, s := range d.v.Servers {
			if alias := all.typed(s, "CNAME"); alias != nil {
				c.fail(&d.origin, "spec.servers", "%s is a CNAME (%s), and the target of MX must have addresses itself (RFC 2181 10.3); name %s",
					s, alias.meta.Position, strings.Join(alias.v.Values, " "))
			}
		}
	}
}

// checkAddresses refuses addresses of other domains, and those that two have; and tells domains without a postmaster.
func (c *catalog) checkAddresses(domains map[string]*decl[EmailDomain]) {
	taken := map[string]*origin{}
	take := func(o *origin, address string) {
		d := domains[domainOf(address)]
		switch first := taken[address]; {
		case first != nil:
			c.fail(o, "spec.address", "%s is the address of %s %s already (%s); keep one", address, first.meta.Kind, first.meta.Name, first.meta.Position)
			return
		case d == nil && !c.unread["tenants/"+o.meta.Tenant]:
			c.fail(o, "spec.address", "there is no EmailDomain %s; declare it", domainOf(address))
		case d != nil && d.meta.Tenant != o.meta.Tenant:
			c.fail(o, "spec.address", "the mail domain %s belongs to tenant %s (%s), and only that may have addresses in it", d.v.Domain, d.meta.Tenant, d.meta.Position)
		}
		taken[address] = o
	}
	boxes := map[string]bool{}
	for _, a := range c.mail.accounts.sound() {
		take(&a.origin, a.v.Address)
		boxes[a.v.Address] = true
	}
	for _, a := range c.mail.aliases.sound() {
		take(&a.origin, a.v.Address)
	}
	forwarded := map[string]*origin{}
	for _, f := range c.mail.forwards.sound() {
		switch first := forwarded[f.v.Address]; {
		case first != nil:
			c.fail(&f.origin, "spec.address", "what comes for %s is sent on by %s (%s) already; put the destinations into one", f.v.Address, first.meta.Name, first.meta.Position)
		case !boxes[f.v.Address]:
			take(&f.origin, f.v.Address)
			if f.v.KeepCopy {
				c.fail(&f.origin, "spec.keepCopy", "is for the address of an EmailAccount, and %s is none: there is nowhere to keep it", f.v.Address)
			}
		}
		forwarded[f.v.Address] = &f.origin
	}
	for _, d := range c.mail.domains.sound() {
		if d.v.CatchAll == "" && taken["postmaster@"+d.v.Domain] == nil && !c.unread["tenants/"+d.meta.Tenant] {
			c.warn(&d.origin, "spec.domain", "nobody receives postmaster@%s, which every mail domain must have (RFC 5321 4.5.1); add an EmailAlias", d.v.Domain)
		}
	}
}

// checkForwards refuses forwards that come back to where they began, through aliases and tenants.
func (c *catalog) checkForwards() {
	next := map[string][]string{}
	for _, a := range c.mail.aliases.sound() {
		for _, name := range a.v.Accounts {
			if account := c.mail.accounts.get(a.meta.Tenant, name); account != nil {
				next[a.v.Address] = append(next[a.v.Address], account.v.Address)
			}
		}
	}
	for _, f := range c.mail.forwards.sound() {
		for _, d := range f.v.Destinations {
			next[f.v.Address] = append(next[f.v.Address], received(d))
		}
	}
	reported := map[string]bool{}
	for _, f := range c.mail.forwards.sound() {
		if loop := wayBack(f.v.Address, next); loop != nil && !reported[f.v.Address] {
			for _, a := range loop {
				reported[a] = true
			}
			c.fail(&f.origin, "spec.destinations", "mail would go in a circle: %s; take one out", strings.Join(append(loop, f.v.Address), " → "))
		}
	}
}

// received is the address that mail to a destination comes in for where it is ours: lower case, without a detail behind +
// (RFC 5233).
func received(destination string) string {
	local, domain, _ := strings.Cut(strings.ToLower(destination), "@")
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// wayBack is a way from an address back to it, or nil.
func wayBack(start string, next map[string][]string) []string {
	seen := map[string]bool{}
	var follow func(at string) []string
	follow = func(at string) []string {
		for _, to := range next[at] {
			if to == start {
				return []string{at}
			}
			if seen[to] {
				continue
			}
			seen[to] = true
			if rest := follow(to); rest != nil {
				return append([]string{at}, rest...)
			}
		}
		return nil
	}
	return follow(start)
}
