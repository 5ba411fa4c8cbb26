package schema

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Certificate is what the tenant's host names that it names are answered with, with TLS.
type Certificate struct {
	Meta
	DNSNames []string  // host names of the tenant's FQDNs
	Chain    string    // PEM, one block after the other, the server's certificate first
	Key      Secret    // PEM of its private key; Ref is set
	NotAfter time.Time // of the first certificate
}

// certificateDraft is a Certificate before the file of its chain is known.
type certificateDraft struct {
	certificate Certificate
	chain       string // custom.certRef, relative to the file
}

func decodeCertificate(d *decoder, spec *yaml.Node) any {
	names, custom := child(spec, "dnsNames"), child(spec, "custom")
	chainRef, keyRef := child(custom, "certRef"), child(custom, "keyRef")
	d.mark("spec.dnsNames", names)
	d.mark("spec.custom.certRef", chainRef)
	draft := &certificateDraft{chain: d.value(chainRef, CheckRelPath)}
	for i, n := range items(names) {
		d.mark(dnsNameField(i), n)
		if strings.HasPrefix(n.Value, "*.") {
			d.fail(n, "is a wildcard; name each host name that is to be answered with the certificate, which may itself be one for %s", shorten(n.Value))
			continue
		}
		draft.certificate.DNSNames = append(draft.certificate.DNSNames, parsed(d, n, ParseHostname))
	}
	d.unique(names, draft.certificate.DNSNames)
	if s := d.secret(keyRef); s != nil {
		if s.Generate {
			d.fail(keyRef, "can't be generated: the certificate is for a key that is there; use secretRef")
		}
		draft.certificate.Key = *s
	}
	if child(spec, "issuer") != nil && custom == nil && d.plain(child(spec, "issuer")) == "custom" {
		d.fail(spec, "has no custom; add it with certRef and keyRef")
	}
	return draft
}

func dnsNameField(i int) string { return "spec.dnsNames[" + strconv.Itoa(i) + "]" }

// chains gives each Certificate the chain of its file.
func (l *loader) chains(c *catalog) error {
	for _, d := range c.certificates.list {
		if d.content == "" || d.broken {
			continue
		}
		const field = "spec.custom.certRef"
		p := path.Join(path.Dir(d.meta.Position.File), d.content)
		i, ok := slices.BinarySearchFunc(l.layout.all, p, func(f file, p string) int { return strings.Compare(f.path, p) })
		switch {
		case !ok:
			c.fail(&d.origin, field, "there is no file %s; it must stand beside this file or below", p)
			continue
		case l.layout.odd[p]:
			continue // reported
		case l.layout.all[i].blob == "":
			c.fail(&d.origin, field, "%s has more than %d bytes; a chain has at most %d", p, MaxFileSize, maxChain)
			continue
		}
		b, err := l.tree.Read(l.layout.all[i].blob)
		if err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		found, err := parseChain(b)
		if err != nil {
			c.fail(&d.origin, field, "%s %s", p, err)
			continue
		}
		d.v.Chain, d.v.NotAfter = found.pem, found.leaf.NotAfter
		for i, name := range d.v.DNSNames {
			if name != "" && found.leaf.VerifyHostname(name) != nil {
				c.fail(&d.origin, dnsNameField(i), "%s isn't in the certificate, which is for %s; take it out, or have one issued that has it", name, listed(found.leaf.DNSNames))
			}
		}
	}
	return nil
}

// listed is the first few of a list in words.
func listed(names []string) string {
	if len(names) == 0 {
		return "no name"
	}
	const most = 5
	text := shorten(strings.Join(names[:min(len(names), most)], ", "))
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// linkCertificates gives host names their Certificates. Only the tenant's own may be named.
func (c *catalog) linkCertificates() {
	for _, d := range c.certificates.list {
		for i, name := range d.v.DNSNames {
			f := c.hostnames[name]
			switch {
			case name == "" || d.broken:
			case f == nil || f.meta.Tenant != d.meta.Tenant:
				if !c.unread["tenants/"+d.meta.Tenant] {
					c.fail(&d.origin, dnsNameField(i), "%s is no host name of tenant %s; declare an FQDN, or take it out", name, d.meta.Tenant)
				}
			case f.v.Certificate != "":
				c.fail(&d.origin, dnsNameField(i), "%s has the Certificate %s (%s) already; name it in one", name, f.v.Certificate,
					c.certificates.get(d.meta.Tenant, f.v.Certificate).meta.Position)
			default:
				f.v.Certificate, f.v.TLS = d.meta.Name, true
			}
		}
	}
}

// ExpiresSoon is how long before its end a certificate is told of.
const ExpiresSoon = 14 * 24 * time.Hour

// Expiring returns what is to be said, at a time, of certificates that end soon or have ended. A load balancer takes none
// that has.
func (m Manifest) Expiring(now time.Time) []Warning {
	var out []Warning
	for i := range m.Certificates {
		c := &m.Certificates[i]
		left, on := c.NotAfter.Sub(now), c.NotAfter.UTC().Format(time.DateOnly)
		switch text := "certificate/" + c.Name + ": spec.custom.certRef: "; {
		case left < 0:
			out = append(out, Warning{c.Position, text + "has expired on " + on + ", and no load balancer takes it; have it issued anew"})
		case left < ExpiresSoon:
			out = append(out, Warning{c.Position, text + "expires on " + on + "; have it issued anew"})
		}
	}
	return out
}
