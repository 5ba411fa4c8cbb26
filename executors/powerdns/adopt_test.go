package powerdns_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/powerdns"
	"hostctl/planner"
)

// external is the executor of a server that others made.
func external() *checked.Executor {
	o := options()
	o.External = true
	return checked.New(powerdns.New(o))
}

// stranger makes a zone as somebody else would, equal to zoneOf in all that is content, with one record.
func stranger(t *testing.T, name, kind, account string) {
	t.Helper()
	clean(t, name)
	soa := "ns1.hosting.example. host\\\\.master.hosting.example. 7 10800 3600 604800 300"
	body := fmt.Sprintf(`{"name":"%[1]s.","kind":"%[2]s","account":"%[3]s","soa_edit_api":"INCREASE","rrsets":[
		{"name":"%[1]s.","type":"SOA","ttl":3600,"records":[{"content":"%[4]s"}]},
		{"name":"%[1]s.","type":"NS","ttl":3600,"records":[{"content":"ns2.hosting.example."},{"content":"ns1.hosting.example."}]},
		{"name":"www.%[1]s.","type":"A","ttl":300,"records":[{"content":"192.0.2.1"}]}]}`, name, kind, account, soa)
	if kind == "Slave" {
		body = fmt.Sprintf(`{"name":"%s.","kind":"Slave","masters":["192.0.2.9"]}`, name)
	}
	if code, text := api(t, http.MethodPost, "/zones", body); code != http.StatusCreated {
		t.Fatalf("%d %s", code, text)
	}
}

// adopted returns the changes that take over what is there, as a plan has them.
func adopted(t *testing.T, e executors.Reader, wanted ...planner.Object) []planner.Change {
	t.Helper()
	var refs []planner.Ref
	for _, o := range wanted {
		refs = append(refs, o.Ref())
	}
	there, err := e.Present(t.Context(), refs)
	if err != nil {
		t.Fatal(err)
	}
	var cs []planner.Change
	for i, o := range wanted {
		old := there[o.Ref()]
		if old == nil {
			t.Fatalf("%s isn't there", o.Ref())
		}
		cs = append(cs, planner.Change{ID: i, Action: planner.Update, Old: old, New: o, Expect: planner.HashOf(old), Adopt: true})
	}
	return cs
}

// A zone that is equal is adopted without a change of what it answers; one that differs is changed; in neither does what
// isn't content change: its secondaries go on to be told.
func TestAdopt(t *testing.T) {
	needServer(t)
	stranger(t, "theirs.example", "Master", "billing")
	zone, www := zoneOf("theirs.example"), rrsetOf("theirs.example", "www.theirs.example", "A", "192.0.2.1")
	before := serial(t, "theirs.example")
	e := external()
	cs := adopted(t, e, zone, www)
	for _, c := range cs {
		if c.Expect != planner.HashOf(c.New) {
			t.Errorf("%s differs: %v", c.Ref(), planner.Differences(c))
		}
	}
	apply(t, e, cs[:1])
	apply(t, e, cs[1:])
	if now := serial(t, "theirs.example"); now != before {
		t.Errorf("nothing differed, and the serial went from %d to %d", before, now)
	}
	if _, text := api(t, http.MethodGet, "/zones/theirs.example.?rrsets=false", ""); !strings.Contains(text, `"kind": "Master"`) || !strings.Contains(text, instance) {
		t.Errorf("it isn't ours, or no longer a primary: %s", text)
	}
	objects, err := e.Observe(t.Context())
	if err != nil || len(objects) != 2 {
		t.Errorf("observed %v, %v", objects, err)
	}

	stranger(t, "theirs.example", "Native", "")
	www.Values = []string{"192.0.2.2"}
	cs = adopted(t, e, zone, www)
	if code, text := api(t, http.MethodPatch, "/zones/theirs.example.", `{"rrsets":[{"name":"www.theirs.example.","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"192.0.2.3","disabled":false}]}]}`); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, text)
	}
	apply(t, e, cs[:1])
	if err := e.Apply(t.Context(), cs[1:])[0]; executors.KindOf(err) != executors.Drifted {
		t.Errorf("what was changed since it was planned: %v", err)
	}
	apply(t, e, adopted(t, e, www))
	if a := ask(t, "www.theirs.example", dns.TypeA); len(a.Answer) != 1 || !strings.HasSuffix(a.Answer[0].String(), "192.0.2.2") {
		t.Errorf("www: %v", a)
	}
}

