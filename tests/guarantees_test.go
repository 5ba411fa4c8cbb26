package tests

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guarantees is how many there are: G1 to G15.
const guarantees = 15

var (
	testFunc  = regexp.MustCompile(`(?m)^func (TestG[0-9]\w*)\(t \*testing\.T\)`)
	testNamed = regexp.MustCompile("`(TestG[0-9]\\w*)`")
	goodName  = regexp.MustCompile(`^TestG(0[1-9]|1[0-5])_[A-Z]\w*$`)
)

// docs/guarantees.md names, for each guarantee, tests that are there; and each test whose name begins with a guarantee's
// number is of one of them.
func TestGuaranteesAreShown(t *testing.T) {
	there := guaranteeTests(t)
	for name, in := range there {
		if !goodName.MatchString(name) {
			t.Errorf("%s in %v: want the number of a guarantee, 01 to %d, and an underscore", name, in, guarantees)
		}
	}
	b, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| G") && len(cells) == 6 {
			rows[strings.TrimSpace(cells[1])] = cells[4]
		}
	}
	for n := 1; n <= guarantees; n++ {
		row, own := rows[fmt.Sprintf("G%d", n)], false
		for _, m := range testNamed.FindAllStringSubmatch(row, -1) {
			in := there[m[1]]
			own = own || strings.HasPrefix(m[1], fmt.Sprintf("TestG%02d_", n))
			if !slices.ContainsFunc(in, func(dir string) bool { return strings.Contains(row, " "+dir) }) {
				t.Errorf("docs/guarantees.md, G%d: %s is not where the table says; it is in %q", n, m[1], in)
			}
		}
		if !own {
			t.Errorf("docs/guarantees.md, G%d: names no test of its own", n)
		}
	}
	if len(rows) != guarantees {
		t.Errorf("docs/guarantees.md has %d rows, want %d", len(rows), guarantees)
	}
}

// guaranteeTests returns the tests that carry the number of a guarantee, and in which folders they are.
func guaranteeTests(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	eachTestFile(t, func(file string, text []byte) {
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			found[string(m[1])] = append(found[string(m[1])], filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), "../")))
		}
	})
	return found
}

// A test that can't run fails: only -short leaves tests out.
func TestNothingIsSkipped(t *testing.T) {
	skip := regexp.MustCompile(`(?m)^.*\n.*\.Skip(f|Now)?\(`)
	eachTestFile(t, func(file string, text []byte) {
		for _, m := range skip.FindAll(text, -1) {
			if !strings.Contains(string(m), "testing.Short()") && !strings.HasSuffix(file, "guarantees_test.go") {
				t.Errorf("%s leaves a test out:\n%s\nlet it fail where it can't run", file, m)
			}
		}
	})
}

func eachTestFile(t *testing.T, fn func(file string, text []byte)) {
	t.Helper()
	read := 0
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		text, err := os.ReadFile(file)
		read++
		fn(file, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 200 {
		t.Errorf("%d files were read", read)
	}
}
