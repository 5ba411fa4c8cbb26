package powerdns

import (
	"fmt"
	"slices"
	"strings"

	"hostctl/planner"
)

// Timers of a zone's SOA. Zones here are not transferred, so the first three mean nothing; the last is how long a resolver
// remembers that a name isn't there (RFC 2308 5).
const (
	soaRefresh  = 10800
	soaRetry    = 3600
	soaExpire   = 604800
	soaNegative = 300
)

func absolute(name string) string { return name + "." }

func relative(name string) string { return strings.TrimSuffix(name, ".") }

// soa is what counts of a zone's SOA record.
type soa struct{ mname, rname, serial, timers string }

func parseSOA(content string) (soa, bool) {
	f := strings.Fields(content)
	if len(f) != 7 {
		return soa{}, false
	}
	return soa{f[0], f[1], f[2], strings.Join(f[3:], " ")}, true
}

// soaOf is a zone's SOA. The serial is PowerDNS's own: a new zone gives 0, another one what PowerDNS has.
func soaOf(o planner.Zone, serial string) soa {
	return soa{
		mname:  absolute(o.Nameservers[0]),
		rname:  mailbox(o.Hostmaster),
		serial: serial,
		timers: fmt.Sprint(soaRefresh, soaRetry, soaExpire, soaNegative),
	}
}

func (s soa) String() string {
	return s.mname + " " + s.rname + " " + s.serial + " " + s.timers
}

// mailbox turns a mail address into a domain name, RFC 1035 8: dots of the local part are escaped.
func mailbox(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	return strings.ReplaceAll(local, ".", `\.`) + "." + absolute(domain)
}

// address turns an SOA's RNAME back into a mail address.
func address(rname string) string {
	for i := 0; i < len(rname); i++ {
		switch rname[i] {
		case '\\':
			i++
		case '.':
			return strings.ReplaceAll(rname[:i], `\.`, ".") + "@" + relative(rname[i+1:])
		}
	}
	return rname
}

// apex returns the SOA and NS RRsets of a zone.
func apex(o planner.Zone, serial string) []rrset {
	ns := rrset{Name: absolute(o.Name), Type: "NS", TTL: o.TTL, ChangeType: "REPLACE"}
	for _, n := range o.Nameservers {
		ns.Records = append(ns.Records, record{Content: absolute(n)})
	}
	s := rrset{Name: absolute(o.Name), Type: "SOA", TTL: o.TTL, ChangeType: "REPLACE"}
	s.Records = []record{{Content: soaOf(o, serial).String()}}
	return []rrset{s, ns}
}

// replace returns the change that makes an RRset what it should be.
func replace(o planner.RRset) rrset {
	r := rrset{Name: absolute(o.FQDN), Type: o.Type, TTL: o.TTL, ChangeType: "REPLACE"}
	for _, v := range o.Values {
		r.Records = append(r.Records, record{Content: v})
	}
	return r
}

// values returns what an RRset answers, sorted: disabled records don't count.
func (r rrset) values() []string {
	out := []string{}
	for _, x := range r.Records {
		if !x.Disabled {
			out = append(out, x.Content)
		}
	}
	slices.Sort(out)
	return out
}

// same reports whether two RRsets answer the same. The serial of an SOA doesn't count.
func same(a, b rrset) bool {
	va, vb := a.values(), b.values()
	if a.Type == "SOA" && len(va) == 1 && len(vb) == 1 {
		sa, oka := parseSOA(va[0])
		sb, okb := parseSOA(vb[0])
		sa.serial, sb.serial = "", ""
		return a.TTL == b.TTL && oka && okb && sa == sb
	}
	return a.TTL == b.TTL && len(a.Records) == len(b.Records) && slices.Equal(va, vb)
}

// objects returns a zone as the planner has it: its SOA and NS folded into one object, each other RRset one.
func (z zone) objects(target string) []planner.Object {
	name := relative(z.Name)
	meta := func(name string) planner.Meta { return planner.Meta{Target: target, Name: name} }
	o := planner.Zone{Meta: meta(name), Signed: z.DNSSEC, Kept: z.isKept(), Transfer: z.transfer()}
	var mname string
	var out []planner.Object
	for _, r := range z.RRsets {
		switch {
		case r.Name == z.Name && r.Type == "SOA":
			o.TTL = r.TTL
			if s, ok := parseSOA(strings.Join(r.values(), " ")); ok {
				mname, o.Hostmaster = relative(s.mname), address(s.rname)
			}
		case r.Name == z.Name && r.Type == "NS":
			for _, v := range r.values() {
				o.Nameservers = append(o.Nameservers, relative(v))
			}
			o.TTL = max(o.TTL, r.TTL)
		default:
			fqdn := relative(r.Name)
			out = append(out, planner.RRset{
				Meta: meta(name + "/" + fqdn + "/" + r.Type), Zone: name, FQDN: fqdn, Type: r.Type, TTL: r.TTL, Values: r.values(),
			})
		}
	}
	// The SOA's name server is no content of its own: one that isn't the first shows as another list.
	if len(o.Nameservers) == 0 || o.Nameservers[0] != mname {
		o.Nameservers = append([]string{mname}, o.Nameservers...)
	}
	return append([]planner.Object{o}, out...)
}
