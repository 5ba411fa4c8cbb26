package schema

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

func decodeTenant(d *decoder, spec *yaml.Node) any {
	web, database, valkey := child(child(spec, "shards"), "web"), child(child(spec, "shards"), "database"), child(child(spec, "shards"), "valkey")
	d.mark("spec.plan", child(spec, "plan"))
	d.mark("spec.shards.web", web)
	d.mark("spec.shards.database", database)
	d.mark("spec.shards.valkey", valkey)
	shell, keys := child(spec, "shell"), child(spec, "sshKeys")
	d.mark("spec.shell", shell)
	d.mark("spec.sshKeys", keys)
	t := &Tenant{
		Shell:         d.shell(shell),
		SSHKeys:       d.sshKeys(keys),
		Plan:          d.value(child(spec, "plan"), CheckSlug),
		WebShard:      d.value(web, CheckSlug),
		DatabaseShard: d.value(database, CheckSlug),
		ValkeyShard:   d.value(valkey, CheckSlug),
		Contact:       d.value(child(spec, "contact"), CheckMailAddress),
	}
	d.suspension(t)
	return t
}

// suspension decodes whether a tenant is suspended, and why.
func (d *decoder) suspension(t *Tenant) {
	meta := child(d.root, "metadata")
	suspended, reason := child(meta, "suspended"), child(meta, "suspendReason")
	t.Suspended = d.flag(suspended, false)
	t.SuspendReason = d.value(reason, func(s string) error { return CheckText(s, 255) })
	if reason != nil && !d.flag(suspended, suspended != nil) {
		d.fail(reason, "is the reason of what isn't so: add suspended: true, or take it out")
	}
}

func decodeWebroot(d *decoder, spec *yaml.Node) any {
	runtime, php := child(spec, "runtime"), child(spec, "php")
	d.mark("spec.runtime", runtime)
	d.mark("spec.runtime.type", child(runtime, "type"))
	d.mark("spec.runtime.version", child(runtime, "version"))
	w := Webroot{
		Runtime:      d.runtime(runtime),
		DocumentRoot: d.value(child(spec, "documentRoot"), CheckRelPath),
		Env:          d.env(child(spec, "env")),
		SecretEnv:    d.secretEnv(child(spec, "env")),
		PHP:          PHP{INI: d.ini(child(php, "ini")), FPM: d.fpm(child(php, "fpm"))},
	}
	if php != nil && w.Runtime.Type != RuntimePHP && w.Runtime.Type != "" {
		d.fail(php, "is for php runtimes; this one is %s: take it out", w.Runtime.Type)
	}
	if env := child(spec, "env"); len(w.Env)+len(w.SecretEnv) > 0 && w.Runtime.Type == RuntimeStatic {
		d.fail(env, "a static site runs nothing that reads variables; take them out")
	}
	d.service(spec, &w)
	w.Redirects = d.redirects(child(spec, "redirects"))
	d.serving(spec, &w)
	path := child(child(spec, "content"), "path")
	d.mark("spec.content.path", path)
	draft := &webrootDraft{webroot: w, content: d.value(path, CheckRelPath)}
	for i, n := range items(child(spec, "fqdns")) {
		d.shortFQDN(i, n)
	}
	return draft
}

// runtime decodes a runtime; whether the region offers it is found out later.
func (d *decoder) runtime(n *yaml.Node) Runtime {
	version := child(n, "version")
	r := Runtime{Type: RuntimeType(d.plain(child(n, "type"))), Version: d.value(version, CheckVersion)}
	switch r.Type {
	case RuntimeStatic:
		if version != nil {
			d.fail(version, "a static site has no version; take it out")
		}
	case RuntimePHP, RuntimeNode, RuntimePython, RuntimeRuby:
		if version == nil {
			d.fail(n, "has no version; add one that the region offers, in quotes")
		}
	}
	return r
}

func (d *decoder) ini(n *yaml.Node) map[string]string {
	return d.strings(n, CheckINI)
}

