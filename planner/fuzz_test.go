package planner_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"hostctl/planner"
	"hostctl/schema"
)

// FuzzPlan takes anything as a tenant's file from YAML to a plan: nothing panics, what can be read is planned or refused in
// words, the same input gives the same plan, and a saved plan is read as itself.
func FuzzPlan(f *testing.F) {
	ar, err := txtar.ParseFile("testdata/database.txtar")
	if err != nil {
		f.Fatal(err)
	}
	base := schema.MapTree{}
	for _, file := range ar.Files {
		if name, ok := strings.CutPrefix(file.Name, "want/"); ok {
			base[name] = string(file.Data)
		}
	}
	for _, text := range tenantFiles(f) {
		f.Add(text)
	}
	f.Add("apiVersion: hosting/v1\nkind: Database\nmetadata: {name: more, adopt: true}\nspec: {users: [{name: app, privileges: admin, password: {generate: true}}]}\n")
	f.Fuzz(func(t *testing.T, data string) {
		tree := schema.MapTree{"tenants/acme/fuzz.yaml": data}
		for name, text := range base {
			tree[name] = text
		}
		m, err := schema.Load(tree, nil)
		if err != nil {
			return
		}
		live := planner.Live{Images: images}
		p, err := planner.New(m, live, agent)
		var problems planner.ProblemsError
		var refused *planner.RefusedError
		switch {
		case err == nil:
		case errors.As(err, &problems), errors.As(err, &refused):
			return
		default:
			t.Fatalf("%T: %v", err, err)
		}
		again, err := planner.New(m, live, agent)
		if err != nil || again.Hash() != p.Hash() {
			t.Fatalf("the same input gave another plan, %v", err)
		}
		saved, err := planner.EncodePlan(p)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := planner.DecodePlan(saved); err != nil || read.Hash() != p.Hash() {
			t.Fatalf("the saved plan isn't read as itself: %v", err)
		}
		var text strings.Builder
		if err := p.Text(&text, false); err != nil || strings.ContainsAny(text.String(), "\x1b\x00\r") {
			t.Fatalf("%v: %q", err, text.String())
		}
	})
}

// tenantFiles are the files of tenants in all cases.
func tenantFiles(f *testing.F) []string {
	f.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	var texts []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(b).Files {
			if strings.Contains(part.Name, "/tenants/acme/") {
				texts = append(texts, string(part.Data))
			}
		}
	}
	return texts
}

// FuzzDecodePlan: a saved plan is what somebody hands over. It is read or refused, and what is read has the hash that it had.
func FuzzDecodePlan(f *testing.F) {
	ar, err := txtar.ParseFile("testdata/database.txtar")
	if err != nil {
		f.Fatal(err)
	}
	tree := schema.MapTree{}
	for _, file := range ar.Files {
		if name, ok := strings.CutPrefix(file.Name, "want/"); ok {
			tree[name] = string(file.Data)
		}
	}
	m, err := schema.Load(tree, nil)
	if err != nil {
		f.Fatal(err)
	}
	p, err := planner.New(m, planner.Live{Images: images}, agent)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := planner.EncodePlan(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(strings.Replace(string(whole), `"action":"create"`, `"action":"delete"`, 1)))
	f.Add([]byte(`{"format": 1, "hash": "", "plan": {"changes": [{"id": 1, "action": "create"}]}}`))
	f.Add([]byte(`{"format": 99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := planner.DecodePlan(b)
		if err != nil {
			return
		}
		saved, err := planner.EncodePlan(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := planner.DecodePlan(saved); err != nil || again.Hash() != p.Hash() {
			t.Fatalf("what was read is written as something else: %v", err)
		}
		for _, c := range p.Changes {
			if c.Old == nil && c.New == nil {
				t.Fatalf("change %d is of nothing", c.ID)
			}
		}
	})
}

// FuzzRef: a reference is read as what writes it, and so is what may be destroyed.
func FuzzRef(f *testing.F) {
	for _, s := range []string{"vhost/web-1-0/acme.shop", "rrset/eu-1-dns/a.test/x.a.test/A", "a/b/c", "//", "route/lb/", "secret/db-1-0/acme/databaseuser/app/password", "Tenant/acme/*", "acme/Webroot/shop", "route/eu-1-lb-0/*", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ref, err := planner.ParseRef(s); err == nil && ref.String() != s {
			t.Fatalf("%q is read as %q", s, ref)
		}
		if err := planner.CheckAllow(s); err == nil && !strings.Contains(s, "/") {
			t.Fatalf("%q may be allowed to be destroyed", s)
		}
	})
}
