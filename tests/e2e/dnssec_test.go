package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	globexZone = `apiVersion: hosting/v1
kind: Zone
metadata:
  name: globex
spec:
  domain: globex.test
`
	globexRecord = `# The long form of an entry of the zone's records.
apiVersion: hosting/v1
kind: ZoneRecord
metadata:
  name: status
spec:
  zone: globex
  name: status
  type: CNAME
  ttl: 600
  values: [www.globex.test.]
`
)

// signed signs a zone, takes it away and back, and has it unsigned again. Whoever has its DS can always validate it.
func (s *site) signed(t *testing.T) {
	s = s.sub(t)
	s.edit(globexZone, globexZone+"  dnssec: true\n")
	if printed := s.push("globex: signed"); !strings.Contains(printed, "hostctl ds globex.test") {
		t.Errorf("the push doesn't say where the DS records are:\n%s", printed)
	}
	ds := s.ds("globex.test")
	s.wantValid(ds, "www.globex.test", dns.TypeA)
	s.wantValid(ds, "globex.test", dns.TypeSOA)
	s.wantNoChanges()

	s.edit("  dnssec: true\n", "")
	if printed := s.pushRefused("globex: unsigned"); !strings.Contains(printed, "Allow-Destroy: globex/Zone/globex") {
		t.Errorf("the push doesn't print what would allow it:\n%s", printed)
	}
	s.must(s.Git(t.Context(), "reset", "--quiet", "--hard", "origin/main"))

	s.edit(globexZone+"  dnssec: true\n---\n"+globexRecord, "# No zone.\n")
	s.push("globex: no zone\n\nAllow-Destroy: globex/Zone/globex")
	if out, err := s.Hostctl(t.Context(), "trash"); err != nil || !strings.Contains(out, "zone/eu-1-dns/globex.test") {
		t.Errorf("the keys aren't kept: %v\n%s", err, out)
	}
	s.must(s.Git(t.Context(), "revert", "--no-edit", "HEAD"))
	s.must(s.Git(t.Context(), "push", "--quiet", "origin", "main"))
	s.must(s.Settled(t.Context(), 2*time.Minute))
	if again := s.ds("globex.test"); again != ds {
		t.Errorf("the zone came back with another key: %s, was %s", again, ds)
	}
	s.wantValid(ds, "www.globex.test", dns.TypeA)

	s.edit("  dnssec: true\n", "")
	s.push("globex: unsigned\n\nAllow-Destroy: globex/Zone/globex")
	if keys, err := s.at.Resolve(t.Context(), "globex.test", dns.TypeDNSKEY); err == nil {
		t.Errorf("an unsigned zone has keys: %s", keys)
	}
	s.wantNoChanges()
}

// ds returns the one DS record of a zone that hostctl shows.
func (s *site) ds(zone string) string {
	s.t.Helper()
	out, err := s.Hostctl(s.t.Context(), "ds", zone)
	s.must(err)
	if strings.Count(out, "\n") != 1 {
		s.t.Fatalf("hostctl ds %s prints %q, want one record", zone, out)
	}
	return strings.TrimSpace(out)
}

// wantValid follows the chain from a DS record to an RRset, as a resolver that validates does.
func (s *site) wantValid(ds, name string, qtype uint16) {
	s.t.Helper()
	rr, err := dns.NewRR(ds)
	s.must(err)
	digest := rr.(*dns.DS)
	keys, _ := s.askSigned(digest.Hdr.Name, dns.TypeDNSKEY)
	for _, k := range keys {
		key := k.(*dns.DNSKEY)
		if !strings.EqualFold(key.ToDS(digest.DigestType).Digest, digest.Digest) {
			continue
		}
		set, sig := s.askSigned(name, qtype)
		if sig == nil || sig.Verify(key, set) != nil {
			s.t.Errorf("%s %s isn't signed by the key of %s: %v", name, dns.TypeToString[qtype], ds, set)
		}
		return
	}
	s.t.Errorf("no key has the DS %s: %v", ds, keys)
}

// askSigned asks a name server for an RRset with its signature.
func (s *site) askSigned(name string, qtype uint16) (set []dns.RR, sig *dns.RRSIG) {
	s.t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(4096, true)
	r, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(s.t.Context(), q, s.at.DNS)
	s.must(err)
	for _, rr := range r.Answer {
		if x, ok := rr.(*dns.RRSIG); ok && x.TypeCovered == qtype {
			sig = x
		} else if rr.Header().Rrtype == qtype {
			set = append(set, rr)
		}
	}
	return set, sig
}
