package reconciler_test

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// externalWorld is a world with nothing but name servers that hostctl hasn't made, as the planner's case of them has it.
func externalWorld(t *testing.T) (*world, schema.MapTree, *nameServers) {
	t.Helper()
	ar, err := txtar.ParseFile("../planner/testdata/external.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tree := schema.MapTree{}
	for _, f := range ar.Files {
		if _, path, ok := strings.Cut(f.Name, "/"); ok {
			tree[path] = string(f.Data)
		}
	}
	w, far := newWorld(t), &nameServers{}
	w.rec.Connect = func(target planner.Target, s reconciler.Session) (executors.Executor, error) {
		switch {
		case target.PowerDNS == nil:
			t.Errorf("%s isn't a PowerDNS", target.Name)
		case s.Blobs == nil:
			t.Errorf("nobody could read the key of %s", target.Name)
		case far.down != nil:
			return nil, far.down
		}
		far.asked++
		if s.Fence == 0 {
			return far, nil
		}
		return checked.New(far), nil
	}
	return w, tree, far
}

type nameServers struct {
	memory.Executor
	down  error
	asked int
}

// there puts the zone acme.test on the name servers, equal to what is declared, with one record that differs.
func (n *nameServers) there() {
	at := func(name string) planner.Meta { return planner.Meta{Target: "eu-1-powerdns", Name: name} }
	n.Put(planner.Zone{Meta: at("acme.test"), Nameservers: []string{"ns1.hosting.test", "ns2.hosting.test"}, Hostmaster: "hostmaster@hosting.test", TTL: 300})
	for name, value := range map[string]string{"acme.test/MX": "10 mail.acme.test.", "mail.acme.test/A": "192.0.2.99", "old.acme.test/A": "192.0.2.98"} {
		fqdn, rrtype, _ := strings.Cut(name, "/")
		n.Put(planner.RRset{Meta: at("acme.test/" + name), Zone: "acme.test", FQDN: fqdn, Type: rrtype, TTL: 300, Values: []string{value}})
	}
}

func actions(p planner.Plan) string {
	var lines []string
	for _, c := range p.Changes {
		line := string(c.Action) + " " + c.Ref().Name
		if c.Adopt {
			line += " " + c.Why
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// What is there is read before it is planned, shown, adopted, and then as good as made; after that nobody is asked.
func TestAdoptIsPlannedFromWhatIsThere(t *testing.T) {
	w, tree, far := externalWorld(t)
	far.there()
	id := w.push(tree)
	want := "update acme.test adopted as it is\ncreate fresh.test\nupdate acme.test/acme.test/MX adopted as it is\n" +
		"update acme.test/mail.acme.test/A adopted\ncreate acme.test/new.acme.test/A"
	p := w.plan(id)
	if got := actions(p); got != want {
		t.Fatalf("planned\n%s\nwant\n%s", got, want)
	}
	w.must(w.apply(id))
	asked := far.asked
	if p := w.plan(id); !p.Empty() || far.asked != asked {
		t.Errorf("the name servers were asked %d times more for the plan\n%s", far.asked-asked, actions(p))
	}
	d := w.observe()
	wantFound(t, d, "rrset/eu-1-powerdns/acme.test/old.acme.test/A orphan report")
	if want := len(w.live().State); d.Objects != want {
		t.Errorf("%d objects were compared, want %d", d.Objects, want)
	}
}

// A run that is cut off in the middle of an adoption is made up for by the next one.
func TestAdoptIsResumed(t *testing.T) {
	w, tree, far := externalWorld(t)
	far.there()
	id := w.push(tree)
	for _, at := range []memory.Point{memory.Before, memory.After} {
		far.Fault = func(p memory.Point, c planner.Change) error {
			if p == at && c.Adopt {
				return memory.ErrCrash
			}
			return nil
		}
		if err := w.apply(id); err == nil {
			t.Fatal("the crash was not noticed")
		}
		far.Restart()
	}
	far.Fault = nil
	w.must(w.apply(id))
	if p := w.plan(id); !p.Empty() || len(w.live().Dirty) > 0 {
		t.Errorf("left to do:\n%s", actions(p))
	}
	if o, ok := far.State()[planner.Ref{Kind: planner.KindRRset, Target: "eu-1-powerdns", Name: "acme.test/mail.acme.test/A"}].(planner.RRset); !ok || o.Values[0] != "192.0.2.25" {
		t.Errorf("mail.acme.test is %v", o)
	}
}

// A zone that was lost, and that somebody has made again meanwhile, is adopted as any other.
func TestAdoptWhatWasGone(t *testing.T) {
	w, tree, far := externalWorld(t)
	id := w.applied(tree)
	for ref := range far.State() {
		if strings.HasPrefix(ref.Name, "acme.test") {
			far.Lose(ref)
		}
	}
	d := w.observe()
	if !w.rec.Correct(t.Context(), &d) {
		t.Fatal("nobody has seen that it is gone")
	}
	far.there()
	w.must(w.apply(id))
	if p := w.plan(id); !p.Empty() {
		t.Errorf("left to do:\n%s", actions(p))
	}
}

// Without leave to adopt, and where the name servers can't be asked, the plan says so, and adopts nothing.
func TestNothingIsAdoptedUnasked(t *testing.T) {
	w, tree, far := externalWorld(t)
	far.there()
	for _, c := range []struct {
		tree schema.MapTree
		down error
		note string
	}{
		{with(t, tree, "adopt: true", "adopt: false"), nil, "zone acme.test is at https://ns1.example.net:8081 already, and isn't ours"},
		{tree, executors.Errorf(executors.Unreachable, "no route"), "eu-1-powerdns can't be asked whether it has any of these zones already: no route"},
	} {
		far.down = c.down
		p := w.plan(w.push(c.tree))
		if strings.Contains(actions(p), "adopted") || !strings.Contains(strings.Join(p.Notes, "\n"), c.note) {
			t.Errorf("want a note %q; planned\n%s\n%q", c.note, actions(p), p.Notes)
		}
	}
}

// One zone alone is taken over where it says so, and others of the same name servers are not.
func TestOneZoneIsAdopted(t *testing.T) {
	w, tree, far := externalWorld(t)
	far.there()
	at := planner.Meta{Target: "eu-1-powerdns", Name: "fresh.test"}
	far.Put(planner.Zone{Meta: at, Nameservers: []string{"ns1.hosting.test", "ns2.hosting.test"}, Hostmaster: "hostmaster@hosting.test", TTL: 300})
	tree = with(t, with(t, tree, "adopt: true", "adopt: false"), "metadata: {name: acme}\nspec:\n  domain", "metadata: {name: acme, adopt: true}\nspec:\n  domain")
	p := w.plan(w.push(tree))
	want := "update acme.test adopted as it is\ncreate fresh.test\nupdate acme.test/acme.test/MX adopted as it is\n" +
		"update acme.test/mail.acme.test/A adopted\ncreate acme.test/new.acme.test/A"
	if got := actions(p); got != want || !strings.Contains(strings.Join(p.Notes, "\n"), "zone fresh.test is at https://ns1.example.net:8081 already") {
		t.Errorf("planned\n%s\nwant\n%s\n%q", got, want, p.Notes)
	}
}

// Name servers of our own are asked for a zone only if it says that it is to be taken over, and not before there are any.
func TestAdoptOnNameServersOfOurOwn(t *testing.T) {
	for _, adopt := range []bool{true, false} {
		w, tree := newWorld(t), minimal(t)
		bare := with(t, tree, "kind: Zone\nmetadata:\n  name: acme\nspec:\n  domain: acme.test\n", "x-no: zone\n")
		bare = with(t, bare, "---\napiVersion: hosting/v1\nx-no: zone\n", "")
		if adopt {
			tree = with(t, tree, "kind: Zone\nmetadata:\n  name: acme\n", "kind: Zone\nmetadata:\n  name: acme\n  adopt: true\n")
		}
		if p := w.plan(w.push(tree)); strings.Contains(actions(p), "adopted") || strings.Contains(strings.Join(p.Notes, "\n"), "can't be asked") {
			t.Errorf("nothing is there yet, and the plan is\n%s\n%q", actions(p), p.Notes)
		}
		w.applied(bare)
		ns := planner.Meta{Target: "eu-1-dns", Name: "acme.test"}
		w.far.Put(planner.Zone{Meta: ns, Nameservers: []string{"ns.elsewhere.test"}, Hostmaster: "hostmaster@hosting.test", TTL: 300})
		ns.Name = "acme.test/acme.test/A"
		w.far.Put(planner.RRset{Meta: ns, Zone: "acme.test", FQDN: "acme.test", Type: "A", TTL: 300, Values: []string{"192.0.2.10"}})
		id := w.push(tree)
		got := actions(w.plan(id))
		if strings.Contains(got, "update acme.test adopted") != adopt || strings.Contains(got, "update acme.test/acme.test/A adopted") != adopt {
			t.Errorf("adopt %t: planned\n%s", adopt, got)
		}
		if !adopt {
			continue
		}
		w.must(w.apply(id))
		if p := w.plan(id); !p.Empty() {
			t.Errorf("left to do:\n%s", actions(p))
		}
	}
}
