package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hostctl/agent/secrets"
	"hostctl/executors"
	"hostctl/executors/executorstest"
	"hostctl/planner"
	"hostctl/schema"
)

const node = "web-1-0"

func secret(field, cipher string) planner.Secret {
	return planner.Secret{
		Meta:   planner.Meta{Target: node, Name: planner.SecretName("acme", schema.KindWebroot, "shop", field), From: planner.Owner{Tenant: "acme", Kind: "Webroot", Name: "shop"}},
		Tenant: "acme", Cipher: cipher,
	}
}

// valued gives each secret of a batch a value, as the agent's server does.
type valued struct{ *secrets.Manager }

func (v valued) Apply(ctx context.Context, cs []planner.Change) []error {
	values := secrets.Values{}
	for _, c := range cs {
		if s, ok := c.New.(planner.Secret); ok {
			values.Add(s, []byte("value of "+s.Version()))
		}
	}
	return v.Manager.Apply(secrets.With(ctx, values), cs)
}

func TestConformance(t *testing.T) {
	var dir string
	file := func() string { return filepath.Join(dir, "acme/webroot/shop/env.A") }
	a, b := secret("env.A", "aa"), secret("env.B", "bb")
	a2 := a
	a2.Cipher = "cc"
	generated := secret("env.C", "")
	generated.Generated, generated.Generation = "db", 1
	next := generated
	next.Generation = 2
	bad := secret(".hidden", "aa")
	bad.From = planner.Owner{Tenant: "acme", Kind: "Webroot", Name: "bad"}
	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			dir = filepath.Join(t.TempDir(), "secrets")
			folder, err := secrets.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			return valued{secrets.New(secrets.Options{Node: node, Folder: folder})}
		},
		Kinds:   []planner.Kind{planner.KindSecret},
		Bad:     []planner.Object{bad},
		Samples: []executorstest.Sample{{Create: a, Update: a2}, {Create: b}, {Create: generated, Update: next}},
		Damage: map[string]func(*testing.T, executors.Executor){
			"removed": func(t *testing.T, _ executors.Executor) { must(t, os.Remove(file())) },
			"changed": func(t *testing.T, _ executors.Executor) {
				text, err := os.ReadFile(file())
				must(t, err)
				must(t, os.Remove(file()))
				must(t, os.WriteFile(file(), append(text, 'x'), 0o400))
			},
			"opened to others": func(t *testing.T, _ executors.Executor) { must(t, os.Chmod(file(), 0o444)) },
		},
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A value is had in its version alone, byte by byte, from a file that only its owner may read.
func TestValue(t *testing.T) {
	dir := t.TempDir()
	folder, err := secrets.Open(dir)
	must(t, err)
	m := secrets.New(secrets.Options{Node: node, Folder: folder})
	s := secret("env.A", "aa")
	const value = "\n'\"\\\x00ü\nline\n"
	values := secrets.Values{}
	values.Add(s, []byte(value))
	create := []planner.Change{{ID: 1, Action: planner.Create, New: s}}
	must(t, m.Apply(secrets.With(t.Context(), values), create)[0])
	got, err := folder.Value(planner.Held{Secret: s.Name, Version: s.Version()})
	if err != nil || string(got) != value {
		t.Errorf("value %q, %v", got, err)
	}
	if _, err := folder.Value(planner.Held{Secret: s.Name, Version: "bb"}); !errors.Is(err, secrets.ErrAbsent) {
		t.Errorf("another version: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, s.Name))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("file: %v, %v", info, err)
	}
	if err := m.Apply(t.Context(), create)[0]; err == nil || strings.Contains(err.Error(), "line") {
		t.Errorf("without its value: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", values, values, values); strings.Contains(text, "line") {
		t.Errorf("printed: %s", text)
	}
}

// No name leads out of the folder.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	folder, err := secrets.Open(filepath.Join(dir, "secrets"))
	must(t, err)
	m := valued{secrets.New(secrets.Options{Node: node, Folder: folder})}
	for _, name := range []string{
		"", "x", "acme/webroot/shop", "acme/webroot/shop/../../../../x", "acme/webroot/../x", "../webroot/shop/x", "acme/webroot/shop/.x", "/etc/x/y",
		"acme//shop/x", "acme/webroot/shop/x/y", "acme/webroot/shop/a\nb", "globex/webroot/shop/x", "-/webroot/shop/x",
	} {
		s := secret("x", "aa")
		s.Name = name
		if err := m.Apply(t.Context(), []planner.Change{{ID: 1, Action: planner.Create, New: s}})[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := folder.Value(planner.Held{Secret: name, Version: "aa"}); err == nil {
			t.Errorf("%q is read", name)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "secrets"))
	if err != nil || len(entries) > 0 {
		t.Errorf("written: %v, %v", entries, err)
	}
}
