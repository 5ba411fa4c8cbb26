package schema

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"
)

// specDecoders turn the spec of each kind into its Go type. Shape and types were checked before; they check values.
var specDecoders = map[Kind]func(d *decoder, spec *yaml.Node) any{
	KindPlatform:       decodePlatform,
	KindHostingPlan:    decodeHostingPlan,
	KindRegion:         decodeRegion,
	KindCluster:        decodeCluster,
	KindLBAddress:      decodeLBAddress,
	KindNodeProfile:    decodeNodeProfile,
	KindHost:           decodeHost,
	KindShard:          decodeShard,
	KindTenant:         decodeTenant,
	KindWebroot:        decodeWebroot,
	KindFQDN:           decodeFQDN,
	KindCertificate:    decodeCertificate,
	KindDatabase:       decodeDatabase,
	KindDatabaseUser:   decodeDatabaseUser,
	KindValkeyInstance: decodeValkeyInstance,
	KindValkeyUser:     decodeValkeyUser,
	KindCronJob:        decodeCronJob,
	KindZone:           decodeZone,
	KindZoneRecord:     decodeZoneRecord,
	KindEmailDomain:    decodeEmailDomain,
	KindEmailAccount:   decodeEmailAccount,
	KindEmailAlias:     decodeEmailAlias,
	KindEmailForward:   decodeEmailForward,
	KindEmailAutoreply: decodeEmailAutoreply,
}

// Defaults of what the Platform leaves out.
const (
	DefaultTTL      = 300 // seconds
	DefaultFirstUID = 20000
	DefaultLastUID  = 59999
)

func decodePlatform(d *decoder, spec *yaml.Node) any {
	d.mark("spec.domain", child(spec, "domain"))
	d.mark("spec.nameservers", child(spec, "nameservers"))
	p := &Platform{
		Guardrails:  d.guardrails(child(spec, "guardrails")),
		Keep:        d.keep(child(spec, "keep")),
		Drift:       d.driftPolicy(child(spec, "driftPolicy")),
		Domain:      parsed(d, child(spec, "domain"), ParseHostname),
		Nameservers: list(d, child(spec, "nameservers"), ParseHostname),
		Hostmaster:  d.value(child(spec, "hostmaster"), CheckMailAddress),
		TTL:         d.integer(child(child(spec, "defaults"), "ttl"), DefaultTTL),
		UIDs:        d.span(child(spec, "uidRange"), Range{DefaultFirstUID, DefaultLastUID}),
		Signing:     d.signing(child(spec, "signing")),
		Approvals:   d.approvals(child(spec, "approvals")),
		Unmanaged:   UnmanagedPolicy(d.plain(child(child(spec, "defaults"), "unmanagedRecords"))),
	}
	d.unique(child(spec, "nameservers"), p.Nameservers)
	p.Notifications = d.notifications(child(spec, "notifications"))
	p.MailServers = list(d, child(child(spec, "mail"), "servers"), ParseHostname)
	d.unique(child(child(spec, "mail"), "servers"), p.MailServers)
	return p
}

// span decodes a range; first must not be above last.
func (d *decoder) span(n *yaml.Node, otherwise Range) Range {
	if n == nil {
		return otherwise
	}
	r := Range{First: d.integer(child(n, "first"), otherwise.First), Last: d.integer(child(n, "last"), otherwise.Last)}
	if r.First > r.Last {
		d.fail(n, "first %d is above last %d; swap them", r.First, r.Last)
	}
	return r
}

// unique refuses a value that stands twice in a list.
func (d *decoder) unique(n *yaml.Node, values []string) {
	seen := map[string]bool{}
	for i, v := range values {
		if v != "" && seen[v] {
			d.fail(n.Content[i], "%q stands twice in the list; keep one", v)
		}
		seen[v] = true
	}
}

func decodeHostingPlan(d *decoder, spec *yaml.Node) any {
	limits := child(spec, "limits")
	return &HostingPlan{
		Limits: Limits{
			Webroots:        d.integer(child(limits, "webroots"), -1),
			FQDNs:           d.integer(child(limits, "fqdns"), -1),
			Zones:           d.integer(child(limits, "zones"), -1),
			Records:         d.integer(child(limits, "records"), -1),
			Databases:       d.integer(child(limits, "databases"), -1),
			DatabaseUsers:   d.integer(child(limits, "databaseUsers"), -1),
			ValkeyInstances: d.integer(child(limits, "valkeyInstances"), -1),
			ValkeyUsers:     d.integer(child(limits, "valkeyUsers"), -1),
			ValkeyMemory:    parsed(d, child(limits, "valkeyMemory"), ParseQuantity),
			CronJobs:        d.integer(child(limits, "cronJobs"), -1),
			EmailDomains:    d.integer(child(limits, "emailDomains"), -1),
			EmailAccounts:   d.integer(child(limits, "emailAccounts"), -1),
			EmailAliases:    d.integer(child(limits, "emailAliases"), -1),
			EmailForwards:   d.integer(child(limits, "emailForwards"), -1),
		},
		Resources: d.resources(child(spec, "resources")),
	}
}

