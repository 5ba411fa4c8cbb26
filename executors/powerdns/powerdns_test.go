package powerdns_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"hostctl/executors"
	"hostctl/executors/powerdns"
	"hostctl/planner"
)

// ask asks the server as a resolver would.
func ask(t testing.TB, name string, typ uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), typ)
	answer, _, err := new(dns.Client).Exchange(m, server.address+":53")
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func serial(t testing.TB, zone string) uint32 {
	t.Helper()
	a := ask(t, zone, dns.TypeSOA)
	if len(a.Answer) != 1 {
		t.Fatalf("SOA %s: %v", zone, a)
	}
	return a.Answer[0].(*dns.SOA).Serial
}

// What is applied is answered at once, and the serial moves only where something changed.
func TestAnswers(t *testing.T) {
	needServer(t)
	clean(t, "answers.example")
	e := executor()
	zone := zoneOf("answers.example")
	www := rrsetOf("answers.example", "www.answers.example", "A", "192.0.2.1", "192.0.2.2")
	apply(t, e, create(zone))
	apply(t, e, create(www, rrsetOf("answers.example", "answers.example", "TXT", `"hello"`)))

	if a := ask(t, "www.answers.example", dns.TypeA); len(a.Answer) != 2 || !a.Authoritative {
		t.Errorf("www: %v", a)
	}
	if a := ask(t, "answers.example", dns.TypeNS); len(a.Answer) != 2 {
		t.Errorf("NS: %v", a)
	}
	s := ask(t, "answers.example", dns.TypeSOA).Answer[0].(*dns.SOA)
	if s.Ns != "ns1.hosting.example." || s.Mbox != `host\.master.hosting.example.` || s.Minttl != 300 || s.Hdr.Ttl != 3600 {
		t.Errorf("SOA: %v", s)
	}
	if a := ask(t, "none.answers.example", dns.TypeA); a.Rcode != dns.RcodeNameError {
		t.Errorf("a name that isn't there: %v", a)
	}

	first := serial(t, "answers.example")
	apply(t, e, create(zone, www))
	if s := serial(t, "answers.example"); s != first {
		t.Errorf("nothing changed and the serial went from %d to %d", first, s)
	}
	last := first
	zone.Hostmaster = "dns@hosting.example"
	for _, c := range []planner.Object{zone, rrsetOf("answers.example", "www.answers.example", "A", "192.0.2.7")} {
		apply(t, e, create(c))
		s := serial(t, "answers.example")
		if s <= last {
			t.Errorf("after a change of %s the serial went from %d to %d", c.Ref(), last, s)
		}
		last = s
	}
	apply(t, e, remove(www))
	if a := ask(t, "www.answers.example", dns.TypeA); a.Rcode != dns.RcodeNameError {
		t.Errorf("a name that was removed: %v", a)
	}
}

// G15: a zone of another inventory, or of nobody, is never touched.
func TestG15_OtherInstance(t *testing.T) {
	needServer(t)
	clean(t, "mine.example", "nobodys.example")
	o := options()
	o.Instance = "another"
	other := powerdns.New(o)
	apply(t, other, create(zoneOf("mine.example")))
	apply(t, other, create(rrsetOf("mine.example", "www.mine.example", "A", "192.0.2.1")))
	if code, text := api(t, http.MethodPost, "/zones", `{"name":"nobodys.example.","kind":"Native","nameservers":[]}`); code != http.StatusCreated {
		t.Fatalf("%d %s", code, text)
	}
	for _, zone := range []string{"mine.example", "nobodys.example"} {
		for _, c := range [][]planner.Change{
			create(zoneOf(zone)), create(rrsetOf(zone, "www."+zone, "A", "192.0.2.66")), create(rrsetOf(zone, "new."+zone, "A", "192.0.2.66")),
			remove(rrsetOf(zone, "www."+zone, "A", "192.0.2.1")), remove(zoneOf(zone)),
		} {
			if err := executor().Apply(t.Context(), c)[0]; executors.KindOf(err) != executors.Conflict {
				t.Errorf("%s %s: %v, want a conflict", c[0].Action, c[0].Ref(), err)
			}
		}
	}
	objects, err := executor().Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		t.Errorf("observed though it isn't ours: %s", o.Ref())
	}
	want := []planner.Object{zoneOf("mine.example"), rrsetOf("mine.example", "www.mine.example", "A", "192.0.2.1")}
	got, err := other.Observe(t.Context())
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("the other's zone (-want +got): %v\n%s", err, d)
	}
}

