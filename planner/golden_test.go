package planner_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"hostctl/planner"
	"hostctl/schema"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// A case of testdata holds config repositories and what is planned from them:
//
//	from/…   the repository that is live; absent: nothing is live
//	want/…   the repository to plan; its files are laid over those of from, a file that holds only "gone" is taken away
//	live     what happened meanwhile, a line each: "down NODE", "gone REF", "dirty REF",
//	         "found REF VALUE" (an RRset that nobody declares), "there REF VALUE" (what can be adopted), "protected OWNER", "allow WHAT", "due REF", "generation N TENANT/NAME", "lost TENANT/NAME"
//	plan     the expected text, or the error
//	order    the expected changes in the order of execution; only compared if it is there
//	markdown the plan as Markdown; only compared if it is there
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := goldenCase(t, ar)
			if *update {
				setFiles(ar, got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, f := range ar.Files {
				if want, ok := got[f.Name]; ok && want != string(f.Data) {
					t.Errorf("%s is\n%s\nwant\n%s(go test ./planner -run Golden -update rewrites it)", f.Name, want, f.Data)
				}
			}
		})
	}
}

func goldenCase(t *testing.T, ar *txtar.Archive) map[string]string {
	m, live, policy := caseOf(t, ar)
	return planned(t, m, live, policy)
}

// caseOf is what a case plans.
func caseOf(t *testing.T, ar *txtar.Archive) (schema.Manifest, planner.Live, planner.Policy) {
	base, over, events := schema.MapTree{}, schema.MapTree{}, ""
	for _, f := range ar.Files {
		if name, ok := strings.CutPrefix(f.Name, "from/"); ok {
			base[name] = string(f.Data)
		} else if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
			over[name] = string(f.Data)
		} else if f.Name == "live" {
			events = string(f.Data)
		}
	}
	live := planner.Live{Images: images}
	if len(base) > 0 {
		p, err := planner.New(load(t, base), live, agent)
		if err != nil {
			t.Fatal(err)
		}
		live = applied(p)
		live.Memory = p.Remember
		live.Images = images
	}
	for name, data := range over {
		base[name] = data
		if strings.TrimSpace(data) == "gone" {
			delete(base, name)
		}
	}
	policy := agent
	happen(t, &live, &policy, events)
	return load(t, base), live, policy
}

var images = map[string]string{
	"hostctl/web:1": "sha256:11", "hostctl/web:2": "sha256:12", "hostctl/lb:1": "sha256:21", "hostctl/dns:1": "sha256:31", "hostctl/db:1": "sha256:41", "hostctl/db:2": "sha256:42",
	"hostctl/valkey:1": "sha256:51", "hostctl/valkey:2": "sha256:52",
}

