package schema_test

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hostctl/schema"
)

// Every problem of every case of testdata/bad says where it is, in a file of the case or at what is missing, and in words of
// its own: one line that a terminal can show, with more than the value that is wrong (G13).
func TestG13_EveryProblemHasItsPlace(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	problems := 0
	for _, file := range cases {
		tree := maps.Clone(base)
		maps.Copy(tree, treeOf(mustArchive(t, file)))
		_, err := schema.Load(tree, nil)
		var all schema.Errors
		if err != nil && !errors.As(err, &all) {
			t.Errorf("%s: %v", file, err)
		}
		for _, e := range all {
			problems++
			if e.File == "" || e.Line < 1 || e.Column < 1 {
				t.Errorf("%s: no place: %s", file, e)
			}
			if text, ok := tree[e.File]; ok && e.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%s: the file has no such line: %s", file, e)
			}
			if strings.Contains(e.Error(), "\n") || len(strings.Fields(e.Text)) < 2 {
				t.Errorf("%s: not a line that tells something: %q", file, e.Error())
			}
		}
		if !slices.IsSortedFunc(all, func(a, b *schema.Error) int { return strings.Compare(a.File, b.File) }) {
			t.Errorf("%s: problems aren't in the order of files", file)
		}
	}
	if problems < 300 {
		t.Errorf("%d problems in %d cases", problems, len(cases))
	}
}
