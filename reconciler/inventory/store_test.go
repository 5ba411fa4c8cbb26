package inventory_test

import (
	"database/sql"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
	"hostctl/reconciler/inventory/inventorytest"
)

func TestConformance(t *testing.T) {
	inventorytest.Test(t, func(t *testing.T) func() reconciler.Inventory {
		file := filepath.Join(t.TempDir(), "inventory ?#%20.db")
		return func() reconciler.Inventory { return open(t, file) }
	})
}

func open(t testing.TB, file string) *inventory.Store {
	t.Helper()
	s, err := inventory.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A backup is an inventory.
func TestBackupOpens(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "inventory.db"))
	want, err := s.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "it's a backup.db")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("backup: %v, %v; want mode 0600", info, err)
	}
	if got, err := open(t, file).Instance(t.Context()); err != nil || got != want {
		t.Errorf("instance of the backup = %s, %v; want %s", got, err, want)
	}
}

// The tables know by kind what the planner knows by object.
func TestInsideKinds(t *testing.T) {
	for _, kind := range planner.Ladder {
		o, err := planner.Decode(fmt.Appendf(nil, `{"ref":"%s/web-1-0/x","owner":{"kind":"Shard","name":"web-1"},"spec":{}}`, kind))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Contains(inventory.InsideKinds, kind), planner.InContainer("web-1-0", o); got != want {
			t.Errorf("%s is in a container: %v, the planner says %v", kind, got, want)
		}
	}
}

// Every statement is one that the tables can answer.
func TestStatementsPrepare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.db")
	open(t, file)
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	statements := constants(t, "sql")
	if len(statements) < 30 {
		t.Fatalf("found %d statements; the constants that hold them are named sql…", len(statements))
	}
	for name, text := range statements {
		stmt, err := db.PrepareContext(t.Context(), text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := stmt.Close(); err != nil {
			t.Error(err)
		}
	}
}

// constants returns the string constants of the package whose names have a prefix.
func constants(t *testing.T, prefix string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					found[spec.Names[0].Name] = text
				}
			}
			return true
		})
	}
	return found
}