// What nobody declared is shown, and a zone that holds it stays.
func TestUnmanagedRecords(t *testing.T) {
	needServer(t)
	clean(t, "kept.example")
	e := executor()
	zone := zoneOf("kept.example")
	www := rrsetOf("kept.example", "www.kept.example", "A", "192.0.2.1")
	apply(t, e, create(zone))
	apply(t, e, create(www))
	for i := range 7 {
		patch(t, "kept.example", fmt.Sprintf(`{"name":"x%d.kept.example.","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"203.0.113.1"}]}`, i))
	}
	objects, err := e.Observe(t.Context())
	if err != nil || len(objects) != 9 {
		t.Errorf("observed %d objects, want the zone and 8 RRsets: %v", len(objects), err)
	}
	errs := e.Apply(t.Context(), remove(www, zone))
	if err := errs[1]; executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "7 RRsets") || !strings.HasSuffix(err.Error(), ": x0.kept.example A, x1.kept.example A, x2.kept.example A, x3.kept.example A, x4.kept.example A") {
		t.Errorf("remove a zone with records of others: %v", err)
	}
	if a := ask(t, "x0.kept.example", dns.TypeA); len(a.Answer) != 1 {
		t.Errorf("a record of others is gone: %v", a)
	}
	for i := range 7 {
		patch(t, "kept.example", fmt.Sprintf(`{"name":"x%d.kept.example.","type":"A","changetype":"DELETE","records":[]}`, i))
	}
	apply(t, e, remove(www, zone))
	apply(t, e, remove(www, zone))
}

// A create of an RRset whose zone is missing fails; a removal has nothing to do.
func TestZoneMissing(t *testing.T) {
	needServer(t)
	e := executor()
	www := rrsetOf("missing.example", "www.missing.example", "A", "192.0.2.1")
	if err := e.Apply(t.Context(), create(www))[0]; executors.KindOf(err) != executors.Conflict || !strings.Contains(err.Error(), "zone missing.example isn't there") {
		t.Errorf("create: %v", err)
	}
	apply(t, e, remove(www))
}

// What PowerDNS refuses in one zone is refused for that zone's changes only, and none of them is carried out.
func TestRefusedByZone(t *testing.T) {
	needServer(t)
	clean(t, "one.example", "two.example")
	e := executor()
	apply(t, e, create(zoneOf("one.example"), zoneOf("two.example")))
	apply(t, e, create(rrsetOf("one.example", "a.one.example", "A", "192.0.2.1")))
	errs := e.Apply(t.Context(), create(
		rrsetOf("one.example", "b.one.example", "A", "192.0.2.1"),
		rrsetOf("two.example", "b.two.example", "A", "192.0.2.1"),
		rrsetOf("one.example", "a.one.example", "CNAME", "b.one.example."),
	))
	for _, i := range []int{0, 2} {
		if e := new(executors.Error); !errors.As(errs[i], &e) || e.Kind != executors.Refused || !e.Batch || !strings.Contains(e.Error(), "Conflicts with pre-existing RRset") {
			t.Errorf("change %d: %v, want the batch refused", i, errs[i])
		}
	}
	if errs[1] != nil {
		t.Errorf("the other zone: %v", errs[1])
	}
	if a := ask(t, "b.one.example", dns.TypeA); a.Rcode != dns.RcodeNameError {
		t.Errorf("a part of what was refused is there: %v", a)
	}
}