func (d *decoder) fpm(n *yaml.Node) FPM {
	return FPM{
		MaxChildren:        d.integer(child(n, "maxChildren"), 0),
		IdleTimeoutSeconds: int(parsed(d, child(n, "idleTimeout"), ParseDuration) / time.Second),
		MaxRequests:        d.integer(child(n, "maxRequests"), 0),
	}
}

func (d *decoder) redirects(n *yaml.Node) []Redirect {
	var out []Redirect
	for i, item := range items(n) {
		from := child(item, "from")
		r := Redirect{
			From:   d.value(from, CheckRedirectFrom),
			To:     parsed(d, child(item, "to"), ParseRedirectTo),
			Status: d.integer(child(item, "status"), 301),
		}
		if slices.ContainsFunc(out, func(o Redirect) bool { return o.From == r.From && r.From != "" }) {
			d.fail(from, "%q is redirected twice; keep one", r.From)
		}
		d.mark(redirectField(i), item)
		out = append(out, r)
	}
	return out
}

func redirectField(i int) string { return "spec.redirects[" + strconv.Itoa(i) + "]" }

// shortFQDN decodes an entry of a Webroot's fqdns to the FQDN it stands for.
func (d *decoder) shortFQDN(i int, n *yaml.Node) {
	hostname := n
	if n.Kind == yaml.MappingNode {
		hostname = child(n, "hostname")
	}
	f := d.fqdn(hostname, n)
	f.Webroot = d.meta.Name
	e := &entry{
		meta:  Meta{Kind: KindFQDN, Name: f.Hostname, Position: Position{Line: n.Line, Column: n.Column}},
		body:  f,
		short: "spec.fqdns[" + strconv.Itoa(i) + "]",
	}
	d.entries = append(d.entries, e)
	d.www(child(n, "www"), f, e.meta, e.short)
}

// fqdn decodes what both forms of a host name have.
func (d *decoder) fqdn(hostname, n *yaml.Node) *FQDN {
	dns := child(n, "dns")
	f := &FQDN{
		Hostname:  parsed(d, hostname, ParseHostname),
		ManageDNS: d.flag(child(dns, "manage"), true),
		TTL:       d.integer(child(dns, "ttl"), 0),
	}
	if hostname != nil {
		f.HostnameAt = Position{Line: hostname.Line, Column: hostname.Column}
	}
	d.traffic(f, n)
	return f
}

func decodeFQDN(d *decoder, spec *yaml.Node) any {
	hostname := child(spec, "hostname")
	f := d.fqdn(hostname, spec)
	f.Webroot = d.value(child(spec, "webroot"), CheckSlug)
	f.Redirect = d.hostRedirect(child(spec, "redirect"))
	if (child(spec, "webroot") == nil) == (child(spec, "redirect") == nil) {
		d.fail(spec, "must have exactly one of webroot and redirect")
	}
	for _, field := range []string{"hostname", "webroot", "redirect", "forceHTTPS", "hsts"} {
		d.mark("spec."+field, child(spec, field))
	}
	if d.meta.Name == "" || strings.Contains(d.meta.Name, ".") {
		d.derivedName(f.Hostname, ParseHostname)
	} else {
		d.value(child(child(d.root, "metadata"), "name"), CheckSlug)
	}
	meta := Meta{Kind: KindFQDN, Position: d.meta.Position, Protected: d.meta.Protected}
	d.www(child(spec, "www"), f, meta, "")
	return f
}

// derivedName gives a resource the name that follows from its content. A name with a dot in it must be just that.
func (d *decoder) derivedName(name string, parse func(string) (string, error)) {
	if written := d.meta.Name; written != "" && name != "" {
		if normal, err := parse(written); err != nil || normal != name {
			d.fail(child(child(d.root, "metadata"), "name"), "is %q; leave it out, or write %q or a plain name", shorten(written), name)
		}
	}
	d.meta.Name = name
}

