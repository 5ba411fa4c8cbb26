package schema

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"gopkg.in/yaml.v3"
)

// ExternalPowerDNS is a PowerDNS that hostctl hasn't made, and drives by its API.
type ExternalPowerDNS struct {
	URL   string // of the API: http(s)://host[:port]
	Key   Secret // with a Ref
	CA    string // file on the machine that runs hostctl; "" means the system's authorities
	Adopt bool   // zones that are there are taken over when they are declared
}

// powerdns decodes the name servers of a cluster: managed ones, or an external one.
func (d *decoder) powerdns(parts *yaml.Node) (Infrastructure, *ExternalPowerDNS) {
	external := d.external(child(parts, "powerdns"))
	if external == nil {
		return d.infrastructure(parts, "powerdns"), nil
	}
	d.mark(externalPowerDNS+".url", child(external, "url"))
	e := &ExternalPowerDNS{
		URL:   d.value(child(external, "url"), checkAPIURL),
		Adopt: d.flag(child(external, "adopt"), false),
	}
	if key := d.secret(child(external, "key")); key != nil {
		e.Key = *key
		if key.Generate {
			d.fail(child(child(external, "key"), "generate"), "would make another key than the server has; use secretRef")
		}
	}
	if ca := child(external, "ca"); ca != nil {
		e.CA = d.value(ca, checkAbsPath)
	}
	return Infrastructure{}, e
}

// external returns what a part of a cluster says of one that hostctl hasn't made; nil where hostctl makes it.
func (d *decoder) external(part *yaml.Node) *yaml.Node {
	managed, external := child(part, "managed"), child(part, "external")
	switch {
	case part == nil || part.Kind != yaml.MappingNode:
	case managed == nil && external == nil:
		d.fail(part, "has neither managed nor external; write one")
	case managed != nil && external != nil:
		d.fail(external, "there is managed too; keep one")
	}
	return external
}

const externalPowerDNS = "spec.infrastructure.powerdns.external"

// checkAPIURL accepts the URL of an API's server, without what would be a part of a request.
func checkAPIURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q isn't the URL of an API; write such as https://ns1.example.com:8081", shorten(s))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || u.Path != "" || u.ForceQuery {
		return errors.New("must be scheme, host and port alone; take the rest out, the key is named by key")
	}
	host := u.Host
	if u.Port() == "" {
		host += ":443" // for the check alone
	}
	if err := checkHostPort(host); err != nil {
		return fmt.Errorf("%q isn't the URL of an API: %w; write such as https://ns1.example.com:8081", shorten(s), err)
	}
	return nil
}

// plainTo returns the host that a URL without TLS leads to, where others may be on the way. It is "" otherwise.
func plainTo(api string) string {
	u, err := url.Parse(api)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return ""
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.IsLoopback() {
		return ""
	}
	return u.Host
}

// linkExternal resolves the keys of what hostctl hasn't made.
func (l *loader) linkExternal(c *catalog) {
	for _, d := range c.clusters.list {
		if d.v.ExternalPowerDNS == nil {
			continue
		}
		e := *d.v.ExternalPowerDNS // the one that was decoded belongs to the cache
		e.Key = l.resolve(c, &d.origin, externalPowerDNS+".key", e.Key)
		d.v.ExternalPowerDNS = &e
		if host := plainTo(e.URL); host != "" {
			c.warn(&d.origin, externalPowerDNS+".url", "sends the key in clear to %s; put a proxy with TLS before the API, or a tunnel between", host)
		}
	}
}
