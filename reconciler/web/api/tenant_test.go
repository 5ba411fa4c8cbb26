package api_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hostctl/planner"
	"hostctl/reconciler/web/api"
	"hostctl/schema"
)

// inside is what of the platform's no tenant is told: its machines, networks, programs, and who runs it.
var inside = []string{"host-1", "docker.sock", "10.77.", "127.0.0.1", "machine-7", "5f5f5f", "hostmaster@", "servicedb", "hostctl/web", "n0b0dy"}

var tenants = []string{"acme", "globex", "initech"}

// Of random platforms with random histories, whatever a tenant's token asks for, no answer holds anything of another
// tenant's, in the values of which its name stands everywhere, or of the platform's inside.
func TestATenantSeesNothingOfOthers(t *testing.T) {
	own := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		w, end := newWorld(t, t.TempDir())
		defer end()
		w.history(rt)
		paths := append(w.paths(), w.guesses()...)
		for _, name := range tenants {
			token := w.token("tenant:" + name)
			for _, path := range paths {
				out := w.get(token, path)
				body := out.Body.String()
				if out.Code >= http.StatusInternalServerError {
					t.Fatalf("GET %s: %d %s", path, out.Code, body)
				}
				for _, other := range tenants {
					if other != name && strings.Contains(body, other) {
						t.Fatalf("GET %s with %s's token: %s", path, name, body)
					}
				}
				for _, secret := range inside {
					if strings.Contains(body, secret) {
						t.Fatalf("GET %s tells %s's token of %s: %s", path, name, secret, body)
					}
				}
				if out.Code == http.StatusOK && strings.Contains(body, name+".test") {
					own[name]++
				}
			}
			w.wantCountsOfOwn(name)
		}
	})
	for _, name := range tenants {
		if own[name] == 0 {
			t.Errorf("%s never sees anything: nothing is tested", name)
		}
	}
}

// broken names others where it is wrong.
const broken = "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: broken}\nspec: {runtime: {type: static}, acme-globex: 1}\n"

// history applies some commits, some of which fail at far sides that tell of everybody, and lets some things drift.
func (w *world) history(rt *rapid.T) {
	tree := platform()
	there := map[string]int{}
	for step := range rapid.IntRange(2, 4).Draw(rt, "commits") {
		tree = clone(tree)
		var folders []string
		for _, name := range tenants {
			sites := rapid.IntRange(-1, 2).Draw(rt, name)
			if step == 0 && name == "acme" {
				sites = max(sites, 1)
			}
			maps.DeleteFunc(tree, func(file, _ string) bool { return strings.HasPrefix(file, "tenants/"+name+"/") })
			if sites >= 0 {
				for file, text := range tenant(name, sites) {
					tree[file] = text
				}
			}
			if before, ok := there[name]; !ok || before != sites {
				folders = append(folders, "tenants/"+name)
			}
			there[name] = sites
		}
		if holder := rapid.SampledFrom(tenants).Draw(rt, "holds the name"); there[holder] >= 0 { // it moves from one tenant to another
			tree["tenants/"+holder+"/moves.yaml"] = fmt.Sprintf("apiVersion: hosting/v1\nkind: FQDN\nmetadata: {name: moves}\n"+
				"spec: {hostname: moves.test, redirect: {to: \"https://%s.example\", code: 301}}\n", holder)
			folders = append(folders, "tenants/"+holder)
		}
		if rapid.Bool().Draw(rt, "suspends") && there["globex"] >= 0 {
			tree["tenants/globex/tenant.yaml"] = strings.Replace(tree["tenants/globex/tenant.yaml"], "labels: {of", "suspended: true, suspendReason: n0b0dy pays, labels: {of", 1)
			folders = append(folders, "tenants/globex")
		}
		if rapid.Bool().Draw(rt, "breaks") && step > 0 && there["initech"] >= 0 {
			tree["tenants/initech/broken.yaml"] = broken
		}
		failing := rapid.SampledFrom(append([]string{""}, tenants...)).Draw(rt, "fails")
		w.far.Refuse = func(o planner.Object) error {
			if failing != "" && o.Owner().Tenant == failing {
				return errors.New("n0b0dy: acme globex initech on host-1 (10.77.0.9)")
			}
			return nil
		}
		slices.Sort(folders)
		w.apply(commit{tree, "commit of " + strings.Join(folders, ", "), slices.Compact(folders)})
	}
	w.far.Refuse = nil
	for _, ref := range slices.SortedFunc(maps.Keys(w.far.State()), planner.Ref.Compare) {
		if ref.Kind == planner.KindRRset && rapid.IntRange(0, 3).Draw(rt, "drifts") == 0 {
			w.far.Lose(ref)
		}
	}
}