// Rows of BAD-INPUTS.md, checked once more where they would be sent: nothing arrives at the server.
func TestBadInput(t *testing.T) {
	reached := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer s.Close()
	e := powerdns.New(powerdns.Options{URL: s.URL, KeyFile: keyFile(t, "k"), Instance: instance})
	zone := func(change func(*planner.Zone)) planner.Object { z := zoneOf("a.example"); change(&z); return z }
	rr := func(fqdn, typ string, values ...string) planner.Object {
		return rrsetOf("a.example", fqdn, typ, values...)
	}
	for name, o := range map[string]planner.Object{
		"B01 newline in a zone's name":    zoneOf("a.example\nb"),
		"B03 NBSP in a zone's name":       zoneOf("a\u00a0.example"),
		"B04 capitals":                    zoneOf("A.example"),
		"B04 trailing dot":                zoneOf("a.example."),
		"B06 one label":                   zoneOf("localhost"),
		"B07 path":                        zoneOf("a.example/x"),
		"B07 query":                       zoneOf("a.example?x=y"),
		"B10 escape":                      zoneOf("%2e%2e"),
		"no name servers":                 zone(func(z *planner.Zone) { z.Nameservers = nil }),
		"bad name server":                 zone(func(z *planner.Zone) { z.Nameservers = []string{"ns1.example. 1 2 3 4 5\nx"} }),
		"bad hostmaster":                  zone(func(z *planner.Zone) { z.Hostmaster = "a b@example.com" }),
		"B32 out of zone":                 rr("www.b.example", "A", "192.0.2.1"),
		"B32 empty label":                 rr("a..a.example", "A", "192.0.2.1"),
		"B32 asterisk twice":              rr("*.*.a.example", "A", "192.0.2.1"),
		"B32 escaped octet":               rr(`\000.a.example`, "A", "192.0.2.1"),
		"B32 256 characters":              rr(strings.Repeat("abcdefg.", 32)+"a.example", "A", "192.0.2.1"),
		"B33 bad address":                 rr("www.a.example", "A", "999.1.1.1"),
		"B33 leading zero":                rr("www.a.example", "A", "01.2.3.4"),
		"B33 mapped address":              rr("www.a.example", "AAAA", "::ffff:1.2.3.4"),
		"B33 not canonical":               rr("www.a.example", "AAAA", "2001:DB8::0001"),
		"B34 no dot":                      rr("www.a.example", "CNAME", "b.example"),
		"B35 no preference":               rr("a.example", "MX", "mail.a.example."),
		"B36 second record in a text":     rr("a.example", "TXT", "\"a\"\nevil A 1.2.3.4"),
		"B36 unbalanced quote":            rr("a.example", "TXT", `"a`),
		"B38 SOA":                         rr("a.example", "SOA", "a. b. 1 2 3 4 5"),
		"B38 LUA":                         rr("a.example", "LUA", `A "os.execute('id')"`),
		"B38 DNSKEY":                      rr("a.example", "DNSKEY", "257 3 13 AAAA"),
		"B38 TYPE65534":                   rr("a.example", "TYPE65534", `\# 0`),
		"B40 the zone's own name servers": rr("a.example", "NS", "ns1.example.net."),
		"B39 no TTL":                      planner.RRset{Meta: meta("a.example/www.a.example/A"), Zone: "a.example", FQDN: "www.a.example", Type: "A", Values: []string{"192.0.2.1"}},
		"B39 TTL of 2^31":                 planner.RRset{Meta: meta("a.example/www.a.example/A"), Zone: "a.example", FQDN: "www.a.example", Type: "A", TTL: 1 << 31, Values: []string{"192.0.2.1"}},
		"no values":                       rr("www.a.example", "A"),
		"a value twice":                   rr("www.a.example", "A", "192.0.2.1", "192.0.2.1"),
		"named as another":                planner.RRset{Meta: meta("a.example/x.a.example/A"), Zone: "a.example", FQDN: "www.a.example", Type: "A", TTL: 60, Values: []string{"192.0.2.1"}},
	} {
		if err := e.Apply(t.Context(), create(o))[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v, want it refused", name, err)
		} else if strings.ContainsAny(err.Error(), "\n\u00a0") {
			t.Errorf("%s: the error holds it raw: %q", name, err)
		}
	}
	// A removal needs only the name, so only that is checked.
	for _, o := range []planner.Object{zoneOf("a.example/../b"), rr("../x", "A", "192.0.2.1")} {
		if err := e.Apply(t.Context(), remove(o))[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("remove %s: %v, want it refused", o.Ref(), err)
		}
	}
	if reached {
		t.Error("a request was sent")
	}
}

func keyFile(t testing.TB, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "api-key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	return file
}