// A zone that somebody has made on servers of our own is taken over as well, whatever its account says; then it is as every other.
func TestAdoptOnOurOwn(t *testing.T) {
	needServer(t)
	for _, account := range []string{"", "by hand"} {
		stranger(t, "theirs.example", "Master", account)
		zone, www := zoneOf("theirs.example"), rrsetOf("theirs.example", "www.theirs.example", "A", "192.0.2.7")
		e := checked.New(executor())
		cs := adopted(t, e, zone, www)
		apply(t, e, cs[:1])
		apply(t, e, cs[1:])
		if _, text := api(t, http.MethodGet, "/zones/theirs.example.", ""); !strings.Contains(text, `"kind": "Native"`) || !strings.Contains(text, instance) || !strings.Contains(text, "192.0.2.7") {
			t.Errorf("account %q: it isn't ours: %s", account, text)
		}
	}
}

// What others have stays theirs, and the error says what would change that.
func TestG15_NotAdopted(t *testing.T) {
	needServer(t)
	stranger(t, "theirs.example", "Native", "")
	stranger(t, "other.example", "Native", strings.Repeat("0", 32))
	stranger(t, "secondary.example", "Slave", "")
	zone := zoneOf("theirs.example")
	for _, c := range []struct {
		what    string
		e       executors.Executor
		changes []planner.Change
		want    string
	}{
		{"in a plan that doesn't take it over", external(), create(zone), "metadata.adopt: true in the Zone"},
		{"another inventory's", external(), adopted(t, external(), zoneOf("other.example")), "belongs to the inventory"},
		{"a secondary", external(), []planner.Change{{Action: planner.Update, New: zoneOf("secondary.example"), Adopt: true}}, "make it a primary one"},
		{"a record of it alone", external(), create(rrsetOf("theirs.example", "x.theirs.example", "A", "192.0.2.1")), "metadata.adopt: true in the Zone"},
		{"on servers of our own", executor(), create(zone), "metadata.adopt: true in the Zone"},
		{"another inventory's, on servers of our own", executor(), adopted(t, executor(), zoneOf("other.example")), "belongs to the inventory"},
		{"a secondary, on servers of our own", executor(), []planner.Change{{Action: planner.Update, New: zoneOf("secondary.example"), Adopt: true}}, "make it a primary one"},
	} {
		err := c.e.Apply(t.Context(), c.changes)[0]
		if executors.KindOf(err) != executors.Conflict || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want a conflict: %s", c.what, err, c.want)
		}
	}
	if _, text := api(t, http.MethodGet, "/zones/theirs.example.", ""); strings.Contains(text, instance) || strings.Contains(text, "x.theirs.example") {
		t.Errorf("it was touched: %s", text)
	}
}

// The key goes to the API alone, and nowhere that it sends us to.
func TestG11_TheKeyFollowsNobodyElsewhere(t *testing.T) {
	leaked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = leaked || r.Header.Get("X-API-Key") != ""
	}))
	defer elsewhere.Close()
	api := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer api.Close()
	key := func(context.Context) (string, error) { return "key-of-the-api", nil }
	e := powerdns.New(powerdns.Options{Target: target, Instance: instance, URL: api.URL, External: true, Key: key})
	_, err := e.Observe(t.Context())
	if executors.KindOf(err) != executors.Unknown || leaked || strings.Contains(err.Error(), "key-of-the-api") {
		t.Errorf("%v; the key went on: %v", err, leaked)
	}
}
