package schema

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestFits holds the quick look at a document's shape against the validator: what fits is valid, and nearly all that is
// valid fits. The documents are those of every case and example, each read as each kind.
func TestFits(t *testing.T) {
	valid, quick := 0, 0
	for _, data := range documents(t) {
		roots, _ := parseYAML(data)
		for _, root := range roots {
			for kind, s := range schemas() {
				isValid, fit := s.compiled.Validate(toValue(root)) == nil, fits(s.compiled, root)
				if fit && !isValid {
					t.Errorf("a document fits %s and isn't valid:\n%s", kind, data)
				}
				if isValid {
					valid++
				}
				if fit {
					quick++
				}
			}
		}
	}
	if valid < 100 || quick < valid*9/10 {
		t.Errorf("%d documents are valid, and %d of them fit", valid, quick)
	}
}

func documents(t *testing.T) [][]byte {
	t.Helper()
	var out [][]byte
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range append(files, "testdata/base.txtar") {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			out = append(out, f.Data)
		}
	}
	return out
}

// TestFitsKnowsTheKeywords: a schema that says more than fits looks at would let wrong documents through.
func TestFitsKnowsTheKeywords(t *testing.T) {
	known := wordSet(`type const enum required properties additionalProperties items minItems maxItems uniqueItems maxLength
		minimum maximum exclusiveMinimum $ref $defs $schema description default title pattern patternProperties`)
	for _, kind := range kinds {
		checkKeywords(t, known, schemas()[kind].document)
	}
}

// checkKeywords goes through a schema; below properties and $defs the keys are names.
func checkKeywords(t *testing.T, known map[string]bool, s map[string]any) {
	t.Helper()
	for keyword, v := range s {
		if !known[keyword] {
			t.Errorf("fits doesn't know the keyword %q", keyword)
		}
		below, ok := v.(map[string]any)
		switch {
		case !ok || keyword == "patternProperties" || keyword == "default":
		case keyword == "properties" || keyword == "$defs":
			for _, c := range below {
				checkKeywords(t, known, c.(map[string]any))
			}
		default:
			checkKeywords(t, known, below)
		}
	}
}