func (d *decoder) resources(n *yaml.Node) Resources {
	r := Resources{
		Memory: parsed(d, child(n, "memory"), ParseQuantity),
		Pids:   int64(d.integer(child(n, "pids"), 0)),
		Disk:   parsed(d, child(n, "disk"), ParseQuantity),
		Inodes: int64(d.integer(child(n, "inodes"), 0)),
	}
	if cpu := child(n, "cpu"); cpu != nil && cpu.Kind == yaml.ScalarNode {
		r.CPU, _ = strconv.ParseFloat(cpu.Value, 64) // its type was checked
	}
	return r
}

var versionPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

// CheckVersion accepts the version of a runtime: numbers between dots.
func CheckVersion(s string) error {
	if !versionPattern.MatchString(s) || len(s) > 32 {
		return fmt.Errorf("%q isn't a version; write numbers with dots between them, such as \"8.4\"", shorten(s))
	}
	return nil
}

func decodeRegion(d *decoder, spec *yaml.Node) any {
	r := &Region{DisplayName: d.value(child(spec, "displayName"), func(s string) error { return CheckText(s, 255) })}
	seen := map[RuntimeType]bool{}
	for _, n := range items(child(spec, "runtimes")) {
		offer := RuntimeOffer{
			Type:     RuntimeType(d.plain(child(n, "type"))),
			Versions: list(d, child(n, "versions"), checked(CheckVersion)),
		}
		d.unique(child(n, "versions"), offer.Versions)
		switch {
		case seen[offer.Type]:
			d.fail(n, "offers %s twice; put the versions into one list", offer.Type)
		case offer.Type == RuntimeStatic && len(offer.Versions) > 0:
			d.fail(child(n, "versions"), "a static runtime has no versions; take them out")
		case offer.Type != RuntimeStatic && offer.Type != "" && len(offer.Versions) == 0:
			d.fail(n, "offers %s without a version; add versions", offer.Type)
		}
		seen[offer.Type] = true
		r.Runtimes = append(r.Runtimes, offer)
	}
	return r
}

func decodeCluster(d *decoder, spec *yaml.Node) any {
	subnet := child(child(spec, "network"), "subnet")
	parts := child(spec, "infrastructure")
	d.mark("spec.region", child(spec, "region"))
	d.mark("spec.network.subnet", subnet)
	c := &Cluster{
		Region:    d.value(child(spec, "region"), CheckSlug),
		ServiceDB: d.infrastructure(parts, "serviceDB"),
	}
	c.HAProxy, c.ExternalHAProxy = d.haproxy(parts)
	c.PowerDNS, c.ExternalPowerDNS = d.powerdns(parts)
	c.Transfer = d.transfer(child(child(child(parts, "powerdns"), "managed"), "transfer"))
	if prefix := parsed(d, subnet, ParseSubnet); prefix.IsValid() {
		c.Subnet = prefix.String()
	}
	return c
}

func (d *decoder) infrastructure(parts *yaml.Node, name string) Infrastructure {
	managed := child(child(parts, name), "managed")
	if managed == nil {
		return Infrastructure{}
	}
	d.mark("spec.infrastructure."+name+".managed.profile", child(managed, "profile"))
	return Infrastructure{
		Profile: d.value(child(managed, "profile"), CheckSlug),
		Count:   d.integer(child(managed, "count"), 1),
	}
}

// cluster decodes the reference to a cluster that the folder may stand in for.
func (d *decoder) cluster(spec *yaml.Node) string {
	d.mark("spec.cluster", child(spec, "cluster"))
	return d.value(child(spec, "cluster"), CheckSlug)
}

func decodeLBAddress(d *decoder, spec *yaml.Node) any {
	d.mark("spec.address", child(spec, "address"))
	return &LBAddress{
		Cluster:   d.cluster(spec),
		Address:   d.address(child(spec, "address")),
		Published: d.flag(child(spec, "published"), false),
	}
}

