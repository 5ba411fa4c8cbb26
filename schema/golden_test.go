package schema_test

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"hostctl/schema"
)

var update = flag.Bool("update", false, "rewrite the expectations of the cases in testdata")

// TestG13_BadInputs loads each case of testdata/bad over the repository of testdata/base.txtar and compares every error and
// warning. The cases named B01 and so on are the rows of the list of bad inputs.
func TestG13_BadInputs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	if got := report(base); got != "" {
		t.Fatalf("the base repository has problems:\n%s", got)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive := mustArchive(t, file)
			tree := maps.Clone(base)
			maps.Copy(tree, treeOf(archive))
			got := report(tree)
			if *update {
				rewrite(t, file, archive, got)
				return
			}
			if diff := cmp.Diff(want(archive), got); diff != "" {
				t.Errorf("-want +got, go test -update rewrites it:\n%s", diff)
			}
		})
	}
}

func mustArchive(t testing.TB, file string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// treeOf makes a Tree of the files of an archive, less the expectation.
func treeOf(a *txtar.Archive) schema.MapTree {
	tree := schema.MapTree{}
	for _, f := range a.Files {
		if f.Name != "want" {
			tree[f.Name] = string(f.Data)
		}
	}
	return tree
}

func want(a *txtar.Archive) string {
	for _, f := range a.Files {
		if f.Name == "want" {
			return string(f.Data)
		}
	}
	return ""
}

// report is every error and warning of a tree, a line each.
func report(tree schema.Tree) string {
	m, err := schema.Load(tree, nil)
	var b strings.Builder
	var errs schema.Errors
	switch {
	case errors.As(err, &errs):
		b.WriteString(err.Error() + "\n")
	case err != nil:
		b.WriteString("tree: " + err.Error() + "\n")
	}
	for _, w := range m.Warnings {
		b.WriteString("warning: " + w.Position.String() + ": " + w.Text + "\n")
	}
	return b.String()
}

func rewrite(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	for i := range a.Files {
		if a.Files[i].Name == "want" {
			a.Files[i].Data = []byte(got)
		}
	}
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
