package planner_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// refused plans, and returns what has to be allowed and what would be lost, each as text.
func refused(t *testing.T, m schema.Manifest, live planner.Live, allow ...string) (asks, lost []string) {
	t.Helper()
	_, err := planner.New(m, live, planner.Policy{AgentBinary: agent.AgentBinary, AllowDestroy: allow})
	var no *planner.RefusedError
	if err != nil && !errors.As(err, &no) {
		t.Fatal(err)
	}
	if no == nil {
		return nil, nil
	}
	for _, r := range no.Refusals {
		asks = append(asks, r.Allow)
		for _, ref := range r.Refs {
			lost = append(lost, ref.String())
		}
		if want := "Allow-Destroy: " + r.Allow; !strings.HasSuffix(r.String(), want) {
			t.Errorf("a refusal doesn't end in %q:\n%s", want, r)
		}
	}
	return asks, lost
}

// wantAsked checks what a plan asks for, that nothing less will do, and that with it the plan is made.
func wantAsked(t *testing.T, m schema.Manifest, live planner.Live, want ...string) {
	t.Helper()
	got, _ := refused(t, m, live)
	if !slices.Equal(got, want) {
		t.Fatalf("asks for %q, want %q", got, want)
	}
	for i := range want {
		if left, _ := refused(t, m, live, slices.Delete(slices.Clone(want), i, i+1)...); !slices.Equal(left, want[i:i+1]) {
			t.Errorf("without %s it asks for %q", want[i], left)
		}
	}
	if left, _ := refused(t, m, live, want...); left != nil {
		t.Errorf("with all of %q it still asks for %q", want, left)
	}
}

// names is a wish with one site of many names in the platform's zone.
func manyNames(n int) wish {
	w := firstWish()
	w.names = map[string][2]string{}
	for i := range n {
		w.names[fmt.Sprintf("n%03d.z.test", i)] = [2]string{"acme", "blog"}
	}
	return w
}

// B57: 31 % of what there is.
func TestG09_Budget(t *testing.T) {
	w := manyNames(20)
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	for i := range 6 {
		delete(w.names, fmt.Sprintf("n%03d.z.test", i))
	}
	wantAsked(t, w.manifest(2), live) // 6 of 21 objects of the tenant, 6 of 20 routes: 30 %
	delete(w.names, "n006.z.test")
	wantAsked(t, w.manifest(3), live, "Tenant/acme/*")

	small := manyNames(8)
	live = applied(mustPlan(t, small.manifest(1), planner.Live{}))
	small.names = map[string][2]string{"n000.z.test": {"acme", "blog"}}
	wantAsked(t, small.manifest(2), live) // of fewer than ten it doesn't count
}

// TestG09_BudgetOfMaps: names of many tenants, of whom none loses much, are still too many of one map and one zone.
func TestG09_BudgetOfMaps(t *testing.T) {
	m := large(40)
	live := applied(mustPlan(t, m, planner.Live{}))
	m.Commit = strings.Repeat("2", 40)
	before := len(m.FQDNs)
	m.FQDNs = slices.DeleteFunc(m.FQDNs, func(f schema.FQDN) bool { return f.Tenant < "tenant-000020" })
	if len(m.FQDNs) == before || len(m.FQDNs) == 0 {
		t.Fatal("the case is empty")
	}
	asks, lost := refused(t, m, live)
	if len(asks) == 0 || !slices.ContainsFunc(lost, func(r string) bool { return strings.HasPrefix(r, "route/") }) {
		t.Fatalf("half of all routes go unasked: %q", asks)
	}
	wantAsked(t, m, live, asks...)
}

func TestG09_DataCap(t *testing.T) {
	w := firstWish()
	for i := range 5 {
		w.sites[[2]string{"acme", fmt.Sprintf("site-%d", i)}] = "static"
	}
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	for i := range 3 {
		delete(w.sites, [2]string{"acme", fmt.Sprintf("site-%d", i)})
	}
	wantAsked(t, w.manifest(2), live)
	delete(w.sites, [2]string{"acme", "site-3"})
	wantAsked(t, w.manifest(3), live, "webroot/*")
	if asks, _ := refused(t, w.manifest(3), live, "acme/Webroot/site-3"); asks != nil {
		t.Errorf("one was named, and three are left; it still asks for %q", asks)
	}
}