// guesses are paths to what a tenant may think that there is.
func (w *world) guesses() []string {
	var out []string
	for _, name := range tenants {
		for _, path := range []string{"/status", "/resources", "/objects", "/runs", "/plan", "/drift", "/runs/1", "/runs/1/changes", "/runs/1/plan", "/runs/2/changes"} {
			out = append(out, path+"?tenant="+name)
		}
		out = append(out, "/why?name=moves.test", "/why?name="+name+".test", "/why?name=s0."+name+".test", "/why?name=none."+name, "/resources/Zone/zone", "/resources/Tenant/"+name)
	}
	return append(out, "/resources?kind=Host", "/objects?kind=container", "/resources/Host/host-1", "/why?name=container/host-1/web-1-0")
}

// wantCountsOfOwn wants that numbers count what is a tenant's and nothing else.
func (w *world) wantCountsOfOwn(name string) {
	w.Helper()
	token, operator := w.token("tenant:"+name), w.token("platform")
	objects := read[api.Page[api.Object]](w, token, "/objects?limit=1000").Items
	of := 0
	for _, o := range read[api.Page[api.Object]](w, operator, "/objects?limit=1000").Items {
		if o.Owner.Tenant == name {
			of++
		}
	}
	if s := read[api.Status](w, token, "/status"); s.Objects != len(objects) || of != len(objects) || s.Tenant != name || s.Platform != nil {
		w.Errorf("%s has %d objects, sees %d, and is told of %d", name, of, len(objects), s.Objects)
	}
	for _, r := range read[api.Page[api.Run]](w, token, "/runs").Items {
		cs := read[api.Page[api.Change]](w, token, fmt.Sprintf("/runs/%d/changes?limit=1000", r.ID)).Items
		p := read[api.Plan](w, token, fmt.Sprintf("/runs/%d/plan?limit=1000", r.ID))
		if len(cs) != r.Changes || len(p.Items) != r.Changes || r.Changes == 0 || r.By != "" || r.Plan != "" {
			w.Errorf("of run %d %s sees %d changes, a plan of %d, and is told of %d", r.ID, name, len(cs), len(p.Items), r.Changes)
		}
		for i, c := range cs {
			if c.ID != i+1 || p.Items[i].ID != i+1 {
				w.Errorf("change %d of run %d has number %d", i+1, r.ID, c.ID)
			}
		}
	}
}

// What a tenant sees of its own is all there is of it, but for what only those know who run the platform.
func TestATenantSeesItsOwn(t *testing.T) {
	w := two(t)
	token := w.token("tenant:acme")
	site := read[api.Resource](w, token, "/resources/webroot/site-0")
	if site.File != "tenants/acme/site-0.yaml" || site.Line != 1 || site.Commit != commitID(3) || site.Tenant != "acme" || site.Kind != schema.KindWebroot {
		t.Errorf("a resource is %+v", site)
	}
	if !strings.Contains(string(site.Spec), `"from":"/elsewhere"`) {
		t.Errorf("its spec is %s", site.Spec)
	}
	var subjects []string
	for _, c := range read[api.Page[api.Commit]](w, token, "/resources/Webroot/site-0/history").Items {
		subjects = append(subjects, c.Commit[39:]+c.Subject)
	}
	if !slices.Equal(subjects, []string{"3acme alone", "1"}) {
		t.Errorf("its history is %q", subjects)
	}
	way := read[api.Way](w, token, "/why?name=s0.acme.test")
	if len(way.Steps) < 4 || way.Steps[0].Owner.File != "tenants/acme/site-0.yaml" || way.Steps[0].Health != "ok" {
		t.Errorf("its way is %+v", way)
	}
	if runs := read[api.Page[api.Run]](w, token, "/runs").Items; len(runs) != 2 || runs[0].ID != 3 || runs[1].ID != 1 {
		t.Errorf("its runs are %+v", runs)
	}
	if p := read[api.Plan](w, w.token("platform"), "/runs/2/plan"); len(p.Items) == 0 || p.Hash == "" || len(p.Summary.Tenants) != 1 || p.Summary.Tenants[0] != "globex" {
		t.Errorf("to the platform the plan of run 2 is %+v", p)
	}
	if n := read[api.Page[api.Node]](w, w.token("platform"), "/nodes"); n.Items == nil {
		t.Error("there are no nodes")
	}
}