func (d *decoder) address(n *yaml.Node) string {
	a := parsed(d, n, ParseAddress)
	if a == (netip.Addr{}) {
		return ""
	}
	return a.String()
}

func decodeNodeProfile(d *decoder, spec *yaml.Node) any {
	p := &NodeProfile{
		Role:         Role(d.plain(child(spec, "role"))),
		Image:        d.value(child(spec, "image"), CheckImage),
		Env:          d.env(child(spec, "env")),
		Resources:    d.resources(child(spec, "resources")),
		Capabilities: list(d, child(spec, "capabilities"), checked(CheckCapability)),
		HealthCheck:  list(d, child(spec, "healthCheck"), checked(func(s string) error { return CheckText(s, 4096) })),
	}
	d.unique(child(spec, "capabilities"), p.Capabilities)
	d.mark("spec.ports", child(spec, "ports"))
	for _, n := range items(child(spec, "ports")) {
		p.Ports = append(p.Ports, d.port(n, p.Ports))
	}
	return p
}

// port decodes a published port, which must not clash with those before it.
func (d *decoder) port(n *yaml.Node, before []Port) Port {
	p := Port{
		Name:      d.value(child(n, "name"), CheckSlug),
		Container: d.integer(child(n, "container"), 0),
		Host:      d.integer(child(n, "host"), 0),
		Protocol:  d.plain(child(n, "protocol")),
	}
	if p.Protocol == "" {
		p.Protocol = "tcp"
	}
	for _, b := range before {
		switch {
		case b.Name == p.Name:
			d.fail(n, "the port %q stands twice in the profile; name ports differently", p.Name)
		case b.Protocol == p.Protocol && b.Container == p.Container:
			d.fail(n, "publishes port %d/%s of the container twice, first as %q", p.Container, p.Protocol, b.Name)
		case b.Protocol == p.Protocol && b.Host == p.Host && p.Host != 0:
			d.fail(n, "takes port %d/%s of the host twice, first for %q", p.Host, p.Protocol, b.Name)
		}
	}
	return p
}

// env decodes environment variables.
func (d *decoder) env(n *yaml.Node) map[string]string {
	return d.strings(n, func(key, value string) error {
		if err := CheckEnvName(key); err != nil {
			return err
		}
		return CheckEnvValue(value)
	})
}

func decodeHost(d *decoder, spec *yaml.Node) any {
	docker := child(spec, "docker")
	d.mark("spec.address", child(spec, "address"))
	d.mark("spec.portRange", child(spec, "portRange"))
	h := &Host{
		Cluster:   d.cluster(spec),
		Address:   d.address(child(spec, "address")),
		Docker:    Docker{Endpoint: d.plain(child(docker, "endpoint")), TLS: d.tls(child(docker, "tls"))},
		PortRange: d.span(child(spec, "portRange"), Range{}),
		Capacity:  d.integer(child(spec, "capacity"), 0),
		Cordoned:  d.flag(child(spec, "cordoned"), false),
		Drain:     d.flag(child(spec, "drain"), false),
		Lost:      d.flag(child(spec, "lost"), false),
	}
	d.value(child(docker, "endpoint"), func(s string) error { return CheckDockerEndpoint(s, child(docker, "tls") != nil) })
	for _, n := range items(child(spec, "roles")) {
		h.Roles = append(h.Roles, Role(d.plain(n)))
	}
	return h
}

func (d *decoder) tls(n *yaml.Node) *DockerTLS {
	if n == nil {
		return nil
	}
	return &DockerTLS{
		CA:   d.value(child(n, "ca"), checkAbsPath),
		Cert: d.value(child(n, "cert"), checkAbsPath),
		Key:  d.value(child(n, "key"), checkAbsPath),
	}
}

func decodeShard(d *decoder, spec *yaml.Node) any {
	for _, field := range []string{"role", "nodeCount", "profile", "hostSelector"} {
		d.mark("spec."+field, child(spec, field))
	}
	return &Shard{
		Cluster:      d.cluster(spec),
		Role:         Role(d.plain(child(spec, "role"))),
		NodeCount:    d.integer(child(spec, "nodeCount"), 0),
		Profile:      d.value(child(spec, "profile"), CheckSlug),
		HostSelector: d.strings(child(spec, "hostSelector"), checkLabel),
		Drain:        d.flag(child(spec, "drain"), false),
	}
}