// TestG09_OwnersAlwaysAsk: a Tenant, a Zone with records, a Shard and a Host are never removed unasked.
func TestG09_OwnersAlwaysAsk(t *testing.T) {
	first := firstWish()
	first.nodes["web-2"], first.tenantZone = 1, true
	m := first.manifest(1)
	m.Records = append(m.Records, schema.ZoneRecord{
		Meta: meta(schema.KindZoneRecord, "acme", "mx"), Zone: "acme", FQDN: "acme.test", Type: "MX", TTL: 60, Values: []string{"10 mail.acme.test."},
	})
	live := applied(mustPlan(t, m, planner.Live{}))

	tenant := first
	tenant.home, tenant.tenantZone = map[string]string{}, false
	tenant.repair()
	wantAsked(t, tenant.manifest(2), live, "Tenant/acme")
	if asks, _ := refused(t, tenant.manifest(2), live, "Tenant/acme/*", "webroot/*", "route/*", "rrset/*"); !slices.Equal(asks, []string{"Tenant/acme"}) {
		t.Errorf("all that a tenant has was allowed to go, and of the tenant it asks for %q", asks)
	}

	first = firstWish()
	first.nodes["web-2"], first.tenantZone = 1, true
	zone := first.manifest(2)
	zone.Zones = zone.Zones[:1]
	wantAsked(t, zone, live, "acme/Zone/acme")

	shard := first.manifest(2)
	shard.Records, shard.Shards = m.Records, shard.Shards[:1]
	wantAsked(t, shard, live, "Shard/web-2")

	live = applied(mustPlan(t, first.manifest(1), planner.Live{}))
	live.Targets = append(live.Targets, planner.Target{Name: "host-3", Docker: &schema.Docker{}})
	wantAsked(t, first.manifest(2), live, "Host/host-3")
}

// TestG09_ClusterAsks: nor is a Cluster, with what only it has.
func TestG09_ClusterAsks(t *testing.T) {
	w := firstWish()
	m := w.manifest(1)
	second := m.Clusters[0]
	second.Meta, second.Subnet = meta(schema.KindCluster, "", "eu-2"), "10.21.0.0/24"
	other := host("host-9")
	other.Cluster = "eu-2"
	m.Clusters, m.Hosts = append(m.Clusters, second), append(m.Hosts, other)
	live := applied(mustPlan(t, m, planner.Live{}))
	gone := w.manifest(2)
	gone.Hosts = append(gone.Hosts, host("host-9")) // it serves the other cluster from now on
	wantAsked(t, gone, live, "Cluster/eu-2")
	wantAsked(t, w.manifest(3), live, "Cluster/eu-2", "Host/host-9")
}

// TestG09_MovesLoseNothing: what is made anew, or elsewhere, is not taken away.
func TestG09_MovesLoseNothing(t *testing.T) {
	w := manyNames(20)
	w.nodes["web-2"], w.nodes["web-1"] = 1, 3
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	w.webImage, w.home["acme"], w.nodes["web-1"] = "web:2", "web-2", 2
	w.sites[[2]string{"acme", "blog"}] = "8.4"
	wantAsked(t, w.manifest(2), live)
}

// TestG09_PolicyOfBefore: guardrails and protection hold for the commit that takes them away.
func TestG09_PolicyOfBefore(t *testing.T) {
	w := manyNames(20)
	strict := w.manifest(1)
	strict.Platform.Guardrails = schema.Guardrails{MaxDeletePercent: 5, From: 1, MaxDataDeletes: 0}
	for i := range strict.Webroots {
		strict.Webroots[i].Protected = true
	}
	p := mustPlan(t, strict, planner.Live{})
	live := applied(p)
	live.Memory = p.Remember

	delete(w.names, "n000.z.test")
	delete(w.names, "n001.z.test")
	loose := w.manifest(2)
	loose.Platform.Guardrails = schema.DefaultGuardrails
	wantAsked(t, loose, live, "Tenant/acme/*")

	w.sites, w.names = map[[2]string]string{}, map[string][2]string{}
	gone := w.manifest(2)
	asks, _ := refused(t, gone, live, "Tenant/acme/*", "webroot/*", "acme/Webroot/*")
	if !slices.Equal(asks, []string{"acme/Webroot/blog"}) {
		t.Errorf("what was protected asks for %q", asks)
	}
	if asks, _ := refused(t, gone, live, "Tenant/acme/*", "acme/Webroot/blog"); asks != nil {
		t.Errorf("allowed by its name, and it still asks for %q", asks)
	}
}