// Of a host name that another tenant had before, a tenant sees that it changes, and not from what.
func TestWhatMovesTellsNothingOfBefore(t *testing.T) {
	w, end := newWorld(t, t.TempDir())
	t.Cleanup(end)
	for _, holder := range []string{"acme", "globex"} {
		tree := platform()
		for _, name := range []string{"acme", "globex"} {
			maps.Copy(tree, tenant(name, 1))
		}
		tree["tenants/"+holder+"/moves.yaml"] = "apiVersion: hosting/v1\nkind: FQDN\nmetadata: {name: moves}\n" +
			"spec: {hostname: moves.test, redirect: {to: \"https://" + holder + ".example\", code: 301}}\n"
		w.apply(commit{tree: tree})
	}
	for token, want := range map[string]bool{"platform": true, "tenant:globex": false} {
		routes := 0
		for _, c := range read[api.Plan](w, w.token(token), "/runs/2/plan").Items {
			if c.Ref.Name == "moves.test" && c.Ref.Kind == planner.KindRoute {
				routes++
				if told := strings.Contains(fmt.Sprint(c.Differences), "acme"); told != want || c.Owner.Tenant != "globex" {
					t.Errorf("%s is told %+v", token, c)
				}
			}
		}
		if routes == 0 {
			t.Errorf("%s sees no change of the route: %+v", token, w.loop.Status())
		}
	}
}

// A tenant is told where in its own folder something is wrong, and not why it is suspended.
func TestATenantIsToldWhatConcernsIt(t *testing.T) {
	w := two(t)
	tree := clone(w.repo.commits[2].tree)
	tree["tenants/globex/tenant.yaml"] = strings.Replace(tree["tenants/globex/tenant.yaml"], "labels: {of", "suspended: true, suspendReason: n0b0dy pays, labels: {of", 1)
	tree["tenants/acme/broken.yaml"] = strings.ReplaceAll(broken, "acme-globex", "globex")
	w.apply(commit{tree: tree})
	for token, want := range map[string]string{"tenant:acme": "tenants/acme/broken.yaml:4:33", "platform": "tenants/acme/broken.yaml:4:33: "} {
		p := read[api.Plan](w, w.token(token), "/plan")
		if len(p.Frozen) != 1 || !strings.HasPrefix(p.Frozen[0].Errors[0], want) || strings.Contains(fmt.Sprint(p.Frozen), "globex") != (token == "platform") {
			t.Errorf("%s is told %+v", token, p.Frozen)
		}
		if s := read[api.Status](w, w.token(token), "/status"); token != "platform" && (!s.Frozen || s.Converged || s.Suspended) {
			t.Errorf("how it stands is %+v", s)
		}
	}
	if p := read[api.Plan](w, w.token("tenant:globex"), "/plan"); len(p.Frozen) > 0 {
		t.Errorf("another is told %+v", p.Frozen)
	}
	if s := read[api.Status](w, w.token("tenant:globex"), "/status"); !s.Suspended || s.Frozen {
		t.Errorf("how the one that is suspended stands is %+v", s)
	}
	for token, want := range map[string]bool{"tenant:globex": false, "platform": true} {
		spec := string(read[api.Resource](w, w.token(token), "/resources/Tenant/globex").Spec)
		if strings.Contains(spec, "n0b0dy") != want || !strings.Contains(spec, `"suspended":true`) {
			t.Errorf("%s is told %s", token, spec)
		}
	}
	for _, token := range []string{"tenant:acme", "platform"} {
		if o := read[api.Object](w, w.token(token), "/objects/user/web-1-0/acme"); o.Owner.File != "tenants/acme/tenant.yaml" || o.Owner.Line != 1 {
			t.Errorf("to %s the owner is %+v", token, o.Owner)
		}
	}
}
