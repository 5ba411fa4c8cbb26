package planner_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

func mustPlan(t *testing.T, m schema.Manifest, live planner.Live) planner.Plan {
	t.Helper()
	p, err := planner.New(m, live, mayDestroy)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func containers(p planner.Plan) map[string]planner.Container {
	all := map[string]planner.Container{}
	for _, c := range p.Changes {
		if o, ok := c.New.(planner.Container); ok {
			all[o.Name] = o
		}
	}
	return all
}

// B57: an empty repository.
func TestEmptyManifestIsRefused(t *testing.T) {
	w := firstWish()
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	_, err := planner.New(schema.Manifest{}, live, agent)
	var refused *planner.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if _, err := planner.New(schema.Manifest{}, planner.Live{}, agent); err != nil {
		t.Errorf("nothing declared and nothing live: %v", err)
	}
}

// TestUIDs: a tenant that comes back has the uid it had, and nobody else ever gets it.
func TestUIDs(t *testing.T) {
	w := firstWish()
	uid := func(allocations []planner.Allocation, tenant string) string {
		i := slices.IndexFunc(allocations, func(a planner.Allocation) bool { return a.Scope == "uid" && a.Key == tenant })
		if i < 0 {
			return ""
		}
		return allocations[i].Value
	}
	p := mustPlan(t, w.manifest(1), planner.Live{})
	live := applied(p)
	acme := uid(p.Allocations, "acme")
	w.home = map[string]string{"globex": "web-1"}
	w.repair()
	p = mustPlan(t, w.manifest(2), live)
	if got := uid(p.Allocations, "globex"); got == acme || got == "" {
		t.Errorf("globex has uid %q, and acme had %q", got, acme)
	}
	w.home["acme"] = "web-1"
	p = mustPlan(t, w.manifest(3), live)
	if got := uid(p.Allocations, "acme"); got != "" {
		t.Errorf("acme comes back with a new uid %s, had %s", got, acme)
	}
}

func TestUIDsExhausted(t *testing.T) {
	w := firstWish()
	m := w.manifest(1)
	m.Platform.UIDs = schema.Range{First: 100, Last: 100}
	live := planner.Live{Allocations: []planner.Allocation{{Scope: "uid", Key: "gone", Value: "100"}}}
	_, err := planner.New(m, live, agent)
	var problems planner.ProblemsError
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), "100-100") {
		t.Errorf("got %v, want a problem with the range in it", err)
	}
}

// TestPlacement: nodes of a group are spread, nodes that share files are together, and nothing moves later.
func TestPlacement(t *testing.T) {
	w := firstWish()
	w.lbs, w.nodes["web-1"] = 2, 3
	p := mustPlan(t, w.manifest(1), planner.Live{})
	c := containers(p)
	if c["eu-1-lb-0"].Target == c["eu-1-lb-1"].Target {
		t.Errorf("both load balancers are on %s", c["eu-1-lb-0"].Target)
	}
	if c["web-1-0"].Target != c["web-1-1"].Target || c["web-1-0"].Target != c["web-1-2"].Target {
		t.Errorf("nodes that share a volume are on %s, %s and %s", c["web-1-0"].Target, c["web-1-1"].Target, c["web-1-2"].Target)
	}
	m := w.manifest(2)
	m.Hosts = append([]schema.Host{host("host-0")}, m.Hosts...)
	if next := mustPlan(t, m, applied(p)); !next.Empty() {
		t.Errorf("a new host moves nodes:\n%s", describe(next))
	}
}

// TestPorts: a port for UDP and TCP has one number on the host, and addresses and ports are nobody else's.
func TestPorts(t *testing.T) {
	w := firstWish()
	w.dns = 2
	taken := map[string]string{}
	for name, c := range containers(mustPlan(t, w.manifest(1), planner.Live{})) {
		if other, ok := taken[c.Address]; ok {
			t.Errorf("%s and %s have address %s", name, other, c.Address)
		}
		taken[c.Address] = name
		number := map[int]int{}
		for _, p := range c.Ports {
			key := fmt.Sprint(c.Target, p.Protocol, p.Host)
			if other, ok := taken[key]; ok {
				t.Errorf("%s and %s have port %d/%s of %s", name, other, p.Host, p.Protocol, c.Target)
			}
			taken[key] = name
			if n, ok := number[p.Container]; ok && n != p.Host {
				t.Errorf("port %d of %s is %d and %d on the host", p.Container, name, n, p.Host)
			}
			number[p.Container] = p.Host
		}
	}
}

// TestEqualIsHash: the quick comparison says what the hashes say, of every field of every kind.
func TestEqualIsHash(t *testing.T) {
	w := firstWish()
	live := applied(mustPlan(t, w.manifest(1), planner.Live{}))
	for ref, o := range live.State {
		again, err := planner.Decode(planner.Encode(o))
		if err != nil {
			t.Fatal(err)
		}
		live.State[ref] = again
	}
	if p := mustPlan(t, w.manifest(2), live); !p.Empty() {
		t.Errorf("what was written and read differs:\n%s", describe(p))
	}
}

// TestTextIsPrintable: what a person typed can't command the terminal of who reads the plan.
func TestTextIsPrintable(t *testing.T) {
	evil := "a\x1b]0;owned\x07b\r\n+ c\u202e\u009b31m\xff"
	p := planner.Plan{Format: planner.PlanFormat, Notes: []string{evil}}
	owner := planner.Owner{Tenant: evil, Kind: "Webroot", Name: evil}
	old := planner.Vhost{Meta: planner.Meta{Target: "n", Name: evil, From: owner}, Hostnames: []string{"x"}, DocumentRoot: "y"}
	now := old
	now.Hostnames, now.DocumentRoot = []string{evil}, evil
	p.Changes = []planner.Change{{ID: 1, Stage: 1, Action: planner.Update, Old: old, New: now, Why: evil}}
	var text bytes.Buffer
	if err := p.Text(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, r := range text.String() {
		if r != '\n' && !strconv.IsPrint(r) {
			t.Fatalf("%q holds %q", text.String(), r)
		}
	}
	if got := strings.Count(text.String(), "\n"); got != 8 {
		t.Errorf("%d lines, want 8:\n%s", got, text.String())
	}
}

func TestLongListsAreFolded(t *testing.T) {
	var text bytes.Buffer
	if err := mustPlan(t, large(20), planner.Live{}).Text(&text, true); err != nil {
		t.Fatal(err)
	}
	w := firstWish()
	w.home, w.sites, w.names = map[string]string{"acme": "web-1"}, map[[2]string]string{{"acme", "blog"}: "static"}, map[string][2]string{}
	for i := range 100 {
		w.names[fmt.Sprintf("n%03d.z.test", i)] = [2]string{"acme", "blog"}
	}
	text.Reset()
	if err := mustPlan(t, w.manifest(1), planner.Live{}).Text(&text, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "+ route     100: n000.z.test, n001.z.test, n002.z.test, … on eu-1-lb-0\n") {
		t.Errorf("a hundred routes aren't folded:\n%s", text.String())
	}
}