// TestG09_AllowedUntilDone: what was allowed stays allowed until a node that couldn't be reached has lost it too.
func TestG09_AllowedUntilDone(t *testing.T) {
	w := firstWish()
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	w.home = map[string]string{}
	w.repair()
	live.Down = map[string]string{"web-1-1": "no answer"}
	allow := planner.Policy{AgentBinary: agent.AgentBinary, AllowDestroy: []string{"Tenant/acme"}}
	p, err := planner.New(w.manifest(2), live, allow)
	if err != nil || !slices.Equal(p.Remember.Allowed, allow.AllowDestroy) {
		t.Fatalf("remembers %q, %v", p.Remember.Allowed, err)
	}
	live.Memory, live.Down = p.Remember, nil
	if p, err = planner.New(w.manifest(3), live, agent); err != nil || p.Remember.Allowed != nil {
		t.Errorf("what was allowed is asked for again, or remembered when it is done: %q, %v", p.Remember.Allowed, err)
	}
	live.Memory = live.Memory.Begun(p.Remember) // and fails
	if _, err = planner.New(w.manifest(3), live, agent); err != nil {
		t.Errorf("what was allowed is forgotten by a run that failed: %v", err)
	}
}

func TestAllowGrammar(t *testing.T) {
	for _, good := range []string{"Tenant/acme", "Tenant/*", "Tenant/acme/*", "Shard/web-1", "acme/Webroot/shop", "acme/FQDN/www.acme.test", "route/*", "route/eu-1-lb-0/*", "rrset/eu-1-dns/acme.test/*"} {
		if err := planner.CheckAllow(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*", "all", "Tenant/", "acme", "acme/", "acme/webroot/shop", "/", "Tenant", "acme/Webroot/"} {
		if planner.CheckAllow(bad) == nil {
			t.Errorf("%q is understood", bad)
		}
	}
	w := firstWish()
	p, err := planner.New(w.manifest(1), planner.Live{}, planner.Policy{AllowDestroy: []string{"everything"}})
	if err != nil || !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, `"everything"`) }) {
		t.Errorf("what isn't understood isn't told: %v, %v", p.Notes, err)
	}
}

// TestG10_Purge: a webroot that nobody declares is kept until it is due, and goes then with its user; one whose
// deletionPolicy is Delete goes at once. Either is told.
func TestG10_Purge(t *testing.T) {
	w := firstWish()
	m := w.manifest(1)
	live := applied(mustPlan(t, m, planner.Live{}))
	w.home = map[string]string{}
	w.repair()
	root := planner.Ref{Kind: planner.KindWebroot, Target: "web-1", Name: "acme.blog"}
	kept := mustPlan(t, w.manifest(2), live)
	retired := byRef(kept)[root]
	if retired.Action != planner.Update || !planner.IsKept(retired.New) {
		t.Fatalf("not kept:\n%s", describe(kept))
	}
	for _, c := range kept.Changes {
		live.State[c.Ref()] = c.New
		if c.New == nil {
			delete(live.State, c.Ref())
		}
	}
	if p := mustPlan(t, w.manifest(3), live); !p.Empty() {
		t.Errorf("before it is due something changes:\n%s", describe(p))
	}
	live.Due = []planner.Ref{root}
	p, err := planner.New(w.manifest(3), live, agent)
	if err != nil {
		t.Fatal(err)
	}
	changes := byRef(p)
	if changes[root].Action != planner.Delete || changes[planner.Ref{Kind: planner.KindUser, Target: "web-1-0", Name: "acme"}].Action != planner.Delete {
		t.Errorf("due, and not deleted with its user:\n%s", describe(p))
	}
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "deleted for good") }) {
		t.Errorf("the plan doesn't say that files are deleted: %q", p.Notes)
	}
	back := firstWish()
	if p := mustPlan(t, back.manifest(4), live); byRef(p)[root].Action != planner.Update {
		t.Errorf("declared again, and not taken back:\n%s", describe(p))
	}

	m.Webroots[0].Deletion = schema.Delete
	live = applied(mustPlan(t, m, planner.Live{}))
	if p := mustPlan(t, w.manifest(2), live); byRef(p)[root].Action != planner.Delete || len(p.Notes) == 0 {
		t.Errorf("deletionPolicy Delete doesn't delete, or doesn't tell:\n%s", describe(p))
	}
}

func byRef(p planner.Plan) map[planner.Ref]planner.Change {
	out := map[planner.Ref]planner.Change{}
	for _, c := range p.Changes {
		out[c.Ref()] = c
	}
	return out
}
