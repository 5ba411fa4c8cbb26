package powerdns

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/planner"
)

func TestMailbox(t *testing.T) {
	for mail, rname := range map[string]string{
		"hostmaster@example.com":    "hostmaster.example.com.",
		"host.mas.ter@example.com":  `host\.mas\.ter.example.com.`,
		"dns+x@sub.example.com":     "dns+x.sub.example.com.",
		"a@b.c":                     "a.b.c.",
		"first.last@mail.example.a": `first\.last.mail.example.a.`,
	} {
		if got := mailbox(mail); got != rname {
			t.Errorf("mailbox(%s) = %s, want %s", mail, got, rname)
		}
		if got := address(rname); got != mail {
			t.Errorf("address(%s) = %s, want %s", rname, got, mail)
		}
	}
}

// What is drift in SOA and NS shows in the one object that they are.
func TestObjectsOfApex(t *testing.T) {
	want := planner.Zone{Meta: planner.Meta{Target: "t", Name: "a.example"}, Nameservers: []string{"ns1.x.example", "ns2.x.example"}, Hostmaster: "h@x.example", TTL: 60}
	right := zone{Name: "a.example.", RRsets: apex(want, "7")}
	if d := cmp.Diff([]planner.Object{want}, right.objects("t")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for name, spoil := range map[string]func(z *zone){
		"no SOA":              func(z *zone) { z.RRsets = z.RRsets[1:] },
		"no NS":               func(z *zone) { z.RRsets = z.RRsets[:1] },
		"another mname":       func(z *zone) { z.RRsets[0].Records[0].Content = "x.example. h.x.example. 1 10800 3600 604800 300" },
		"another rname":       func(z *zone) { z.RRsets[0].Records[0].Content = "ns1.x.example. i.x.example. 1 10800 3600 604800 300" },
		"an SOA of six":       func(z *zone) { z.RRsets[0].Records[0].Content = "ns1.x.example. h.x.example. 1 2 3 4" },
		"another name server": func(z *zone) { z.RRsets[1].Records[1].Content = "ns3.x.example." },
		"one disabled":        func(z *zone) { z.RRsets[1].Records[1].Disabled = true },
		"another TTL":         func(z *zone) { z.RRsets[1].TTL = 61 },
	} {
		z := zone{Name: "a.example.", RRsets: apex(want, "7")}
		spoil(&z)
		if got := z.objects("t"); planner.HashOf(got[0]) == planner.HashOf(want) {
			t.Errorf("%s: observed as if all were right", name)
		}
		w := work{make: &want, name: "a.example"}
		if len(w.edits(z)) == 0 {
			t.Errorf("%s: nothing to repair", name)
		}
	}
}

// A serial is given back as it was found: PowerDNS moves it on from there.
func TestEditKeepsSerial(t *testing.T) {
	o := planner.Zone{Meta: planner.Meta{Name: "a.example"}, Nameservers: []string{"ns1.x.example", "ns2.x.example"}, Hostmaster: "h@x.example", TTL: 60}
	have := zone{Name: "a.example.", RRsets: apex(o, "2026112307")}
	o.TTL = 61
	w := work{make: &o, name: "a.example"}
	edits := w.edits(have)
	want := record{Content: "ns1.x.example. h.x.example. 2026112307 10800 3600 604800 300"}
	if len(edits) != 2 || !slices.Contains(edits[0].Records, want) {
		t.Errorf("edits: %v, want %v in the first", edits, want)
	}
}

// Whatever an answer holds, it is read without a panic, and what is observed can be encoded.
func FuzzZoneAnswer(f *testing.F) {
	f.Add([]byte(`{"name":"a.example.","account":"i","rrsets":[{"name":"a.example.","type":"SOA","ttl":60,"records":[{"content":"ns1. h\\.m.x. 1 2 3 4 5","disabled":false}]},{"name":"a.example.","type":"NS","ttl":60,"records":[{"content":"ns1.","disabled":false}]},{"name":"www.a.example.","type":"A","ttl":60,"records":[{"content":"192.0.2.1","disabled":true}]}]}`))
	f.Add([]byte(`{"rrsets":[{"records":null}]}`))
	f.Add([]byte(`{"name":".","rrsets":[{"name":".","type":"SOA","records":[{"content":"\\ \\. \\ \\ \\ \\ \\"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var z zone
		if json.Unmarshal(b, &z) != nil {
			return
		}
		for _, o := range z.objects("t") {
			planner.HashOf(o)
		}
		o := planner.Zone{Meta: planner.Meta{Name: "a.example"}, Nameservers: []string{"ns1.x.example"}, Hostmaster: "h@x.example", TTL: 60}
		w := work{make: &o, name: "a.example", delete: []planner.RRset{{FQDN: "www.a.example", Type: "A"}}}
		w.edits(z)
	})
}

// Only what is canonical passes, so nothing that passes holds what could be more than one value.
func FuzzCheckRRset(f *testing.F) {
	f.Add("www.a.example", "A", "192.0.2.1")
	f.Add("a.example", "TXT", "\"a\"\nevil A 1.2.3.4")
	f.Add("*.a.example", "CAA", `0 issue "x"`)
	f.Fuzz(func(t *testing.T, fqdn, typ, value string) {
		o := planner.RRset{Meta: planner.Meta{Name: "a.example/" + fqdn + "/" + typ}, Zone: "a.example", FQDN: fqdn, Type: typ, TTL: 60, Values: []string{value}}
		if checkRRset(o) != nil {
			return
		}
		for _, s := range []string{fqdn, typ, value} {
			for _, r := range s {
				if r < ' ' || r > '~' {
					t.Errorf("%q passes", s)
				}
			}
		}
	})
}