func load(t *testing.T, tree schema.MapTree) schema.Manifest {
	t.Helper()
	m, err := schema.Load(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// happen changes the live state as a case tells.
func happen(t *testing.T, live *planner.Live, policy *planner.Policy, events string) {
	live.Down, live.Dirty = map[string]string{}, map[planner.Ref]planner.Reason{}
	for line := range strings.Lines(events) {
		what, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "down":
			live.Down[arg] = "no answer"
		case "protected":
			live.Memory.Protected = append(live.Memory.Protected, arg)
		case "allow":
			policy.AllowDestroy = append(policy.AllowDestroy, arg)
		case "found":
			o := found(t, *live, arg)
			live.State[o.Ref()] = o
		case "there":
			o := there(t, arg)
			if live.There == nil {
				live.There = planner.State{}
			}
			live.There[o.Ref()] = o
		case "generation":
			n, name, _ := strings.Cut(arg, " ")
			generation, err := strconv.Atoi(n)
			if err != nil {
				t.Fatalf("live: %q", line)
			}
			live.Generations = map[planner.Generated]int{generated(name): generation}
		case "lost":
			live.Lost = map[planner.Generated]bool{generated(arg): true}
		case "gone", "dirty", "due":
			ref, err := planner.ParseRef(arg)
			if err != nil {
				t.Fatal(err)
			}
			if what == "due" {
				live.Due = append(live.Due, ref)
				continue
			}
			live.Dirty[ref] = planner.Reason{Text: "seen to differ", Gone: what == "gone"}
		default:
			t.Fatalf("live: %q", line)
		}
	}
}

// found is an RRset that somebody put into a zone, as the inventory has it: "rrset/TARGET/ZONE/NAME/TYPE VALUE".
func found(t *testing.T, live planner.Live, arg string) planner.RRset {
	text, value, _ := strings.Cut(arg, " ")
	ref, err := planner.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(ref.Name, "/")
	zone, _ := live.State[planner.Ref{Kind: planner.KindZone, Target: ref.Target, Name: parts[0]}].(planner.Zone)
	o, ok := planner.Unmanaged(planner.RRset{
		Meta: planner.Meta{Target: ref.Target, Name: ref.Name}, Zone: parts[0], FQDN: parts[1], Type: parts[2], TTL: 60, Values: []string{value},
	}, zone)
	if !ok {
		t.Fatalf("%s can't be one that nobody declares", arg)
	}
	return o
}

// there is what a far side that hostctl hasn't made holds: "zone/TARGET/ZONE NS,NS", "rrset/TARGET/ZONE/NAME/TYPE VALUE",
// "route/TARGET/NAME BACKEND", "server/TARGET/BACKEND/NODE ADDRESS".
func there(t *testing.T, arg string) planner.Object {
	text, value, _ := strings.Cut(arg, " ")
	ref, err := planner.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	meta, parts := planner.Meta{Target: ref.Target, Name: ref.Name}, strings.Split(ref.Name, "/")
	switch ref.Kind {
	case planner.KindRoute:
		return planner.Route{Meta: meta, Backend: value}
	case planner.KindServer:
		return planner.Server{Meta: meta, Backend: parts[0], Node: parts[1], Address: value, State: planner.ServerReady}
	case planner.KindZone:
		return planner.Zone{Meta: meta, Nameservers: strings.Split(value, ","), Hostmaster: "hostmaster@hosting.test", TTL: 300}
	}
	return planner.RRset{Meta: meta, Zone: parts[0], FQDN: parts[1], Type: parts[2], TTL: 300, Values: []string{value}}
}

func generated(title string) planner.Generated {
	tenant, name, _ := strings.Cut(title, "/")
	return planner.Generated{Tenant: tenant, Name: name}
}

func planned(t *testing.T, m schema.Manifest, live planner.Live, policy planner.Policy) map[string]string {
	p, err := planner.New(m, live, policy)
	if err != nil {
		return map[string]string{"plan": "error: " + err.Error() + "\n"}
	}
	var text, order, markdown bytes.Buffer
	if err := errors.Join(p.Text(&text, false), p.Markdown(&markdown, 0)); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Changes {
		fmt.Fprintf(&order, "%2d %2d %-7s %s", c.Stage, c.ID, c.Action, c.Ref())
		if len(c.After) > 0 {
			fmt.Fprintf(&order, " after %v", c.After)
		}
		order.WriteString("\n")
	}
	if b, err := p.JSON(); err != nil || !json.Valid(b) {
		t.Errorf("JSON: %v", err)
	}
	return map[string]string{"plan": text.String(), "order": order.String(), "markdown": markdown.String()}
}

// setFiles writes what was got over what was expected. The order is written where a case asks for it.
func setFiles(ar *txtar.Archive, got map[string]string) {
	for name, data := range got {
		i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == name })
		switch {
		case i >= 0:
			ar.Files[i].Data = []byte(data)
		case name == "plan":
			ar.Files = append(ar.Files, txtar.File{Name: name, Data: []byte(data)})
		}
	}
}
