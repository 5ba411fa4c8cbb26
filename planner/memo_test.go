package planner_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"hostctl/planner"
	"hostctl/schema"
)

// spared counts the plans of all histories that a Memo made without planning everything.
var spared atomic.Int64

// memory is a Memo, and the inventory's account of what has changed from one plan to the next.
type memory struct {
	planner.Memo
	state   planner.State
	dirty   map[planner.Ref]planner.Reason
	version int

	before schema.Manifest // that was planned last
	asked  bool
}

// look gives a live state its version, and says what has changed since the last look.
func (m *memory) look(live *planner.Live) {
	refs := append(changed(m.state, live.State), changed(m.dirty, live.Dirty)...)
	m.state, m.dirty = maps.Clone(live.State), maps.Clone(live.Dirty)
	if len(refs) > 0 {
		m.version++
		live.Lately = append(live.Lately, planner.Lately{From: strconv.Itoa(m.version - 1), To: strconv.Itoa(m.version), Refs: refs})
	}
	live.Version = strconv.Itoa(m.version)
}

func changed[V any](old, now map[planner.Ref]V) (refs []planner.Ref) {
	for ref, v := range now {
		if o, ok := old[ref]; !ok || !reflect.DeepEqual(o, v) {
			refs = append(refs, ref)
		}
	}
	for ref := range old {
		if _, ok := now[ref]; !ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// compare plans once more with the Memo, and wants the same.
func (m *memory) compare(t rapid.TB, manifest schema.Manifest, live planner.Live, want planner.Plan, wantErr error) {
	live.State, live.Dirty, live.Lately = m.state, m.dirty, slices.Clone(live.Lately)
	// Whatever is asked in between, also of what was before, changes nothing.
	for _, manifest := range []schema.Manifest{manifest, m.before} {
		if m.asked {
			want, wantErr := planner.New(manifest, live, mayDestroy)
			got, err := m.Ask(manifest, live, mayDestroy)
			sameAnswer(t, "asked", got, err, want, wantErr)
		}
	}
	m.before, m.asked = manifest, true
	before := m.Spared()
	got, err := m.New(manifest, live, mayDestroy)
	spared.Add(int64(m.Spared() - before))
	sameAnswer(t, "with a memo", got, err, want, wantErr)
}

// sameAnswer wants a plan, or its refusal, to be what planning everything comes to.
func sameAnswer(t rapid.TB, how string, got planner.Plan, err error, want planner.Plan, wantErr error) {
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("%s: %v\nwithout a memo: %v", how, err, wantErr)
	}
	if err != nil {
		return
	}
	a, b := encoded(t, got), encoded(t, want)
	if !bytes.Equal(a, b) {
		t.Fatalf("%s:\n%s%v\n%s\nwithout a memo:\n%s%v\n%s", how, describe(got), got.Notes, a, describe(want), want.Notes, b)
	}
}

func encoded(t rapid.TB, p planner.Plan) []byte {
	b, err := planner.EncodePlan(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parted brings a manifest into the order that schema.Load gives it, and tells its parts.
func parted(m schema.Manifest) schema.Manifest {
	text := map[string]string{"": fmt.Sprintf("%+v %+v %+v %+v %+v %+v %+v", m.Platform, m.Plans, m.Clusters, m.LBAddresses, m.NodeProfiles, m.Hosts, m.Shards)}
	part(m.Tenants, text, func(v schema.Tenant) schema.Meta { return v.Meta })
	part(m.Webroots, text, func(v schema.Webroot) schema.Meta { return v.Meta })
	part(m.FQDNs, text, func(v schema.FQDN) schema.Meta { return v.Meta })
	part(m.CronJobs, text, func(v schema.CronJob) schema.Meta { return v.Meta })
	part(m.Zones, text, func(v schema.Zone) schema.Meta { return v.Meta })
	part(m.Records, text, func(v schema.ZoneRecord) schema.Meta { return v.Meta })
	part(m.CronJobs, text, func(v schema.CronJob) schema.Meta { return v.Meta })
	m.Parts = map[string]schema.Part{}
	for tenant, s := range text {
		m.Parts[tenant] = sha256.Sum256([]byte(s))
	}
	return m
}

func part[T any](all []T, text map[string]string, meta func(T) schema.Meta) {
	slices.SortFunc(all, func(a, b T) int {
		return cmp.Or(cmp.Compare(meta(a).Tenant, meta(b).Tenant), cmp.Compare(meta(a).Name, meta(b).Name))
	})
	for _, v := range all {
		text[meta(v).Tenant] += fmt.Sprintf("%+v\n", v)
	}
}

// TestMemoSpares: a Memo plans one changed tenant of many without the others, and forgets nothing that it must know.
func TestMemoSpares(t *testing.T) {
	m := parted(large(20))
	live := applied(mustPlan(t, m, planner.Live{}))
	live.Version = "1"
	var memo planner.Memo
	plan := func(m schema.Manifest, live planner.Live, wantSpared int) planner.Plan {
		t.Helper()
		got, err := memo.New(m, live, mayDestroy)
		if err != nil {
			t.Fatal(err)
		}
		if want := mustPlan(t, m, live); got.Hash() != want.Hash() {
			t.Errorf("with a memo:\n%s\nwithout:\n%s", describe(got), describe(want))
		}
		if memo.Spared() != wantSpared {
			t.Errorf("%d plans left tenants out, want %d", memo.Spared(), wantSpared)
		}
		return got
	}
	plan(m, live, 0)
	plan(m, live, 1)
	one := large(20)
	one.FQDNs = append(one.FQDNs, schema.FQDN{Meta: meta(schema.KindFQDN, "tenant-000001", "new.z.test"), Hostname: "new.z.test", Webroot: "www", ManageDNS: true})
	one = parted(one)
	p := plan(one, live, 2)
	if len(p.Changes) != 4 {
		t.Errorf("%d changes, want 4:\n%s", len(p.Changes), describe(p))
	}
	live = after(live, p)
	plan(one, live, 3)
	// Somebody asks what a change would do, one of the platform's own, and one that may not be: the next plan is spared for all that.
	for _, unwanted := range []func(*schema.Manifest){
		func(m *schema.Manifest) { m.FQDNs = m.FQDNs[1:] },
		func(m *schema.Manifest) { m.Tenants[0].Plan = "unknown" },
		func(m *schema.Manifest) { m.Shards[0].NodeCount++ },
		func(m *schema.Manifest) { *m = schema.Manifest{} },
	} {
		other := large(20)
		unwanted(&other)
		other = parted(other)
		got, err := memo.Ask(other, live, planner.Policy{})
		want, wantErr := planner.New(other, live, planner.Policy{})
		sameAnswer(t, "asked", got, err, want, wantErr)
	}
	asked := memo.Spared()
	plan(one, live, asked+1)
	plan(m, live, asked+1) // takes the name away again, so that the budgets have to be asked
}

// A new generation of a generated secret is planned with a Memo too: it alone tells that anything has changed.
func TestMemoRotates(t *testing.T) {
	m := large(20)
	for i := range m.Webroots {
		m.Webroots[i].Runtime = schema.Runtime{Type: "php", Version: "8.4"}
		m.Webroots[i].SecretEnv = map[string]schema.Secret{"TOKEN": {Generate: true, Name: "token"}}
	}
	m = parted(m)
	live := applied(mustPlan(t, m, planner.Live{}))
	live.Version = "1"
	var memo planner.Memo
	plan := func() planner.Plan {
		t.Helper()
		got, err := memo.New(m, live, mayDestroy)
		if err != nil {
			t.Fatal(err)
		}
		if want := mustPlan(t, m, live); got.Hash() != want.Hash() {
			t.Errorf("with a memo:\n%s\nwithout:\n%s", describe(got), describe(want))
		}
		return got
	}
	plan()
	for generation := range 3 {
		live.Lately = append(slices.Clone(live.Lately), planner.Lately{From: live.Version, To: live.Version + "+"})
		live.Version += "+"
		live.Generations = map[planner.Generated]int{{Tenant: "tenant-000001", Name: "token"}: generation + 2}
		p := plan()
		secrets := 0
		for _, c := range p.Changes {
			if s, ok := c.New.(planner.Secret); ok && s.Tenant == "tenant-000001" && s.Generation == generation+2 {
				secrets++
			}
		}
		if secrets == 0 || memo.Spared() != 2*generation+1 {
			t.Errorf("%d secrets changed, and %d plans left tenants out, want %d:\n%s", secrets, memo.Spared(), 2*generation+1, describe(p))
		}
		live = after(live, p)
		if p := plan(); !p.Empty() {
			t.Errorf("and once more:\n%s", describe(p))
		}
	}
}

// after returns the live state after a plan that changes some objects, with an account of it.
func after(live planner.Live, p planner.Plan) planner.Live {
	live.State = maps.Clone(live.State)
	var refs []planner.Ref
	for _, c := range p.Changes {
		live.State[c.Ref()] = c.New
		refs = append(refs, c.Ref())
	}
	live.Lately = append(slices.Clone(live.Lately), planner.Lately{From: live.Version, To: live.Version + "+", Refs: refs})
	live.Version += "+"
	return live
}