func decodeZone(d *decoder, spec *yaml.Node) any {
	for _, field := range []string{"cluster", "domain", "nameservers"} {
		d.mark("spec."+field, child(spec, field))
	}
	z := &Zone{
		Cluster:     d.value(child(spec, "cluster"), CheckSlug),
		Domain:      parsed(d, child(spec, "domain"), ParseZoneDomain),
		Nameservers: list(d, child(spec, "nameservers"), ParseHostname),
		TTL:         d.integer(child(spec, "ttl"), 0),
		DNSSEC:      d.flag(child(spec, "dnssec"), false),
		Unmanaged:   UnmanagedPolicy(d.plain(child(spec, "unmanagedRecords"))),
		Adopt:       d.adopts(),
	}
	d.unique(child(spec, "nameservers"), z.Nameservers)
	for i, n := range items(child(spec, "records")) {
		d.shortRecord(i, n)
	}
	return z
}

// shortRecord decodes an entry of a Zone's records to the ZoneRecord it stands for.
func (d *decoder) shortRecord(i int, n *yaml.Node) {
	outer := d.places
	d.places = nil
	draft := d.record(n, "")
	draft.zone, draft.unnamed = d.meta.Name, true
	d.entries = append(d.entries, &entry{
		meta:   Meta{Kind: KindZoneRecord, Name: draft.provisional(), Position: Position{Line: n.Line, Column: n.Column}},
		body:   draft,
		places: d.places,
		short:  "spec.records[" + strconv.Itoa(i) + "]",
	})
	d.places = outer
}

// record decodes an RRset whose fields stand at a path.
func (d *decoder) record(n *yaml.Node, path string) *recordDraft {
	name, values := child(n, "name"), child(n, "values")
	d.mark(path+"name", name)
	d.mark(path+"values", values)
	draft := &recordDraft{name: d.plain(name), record: ZoneRecord{
		Type: d.plain(child(n, "type")),
		TTL:  d.integer(child(n, "ttl"), 0),
	}}
	if !slices.Contains(RecordTypes(), draft.record.Type) {
		return draft // the shape check has told
	}
	for i, v := range items(values) {
		value := parsed(d, v, func(s string) (string, error) { return ParseRData(draft.record.Type, s) })
		if value != "" && slices.Contains(draft.record.Values, value) {
			d.fail(v, "stands twice in the RRset; keep one")
		}
		d.mark(path+"values["+strconv.Itoa(i)+"]", v)
		draft.record.Values = append(draft.record.Values, value)
	}
	d.checkSet(values, draft.record)
	return draft
}

// checkSet applies the rules of an RRset as a whole.
func (d *decoder) checkSet(n *yaml.Node, r ZoneRecord) {
	if len(r.Values) < 2 {
		return
	}
	spf := 0
	for _, v := range r.Values {
		if isSPF(v) {
			spf++
		}
	}
	switch {
	case r.Type == "CNAME":
		d.fail(n, "a CNAME has exactly one target (RFC 1034 3.6.2); keep one")
	case r.Type == "MX" && slices.Contains(r.Values, "0 ."):
		d.fail(n, "a null MX (\"0 .\") says that there is no mail and stands alone (RFC 7505 3); take it or the others out")
	case r.Type == "SRV" && slices.ContainsFunc(r.Values, func(v string) bool { return strings.HasSuffix(v, " .") }):
		d.fail(n, "an SRV target \".\" says that there is no service and stands alone (RFC 2782); take it or the others out")
	case r.Type == "TXT" && spf > 1:
		d.fail(n, "has %d SPF policies; receivers refuse more than one (RFC 7208 4.5): merge them", spf)
	}
}

func decodeZoneRecord(d *decoder, spec *yaml.Node) any {
	draft := d.record(spec, "spec.")
	draft.zone = d.value(child(spec, "zone"), CheckSlug)
	d.mark("spec.zone", child(spec, "zone"))
	switch name := d.meta.Name; {
	case name == "":
		d.meta.Name, draft.unnamed = draft.provisional(), true
	case !strings.ContainsAny(name, "./"):
		d.value(child(child(d.root, "metadata"), "name"), CheckSlug)
	}
	return draft
}
