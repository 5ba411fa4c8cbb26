package powerdns_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/executors/powerdns"
	"hostctl/planner"
)

// counter counts the requests that go through it.
type counter struct{ n atomic.Int64 }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

// Many zones are listed once, and those that haven't changed aren't read again; what others change is seen.
func TestReadsWhatChanged(t *testing.T) {
	needServer(t)
	var names []string
	var zones, sets []planner.Object
	for i := range 6 {
		name := fmt.Sprintf("seen-%d.example", i)
		names = append(names, name)
		zones = append(zones, zoneOf(name))
		sets = append(sets, rrsetOf(name, "www."+name, "A", "192.0.2.1"))
	}
	clean(t, names...)
	var c counter
	o := options()
	o.HTTP = &http.Client{Transport: &c}
	e := powerdns.New(o)
	requests := func(what string, want int64, do func()) {
		t.Helper()
		c.n.Store(0)
		do()
		if got := c.n.Load(); got != want {
			t.Errorf("%s: %d requests, want %d", what, got, want)
		}
	}
	requests("make zones", 1+6, func() { apply(t, e, create(zones...)) })
	requests("fill them", 1+6+6, func() { apply(t, e, create(sets...)) })
	requests("look at them", 1+6, func() { observe(t, e) })
	requests("look again", 1, func() { observe(t, e) })
	requests("fill them again", 1, func() { apply(t, e, create(sets...)) })

	patch := `{"rrsets":[{"name":"www.seen-3.example.","type":"A","ttl":300,"changetype":"REPLACE","records":[{"content":"192.0.2.9","disabled":false}]}]}`
	if status, answer := api(t, http.MethodPatch, "/zones/seen-3.example.", patch); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, answer)
	}
	requests("look at what another one changed", 1+1, func() {
		if d := cmp.Diff(observe(t, executor()), observe(t, e)); d != "" {
			t.Errorf("-all read +what changed read:\n%s", d)
		}
	})
	requests("repair it", 1+1, func() { apply(t, e, create(sets...)) })
	if status, answer := api(t, http.MethodDelete, "/zones/seen-2.example.", ""); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, answer)
	}
	if d := cmp.Diff(observe(t, executor()), observe(t, e)); d != "" {
		t.Errorf("-all read +what changed read:\n%s", d)
	}

	// What is converged by force is looked at whatever was seen.
	cs := create(sets[3:]...)
	for i := range cs {
		cs[i].Force = true
	}
	cs = append(cs, create(sets[0])...)
	requests("force", 1+3, func() { apply(t, e, cs) })
	clean(t, names...)
}

func observe(t *testing.T, e *powerdns.Executor) []planner.Object {
	t.Helper()
	got, err := e.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}
