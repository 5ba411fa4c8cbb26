package schema

import (
	"strings"

	"golang.org/x/net/idna"
)

// checkDomains refuses zones that two declare, or that lie in what another owns.
func (c *catalog) checkDomains() {
	for _, z := range c.zones.sound() {
		if first, ok := c.domains[z.v.Domain]; ok {
			c.fail(&z.origin, "spec.domain", "the zone %s is declared twice, first by %s at %s; keep one", z.v.Domain, ownerName(first.meta.Tenant), first.meta.Position)
			continue
		}
		c.domains[z.v.Domain] = z
	}
	for _, z := range c.zones.sound() {
		if c.inPlatformDomain(&z.origin, "spec.domain", z.v.Domain) {
			continue
		}
		c.checkResembles(&z.origin, "spec.domain", z.v.Domain)
		for up := parentDomain(z.v.Domain); up != ""; up = parentDomain(up) {
			if above := c.domains[up]; above != nil && above.meta.Tenant != z.meta.Tenant {
				c.fail(&z.origin, "spec.domain", "%s lies in the zone %s of %s (%s); only the same owner may declare a zone below it",
					z.v.Domain, up, ownerName(above.meta.Tenant), above.meta.Position)
				break
			}
		}
	}
}

// inPlatformDomain refuses a tenant's name that is the platform's domain or below it.
func (c *catalog) inPlatformDomain(o *origin, field, name string) bool {
	p := c.platform()
	if p == nil || p.v.Domain == "" || o.meta.Tenant == "" || !isBelow(name, p.v.Domain) {
		return false
	}
	c.fail(o, field, "%s lies in the platform's own domain %s (%s), which tenants can't use; choose another name", name, p.v.Domain, p.at("spec.domain"))
	return true
}

// checkHostnames refuses host names that two declare, or that lie in what another tenant owns.
func (c *catalog) checkHostnames() {
	sound := c.fqdns.sound()
	for _, f := range sound {
		if first, ok := c.hostnames[f.v.Hostname]; ok {
			c.fail(&f.origin, "spec.hostname", "the host name %s is declared twice, first by %s at %s; keep one",
				f.v.Hostname, ownerName(first.meta.Tenant), first.v.HostnameAt)
			continue
		}
		c.hostnames[f.v.Hostname] = f
	}
	for _, f := range sound {
		if c.hostnames[f.v.Hostname] == f && !c.inPlatformDomain(&f.origin, "spec.hostname", f.v.Hostname) {
			c.checkOwnDomain(f)
			c.checkResembles(&f.origin, "spec.hostname", f.v.Hostname)
		}
	}
}

// checkOwnDomain refuses a host name below another tenant's zone or host name. Below a zone of the platform every tenant
// may have names.
func (c *catalog) checkOwnDomain(f *decl[FQDN]) {
	for up := f.v.Hostname; up != ""; up = parentDomain(up) {
		if z := c.domains[up]; z != nil {
			if z.meta.Tenant != f.meta.Tenant && z.meta.Tenant != "" {
				c.fail(&f.origin, "spec.hostname", "%s lies in the zone %s of tenant %s (%s); only that tenant may use it",
					f.v.Hostname, up, z.meta.Tenant, z.meta.Position)
			}
			return
		}
		if other := c.hostnames[up]; other != nil && other.meta.Tenant != f.meta.Tenant {
			c.fail(&f.origin, "spec.hostname", "%s lies below the host name %s of tenant %s (%s); only that tenant may use it",
				f.v.Hostname, up, other.meta.Tenant, other.v.HostnameAt)
			return
		}
	}
}

// checkResembles tells a tenant's name that could be taken for the platform's.
func (c *catalog) checkResembles(o *origin, field, name string) {
	p := c.platform()
	if p == nil || p.v.Domain == "" || o.meta.Tenant == "" {
		return
	}
	tail := lastLabels(name, strings.Count(p.v.Domain, ".")+1)
	if tail != p.v.Domain && (strings.Contains(tail, "xn--") || len(tail) <= len(p.v.Domain)*2) && skeleton(tail) == skeleton(p.v.Domain) {
		shown, err := idna.ToUnicode(tail)
		if err != nil {
			shown = tail
		}
		c.warn(o, field, "%q looks like the platform's domain %s; is that meant?", shown, p.v.Domain)
	}
}

// lastLabels is the end of a name, n labels long.
func lastLabels(name string, n int) string {
	at := len(name)
	for ; n > 0 && at > 0; n-- {
		at = strings.LastIndexByte(name[:at], '.')
	}
	return name[at+1:]
}

// lookAlikes are the letters that are most often used to imitate a Latin name (Unicode technical standard 39,
// confusables), and digits and pairs of letters that do the same in ASCII.
var lookAlikes = strings.NewReplacer(
	"rn", "m", "vv", "w", "cl", "d", "0", "o", "1", "l", "i", "l", "5", "s",
	"а", "a", "в", "b", "с", "c", "ԁ", "d", "е", "e", "ё", "e", "ɡ", "g", "һ", "h", "і", "l", "ї", "l", "ј", "j", "к", "k", "ӏ", "l", "м", "m", "п", "n",
	"о", "o", "р", "p", "ԛ", "q", "г", "r", "ѕ", "s", "т", "t", "у", "y", "ԝ", "w", "х", "x",
	"α", "a", "γ", "y", "ε", "e", "η", "n", "ι", "l", "κ", "k", "ν", "v", "ο", "o", "ρ", "p", "τ", "t", "υ", "u", "χ", "x",
	"à", "a", "á", "a", "â", "a", "ä", "a", "å", "a", "ç", "c", "è", "e", "é", "e", "ê", "e", "ë", "e", "ì", "l", "í", "l", "î", "l", "ï", "l", "ı", "l",
	"ñ", "n", "ò", "o", "ó", "o", "ô", "o", "ö", "o", "ø", "o", "ù", "u", "ú", "u", "û", "u", "ü", "u", "ý", "y", "ŧ", "t", "ţ", "t", "ģ", "g", "ş", "s", "ś", "s",
)

// skeleton is a name with letters that look alike made equal.
func skeleton(name string) string {
	shown, err := idna.ToUnicode(name)
	if err != nil {
		shown = name
	}
	return lookAlikes.Replace(shown)
}
