package schema

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// HostRedirect sends all requests for a host name elsewhere.
type HostRedirect struct {
	To   string // http(s)://host[:port], to which path and query are added; or a whole URL
	Code int    // 301, 302, 307 or 308
}

// HSTS is the Strict-Transport-Security of a host name (RFC 6797 6.1).
type HSTS struct {
	MaxAge            int  `json:"maxAge"` // seconds; 0 makes browsers forget
	IncludeSubDomains bool `json:"includeSubDomains,omitempty"`
	Preload           bool `json:"preload,omitempty"`
}

// traffic decodes how a host name is served.
func (d *decoder) traffic(f *FQDN, n *yaml.Node) {
	f.TLS = d.flag(child(n, "tls"), false)
	f.ForceHTTPS = d.flag(child(n, "forceHTTPS"), false)
	hsts := child(n, "hsts")
	if hsts == nil {
		return
	}
	f.HSTS = &HSTS{
		MaxAge:            int(parsed(d, child(hsts, "maxAge"), ParseDuration) / time.Second),
		IncludeSubDomains: d.flag(child(hsts, "includeSubDomains"), false),
		Preload:           d.flag(child(hsts, "preload"), false),
	}
	const year = 365 * 24 * 60 * 60
	switch {
	case !f.ForceHTTPS:
		d.fail(hsts, "needs forceHTTPS: true, for a browser heeds it only where it came with TLS")
	case f.HSTS.Preload && (!f.HSTS.IncludeSubDomains || f.HSTS.MaxAge < year):
		d.fail(hsts, "preload needs includeSubDomains: true and a maxAge of 365d or more (hstspreload.org)")
	}
}

// hostRedirect decodes where a host name's requests are sent.
func (d *decoder) hostRedirect(n *yaml.Node) *HostRedirect {
	if n == nil {
		return nil
	}
	return &HostRedirect{To: parsed(d, child(n, "to"), ParseHostRedirect), Code: d.integer(child(n, "code"), 301)}
}

// ParseHostRedirect accepts where all requests of a host name are sent: an http or https URL. One without a path stays
// without, for path and query are added to it.
func ParseHostRedirect(s string) (string, error) {
	if strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("%q is a path; write a URL, https://…", shorten(s))
	}
	to, err := ParseRedirectTo(s)
	if err != nil {
		return "", err
	}
	if i := strings.IndexAny(to, "#!*()"); i >= 0 {
		return "", fmt.Errorf("%q holds %q, which isn't allowed here; percent-encode it (RFC 3986)", shorten(s), to[i])
	}
	if _, rest, _ := strings.Cut(s, "://"); !strings.Contains(rest, "/") {
		to = strings.TrimSuffix(to, "/")
	}
	return to, nil
}

// www makes the FQDN of the name with www. before it, where a mode asks for one: both serve the same, or one leads to the
// other. f is the name without.
func (d *decoder) www(n *yaml.Node, f *FQDN, meta Meta, short string) {
	mode := d.plain(n)
	if mode == "" || mode == "none" || f.Hostname == "" {
		return
	}
	if strings.HasPrefix(f.Hostname, "www.") {
		d.fail(n, "is for the name without www.: declare %s instead", strings.TrimPrefix(f.Hostname, "www."))
		return
	}
	name, err := ParseHostname("www." + f.Hostname)
	if err != nil {
		d.fail(n, "%s", err)
		return
	}
	twin := *f
	twin.Hostname = name
	switch mode {
	case "redirect-to-apex":
		twin.Redirect, twin.Webroot = &HostRedirect{To: originOf(f), Code: 301}, ""
	case "redirect-to-www":
		f.Redirect, f.Webroot = &HostRedirect{To: originOf(&twin), Code: 301}, ""
	case "both":
	default:
		return // the shape check has told
	}
	if f.Redirect != nil && twin.Redirect != nil {
		d.fail(n, "is for a name that a Webroot serves; this one is redirected, and so may the other be by an FQDN of its own")
		return
	}
	meta.Name = name
	d.entries = append(d.entries, &entry{meta: meta, body: &twin, short: short, twin: true})
}

// originOf is the URL of a host name.
func originOf(f *FQDN) string {
	if f.TLS || f.ForceHTTPS {
		return "https://" + f.Hostname
	}
	return "http://" + f.Hostname
}

// checkTLS checks what host names ask of TLS, and that those which lead elsewhere don't lead back.
func (c *catalog) checkTLS() {
	next := map[key]map[string]string{} // by tenant: host name -> the one it leads to
	for _, f := range c.fqdns.sound() {
		if f.v.ForceHTTPS && !f.v.TLS {
			c.fail(&f.origin, "spec.forceHTTPS", "needs tls: true, or a Certificate that names %s", f.v.Hostname)
		}
		if f.v.Redirect != nil {
			k := key{tenant: f.meta.Tenant}
			if next[k] == nil {
				next[k] = map[string]string{}
			}
			next[k][f.v.Hostname] = hostOf(f.v.Redirect.To)
		}
	}
	reported := map[string]bool{}
	for _, f := range c.fqdns.sound() {
		if f.v.Redirect == nil || reported[f.v.Hostname] {
			continue
		}
		loop := loopFrom(f.v.Hostname, next[key{tenant: f.meta.Tenant}])
		for _, h := range loop {
			reported[h] = true
		}
		switch {
		case len(loop) == 1:
			c.fail(&f.origin, "spec.redirect", "%s is redirected to itself; take it out, send it elsewhere, or use forceHTTPS", f.v.Hostname)
		case len(loop) > 1:
			c.fail(&f.origin, "spec.redirect", "redirects go in a circle: %s; take one out", strings.Join(slices.Concat(loop, loop[:1]), " → "))
		}
	}
}

// hostOf is the host name in a URL.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	name, _, _ := strings.Cut(host, ":")
	return name
}
