package powerdns_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"hostctl/executors/powerdns"
	"hostctl/planner"
)

func signedZone(name string) planner.Zone {
	z := zoneOf(name)
	z.Signed = true
	return z
}

func keptZone(name string) planner.Zone {
	z := signedZone(name)
	z.Kept = true
	return z
}

// askSigned asks as a resolver that validates: over TCP, for signed answers are long.
func askSigned(t testing.TB, name string, typ uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), typ)
	m.SetEdns0(4096, true)
	answer, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, server.address+":53")
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// validate follows the chain from a DS record to an RRset as a resolver does: DS to DNSKEY, DNSKEY to signature.
func validate(t *testing.T, zone, ds, name string, typ uint16) {
	t.Helper()
	parsed, err := dns.NewRR(zone + ". IN DS " + ds)
	if err != nil {
		t.Fatal(err)
	}
	var trusted *dns.DNSKEY
	keys := askSigned(t, zone, dns.TypeDNSKEY)
	for _, rr := range keys.Answer {
		if k, ok := rr.(*dns.DNSKEY); ok && strings.EqualFold(k.ToDS(dns.SHA256).Digest, parsed.(*dns.DS).Digest) {
			trusted = k
		}
	}
	if trusted == nil {
		t.Fatalf("no key of %s matches its DS %s: %v", zone, ds, keys.Answer)
	}
	verify(t, trusted, keys.Answer, dns.TypeDNSKEY)
	verify(t, trusted, askSigned(t, name, typ).Answer, typ)
}

func verify(t *testing.T, k *dns.DNSKEY, answer []dns.RR, typ uint16) {
	t.Helper()
	var set []dns.RR
	var sig *dns.RRSIG
	for _, rr := range answer {
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == typ {
			sig = s
		} else if rr.Header().Rrtype == typ {
			set = append(set, rr)
		}
	}
	if sig == nil || len(set) == 0 {
		t.Fatalf("%s isn't signed: %v", dns.TypeToString[typ], answer)
	}
	if err := sig.Verify(k, set); err != nil {
		t.Errorf("signature of %v: %v", set, err)
	}
}

// dsOf returns the DS records that a zone's parent should have, as the executor tells them.
func dsOf(t *testing.T, e *powerdns.Executor, zone string) []string {
	t.Helper()
	ref := planner.Ref{Kind: planner.KindRRset, Target: target, Name: zone + "/" + zone + "/CDS"}
	present, err := e.Present(t.Context(), []planner.Ref{ref})
	if err != nil {
		t.Fatal(err)
	}
	o, ok := present[ref].(planner.RRset)
	if !ok {
		return nil
	}
	return o.Values
}

// A zone is signed, and validates from the DS that is shown; so does a name that isn't there, without telling the next one.
func TestSigned(t *testing.T) {
	needServer(t)
	clean(t, "signed.example")
	e := executor()
	zone := signedZone("signed.example")
	apply(t, e, create(zone))
	apply(t, e, create(rrsetOf("signed.example", "www.signed.example", "A", "192.0.2.1")))
	ds := dsOf(t, e, "signed.example")
	if len(ds) != 1 {
		t.Fatalf("DS: %q, want one", ds)
	}
	validate(t, "signed.example", ds[0], "www.signed.example", dns.TypeA)
	validate(t, "signed.example", ds[0], "signed.example", dns.TypeSOA)

	var shown []string
	for _, rr := range askSigned(t, "signed.example", dns.TypeCDS).Answer {
		if cds, ok := rr.(*dns.CDS); ok {
			shown = append(shown, strings.ToLower(strings.SplitN(cds.String(), "\t", 5)[4]))
		}
	}
	if d := cmp.Diff(ds, shown); d != "" {
		t.Errorf("the zone publishes another CDS (-shown by the executor +by the zone):\n%s", d)
	}
	denied := map[uint16]int{}
	for _, rr := range askSigned(t, "none.signed.example", dns.TypeA).Ns {
		denied[rr.Header().Rrtype]++
	}
	if denied[dns.TypeNSEC3] == 0 || denied[dns.TypeNSEC] > 0 {
		t.Errorf("a name that isn't there is denied by %v, want NSEC3", denied)
	}

	// Applying it again, or changing what else the zone has, keeps the key.
	apply(t, e, create(zone))
	zone.Hostmaster = "dns@hosting.example"
	apply(t, e, create(zone))
	if d := cmp.Diff(ds, dsOf(t, e, "signed.example")); d != "" {
		t.Errorf("the key is another one (-before +after):\n%s", d)
	}
	validate(t, "signed.example", ds[0], "www.signed.example", dns.TypeA)
}

// A zone that was there gets signed, and no longer is; what is seen says so.
func TestSignedLater(t *testing.T) {
	needServer(t)
	clean(t, "later.example")
	e := executor()
	apply(t, e, create(zoneOf("later.example")))
	apply(t, e, create(rrsetOf("later.example", "www.later.example", "A", "192.0.2.1")))
	if ds := dsOf(t, e, "later.example"); ds != nil {
		t.Errorf("an unsigned zone has the DS %q", ds)
	}
	if ds := dsOf(t, e, "none.later.example"); ds != nil {
		t.Errorf("a zone that isn't there has the DS %q", ds)
	}
	apply(t, e, create(signedZone("later.example")))
	ds := dsOf(t, e, "later.example")
	if len(ds) != 1 {
		t.Fatalf("DS: %q, want one", ds)
	}
	validate(t, "later.example", ds[0], "www.later.example", dns.TypeA)
	apply(t, e, create(zoneOf("later.example")))
	if ds := dsOf(t, e, "later.example"); ds != nil {
		t.Errorf("an unsigned zone has the DS %q", ds)
	}
	if a := askSigned(t, "later.example", dns.TypeDNSKEY); len(a.Answer) != 0 {
		t.Errorf("an unsigned zone has keys: %v", a.Answer)
	}
	if code, text := api(t, http.MethodGet, "/zones/later.example./cryptokeys", ""); code != http.StatusOK || strings.TrimSpace(text) != "[]" {
		t.Errorf("keys are left: %d %s", code, text)
	}
}

// A signed zone that is kept answers for nothing but itself, and has its very key when it is declared again (G10).
func TestG10_KeysAreKept(t *testing.T) {
	needServer(t)
	clean(t, "back.example")
	e := executor()
	www := rrsetOf("back.example", "www.back.example", "A", "192.0.2.1")
	apply(t, e, create(signedZone("back.example")))
	apply(t, e, create(www))
	ds := dsOf(t, e, "back.example")
	apply(t, e, remove(www))
	apply(t, e, create(keptZone("back.example")))
	if a := askSigned(t, "www.back.example", dns.TypeA); a.Rcode != dns.RcodeNameError || len(a.Ns) == 0 {
		t.Errorf("a record of a kept zone: %v", a)
	}
	apply(t, e, create(signedZone("back.example")))
	apply(t, e, create(www))
	if d := cmp.Diff(ds, dsOf(t, e, "back.example")); d != "" || len(ds) != 1 {
		t.Errorf("another key (-before +after):\n%s", d)
	}
	validate(t, "back.example", ds[0], "www.back.example", dns.TypeA)
	apply(t, e, remove(www))
	apply(t, e, create(keptZone("back.example")))
	apply(t, e, remove(keptZone("back.example")))
	if code, _ := api(t, http.MethodGet, "/zones/back.example.", ""); code != http.StatusNotFound {
		t.Errorf("a purged zone answers %d", code)
	}
}
