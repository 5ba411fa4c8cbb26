package powerdns_test

import (
	"net/http"
	"testing"

	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/planner"
)

func TestExecutor(t *testing.T) {
	needServer(t)
	acme, bolt := zoneOf("acme.example"), zoneOf("bolt.example")
	acme2 := acme
	acme2.Nameservers, acme2.Hostmaster, acme2.TTL = []string{"ns2.hosting.example", "ns3.hosting.example"}, "dns@hosting.example", 600
	www := rrsetOf("acme.example", "www.acme.example", "A", "192.0.2.1")
	www2 := rrsetOf("acme.example", "www.acme.example", "A", "192.0.2.1", "192.0.2.2")
	www2.TTL = 60
	bad := rrsetOf("acme.example", "beside.acme.example", "CNAME", "www.acme.example.")
	bad.From = planner.Owner{Tenant: "bad", Kind: "ZoneRecord", Name: "beside"}

	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			clean(t, "acme.example", "bolt.example", "crypt.example", "copied.example", "catalog.example", "keyed.example")
			cleanKeys(t, "eu-1-transfer")
			return executor()
		},
		Kinds: []planner.Kind{planner.KindCatalog, planner.KindZone, planner.KindRRset},
		Samples: []executorstest.Sample{
			{Create: catalogZone("catalog.example", nil, "192.0.2.1", "2001:db8::1"), Update: catalogZone("catalog.example", nil, "192.0.2.2")},
			{Create: catalogZone("keyed.example", transferKey("1"), "192.0.2.1"), Update: catalogZone("keyed.example", transferKey("2"), "192.0.2.1")},
			{Create: copied(&planner.Transfer{Catalog: "catalog.example", Secondaries: []string{"192.0.2.1"}}), Update: copied(&planner.Transfer{Catalog: "keyed.example", Secondaries: []string{"192.0.2.2"}, Key: "eu-1-transfer"})},
			{Create: acme, Update: acme2},
			{Create: bolt, Update: signedZone("bolt.example")},
			{Create: signedZone("crypt.example"), Update: keptZone("crypt.example")},
			{Create: www, Update: www2},
			{Create: rrsetOf("acme.example", "acme.example", "A", "192.0.2.1")},
			{Create: rrsetOf("acme.example", "acme.example", "AAAA", "2001:db8::1")},
			{Create: rrsetOf("acme.example", "acme.example", "MX", "10 mail.acme.example.", "20 mx.example.net.")},
			{Create: rrsetOf("acme.example", "acme.example", "TXT", `"v=spf1 mx; -all" "x\"y\\z"`)},
			{Create: rrsetOf("acme.example", "acme.example", "CAA", `0 issue "letsencrypt.org"`)},
			{Create: rrsetOf("acme.example", "_sip._tcp.acme.example", "SRV", "10 5 5060 sip.acme.example.")},
			{Create: rrsetOf("acme.example", "*.dev.acme.example", "CNAME", "www.acme.example."), Update: rrsetOf("acme.example", "*.dev.acme.example", "CNAME", "acme.example.")},
			{Create: rrsetOf("acme.example", "sub.acme.example", "NS", "ns1.example.net.", "ns2.example.net.")},
			{Create: rrsetOf("acme.example", "sub.acme.example", "DS", "12345 13 2 abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789")},
			{Create: rrsetOf("acme.example", "beside.acme.example", "A", "192.0.2.3")},
			{Create: rrsetOf("bolt.example", "www.bolt.example", "A", "192.0.2.9")},
		},
		Bad: []planner.Object{bad},
		Damage: map[string]func(*testing.T, executors.Executor){
			"RRset changed": func(t *testing.T, _ executors.Executor) {
				patch(t, "acme.example", `{"name":"www.acme.example.","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"203.0.113.1"}]}`)
			},
			"record disabled": func(t *testing.T, _ executors.Executor) {
				patch(t, "acme.example", `{"name":"www.acme.example.","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"192.0.2.1","disabled":true}]}`)
			},
			"no longer signed": func(t *testing.T, _ executors.Executor) {
				if code, text := api(t, http.MethodPut, "/zones/crypt.example.", `{"dnssec":false}`); code != http.StatusNoContent {
					t.Fatalf("%d %s", code, text)
				}
			},
			"who copies the zone": func(t *testing.T, _ executors.Executor) {
				if code, text := api(t, http.MethodPut, "/zones/copied.example./metadata/ALLOW-AXFR-FROM", `{"kind":"ALLOW-AXFR-FROM","metadata":["0.0.0.0/0"]}`); code != http.StatusOK {
					t.Fatalf("%d %s", code, text)
				}
			},
			"no longer in the catalog": func(t *testing.T, _ executors.Executor) {
				if code, text := api(t, http.MethodPut, "/zones/copied.example.", `{"catalog":""}`); code != http.StatusNoContent {
					t.Fatalf("%d %s", code, text)
				}
			},
			"another TSIG key": func(t *testing.T, _ executors.Executor) {
				api(t, http.MethodDelete, "/tsigkeys/eu-1-transfer.", "")
				if code, text := api(t, http.MethodPost, "/tsigkeys", `{"name":"eu-1-transfer","algorithm":"hmac-sha256","key":"AAAAAAAAAAAAAAAAAAAAAA=="}`); code != http.StatusCreated {
					t.Fatalf("%d %s", code, text)
				}
			},
			"name servers removed": func(t *testing.T, _ executors.Executor) {
				patch(t, "acme.example", `{"name":"acme.example.","type":"NS","changetype":"DELETE","records":[]}`)
			},
		},
		Swap: &[2]planner.Object{
			rrsetOf("bolt.example", "swap.bolt.example", "CNAME", "www.bolt.example."),
			rrsetOf("bolt.example", "swap.bolt.example", "A", "192.0.2.4"),
		},
	})
}

// patch changes an RRset behind the executor's back.
func patch(t *testing.T, zone, rrset string) {
	t.Helper()
	if code, text := api(t, http.MethodPatch, "/zones/"+zone+".", `{"rrsets":[`+rrset+`]}`); code != http.StatusNoContent {
		t.Fatalf("PATCH: %d %s", code, text)
	}
}