// Each answer has the kind that its caller needs, and none of the errors holds the key (G11).
func TestErrorKinds(t *testing.T) {
	const key = "s3cr3t-key-canary"
	change := create(rrsetOf("a.example", "www.a.example", "A", "192.0.2.1"))
	for _, c := range []struct {
		status int
		answer string
		want   executors.Kind
	}{
		{http.StatusInternalServerError, `{"error": "Could not connect to database"}`, executors.Busy},
		{http.StatusServiceUnavailable, "try later", executors.Busy},
		{http.StatusTooManyRequests, "", executors.Busy},
		{http.StatusUnauthorized, "Unauthorized " + "canary", executors.Unreachable},
		{http.StatusUnprocessableEntity, `{"error": "RRset www.a.example. IN A: bad \u001b[31m"}`, executors.Refused},
		{http.StatusBadRequest, "Bad Request", executors.Refused},
		{http.StatusNotFound, "Not Found", executors.Conflict},
		{http.StatusTeapot, "", executors.Unknown},
		{http.StatusMovedPermanently, "", executors.Unknown},
		{http.StatusOK, `{"name": `, executors.Unknown},
		{http.StatusOK, "<html>", executors.Unknown},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("X-API-Key"); got != key {
				t.Errorf("key %q", got)
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.answer)
		}))
		e := powerdns.New(powerdns.Options{URL: s.URL, KeyFile: keyFile(t, key), Instance: instance})
		err := e.Apply(t.Context(), change)[0]
		if executors.KindOf(err) != c.want {
			t.Errorf("%d %s: %v (%s), want %s", c.status, c.answer, err, executors.KindOf(err), c.want)
		}
		if _, err2 := e.Observe(t.Context()); err2 == nil || strings.Contains(fmt.Sprint(err, err2), key) || strings.Contains(fmt.Sprint(err, err2), "\x1b") {
			t.Errorf("%d: errors %q, %q", c.status, err, err2)
		}
		s.Close()
	}
	gone := powerdns.New(powerdns.Options{URL: "http://127.0.0.1:1", KeyFile: keyFile(t, key), Instance: instance})
	if err := gone.Apply(t.Context(), change)[0]; executors.KindOf(err) != executors.Unreachable || strings.Contains(err.Error(), key) {
		t.Errorf("nobody listens: %v", err)
	}
	for _, file := range []string{filepath.Join(t.TempDir(), "none"), keyFile(t, ""), keyFile(t, key+"\n"+key)} {
		e := powerdns.New(powerdns.Options{URL: "http://127.0.0.1:1", KeyFile: file})
		if err := e.Apply(t.Context(), change)[0]; executors.KindOf(err) != executors.Unreachable || strings.Contains(err.Error(), key) {
			t.Errorf("key file %s: %v", file, err)
		}
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	e := powerdns.New(powerdns.Options{URL: slow.URL, KeyFile: keyFile(t, key), HTTP: &http.Client{Timeout: 20 * time.Millisecond}})
	if err := e.Apply(t.Context(), change)[0]; executors.KindOf(err) != executors.Busy {
		t.Errorf("no answer in time: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	e = powerdns.New(powerdns.Options{URL: slow.URL, KeyFile: keyFile(t, key)})
	if err := e.Apply(ctx, change)[0]; executors.KindOf(err) != executors.Busy {
		t.Errorf("the caller's time is over: %v", err)
	}
}

// A batch is one PATCH a zone, removals before the rest, up to four zones at a time and never one zone twice at once.
func TestOnePatchPerZone(t *testing.T) {
	var listed []string
	for z := range 12 {
		listed = append(listed, fmt.Sprintf(`{"name":"z%d.example.","account":%q}`, z, instance))
	}
	list := "[" + strings.Join(listed, ",") + "]"
	var mu sync.Mutex
	patches, running, most := map[string][]string{}, map[string]bool{}, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/api/v1/servers/localhost/zones/")
		mu.Lock()
		if running[name] {
			t.Errorf("two requests for %s at once", name)
		}
		running[name] = true
		most = max(most, len(running))
		mu.Unlock()
		time.Sleep(2 * time.Millisecond) // so that requests meet
		defer func() { mu.Lock(); delete(running, name); mu.Unlock() }()
		if r.URL.Path == "/api/v1/servers/localhost/zones" {
			fmt.Fprint(w, list)
			return
		}
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"name":%q,"account":%q,"rrsets":[{"name":"r9.%s","type":"A","ttl":300,"records":[{"content":"192.0.2.9"}]}]}`, name, instance, name)
			return
		}
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Error(err)
		}
		mu.Lock()
		patches[name] = append(patches[name], b.String())
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	var cs []planner.Change
	for z := range 12 {
		zone := "z" + strconv.Itoa(z) + ".example"
		for r := range 9 {
			cs = append(cs, create(rrsetOf(zone, fmt.Sprintf("r%d.%s", r, zone), "A", "192.0.2.1"))...)
		}
		cs = append(cs, remove(rrsetOf(zone, "r9."+zone, "A", "192.0.2.9"), rrsetOf(zone, "none."+zone, "A", "192.0.2.9"))...)
	}
	e := powerdns.New(powerdns.Options{URL: s.URL, KeyFile: keyFile(t, "k"), Instance: instance})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { apply(t, e, cs) })
	}
	wg.Wait()
	if len(patches) != 12 || most != 4 {
		t.Errorf("%d zones patched, %d at a time; want 12, 4", len(patches), most)
	}
	for zone, p := range patches {
		if len(p) != 2 { // one for each Apply
			t.Errorf("%s: %d PATCHes, want one a batch", zone, len(p))
		}
		if n, first, last := strings.Count(p[0], `"changetype"`), strings.Index(p[0], "DELETE"), strings.Index(p[0], "REPLACE"); n != 10 || first < 0 || first > last {
			t.Errorf("%s: want 10 changes and removals first: %s", zone, p[0])
		}
	}
}
