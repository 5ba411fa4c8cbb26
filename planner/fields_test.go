package planner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"gopkg.in/yaml.v3"

	"hostctl/planner"
	"hostctl/schema"
)

const fieldsFile = "testdata/fields/fields.txtar"

// TestEveryField changes every field of every kind, one at a time, and holds what is planned then, or why it is refused,
// against what was looked at and found right. A field that is new must be changed too.
func TestEveryField(t *testing.T) {
	ar, err := txtar.ParseFile(fieldsFile)
	if err != nil {
		t.Fatal(err)
	}
	base, edits, want := schema.MapTree{}, "", -1
	for i, f := range ar.Files {
		switch f.Name {
		case "edits":
			edits = string(f.Data)
		case "plans":
			want = i
		default:
			base[f.Name] = string(f.Data)
		}
	}
	first, err := planner.New(load(t, base), planner.Live{Images: images}, agent)
	if err != nil {
		t.Fatal(err)
	}
	live := applied(first)
	live.Memory, live.Images = first.Remember, images

	changed := map[string]bool{}
	var got strings.Builder
	for line := range strings.Lines(edits) {
		line = strings.TrimSuffix(line, "\n")
		p := strings.Split(line, " | ")
		if len(p) != 3 {
			t.Fatalf("edits: %q", line)
		}
		file, old, with := p[0], strings.ReplaceAll(p[1], `\n`, "\n"), strings.ReplaceAll(p[2], `\n`, "\n")
		if !strings.Contains(base[file], old) {
			t.Fatalf("edits: %s doesn't hold %q", file, old)
		}
		edited := maps.Clone(base)
		edited[file] = strings.Replace(base[file], old, with, 1)
		addChanged(t, changed, base[file], edited[file])
		plan := planOf(t, edited, live)
		if strings.Contains(plan, "unknown key") {
			t.Errorf("edits: %s: %s", line, plan)
		}
		fmt.Fprintf(&got, "### %s\n%s", line, plan)
	}
	for _, missing := range unchangedFields(t, changed) {
		t.Errorf("no edit changes %s", missing)
	}
	if *update {
		ar.Files[want].Data = []byte(got.String())
		if err := os.WriteFile(fieldsFile, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	diffSections(t, string(ar.Files[want].Data), got.String())
}

// planOf is the plan of a repository as text, or what is wrong with it.
func planOf(t *testing.T, tree schema.MapTree, live planner.Live) string {
	m, err := schema.Load(tree, nil)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return planned(t, m, live, agent)["plan"]
}

// diffSections tells which edits come to something else.
func diffSections(t *testing.T, want, got string) {
	t.Helper()
	wants, gots := strings.Split(want, "### "), strings.Split(got, "### ")
	if len(wants) != len(gots) {
		t.Fatalf("%d edits and %d plans (go test ./planner -run EveryField -update rewrites them)", len(gots)-1, len(wants)-1)
	}
	for i := range gots {
		if wants[i] != gots[i] {
			t.Errorf("got\n%s\nwant\n%s(go test ./planner -run EveryField -update rewrites it)", gots[i], wants[i])
		}
	}
}

// addChanged adds the fields, as "Kind.path", that two versions of a file have different values of.
func addChanged(t *testing.T, changed map[string]bool, before, after string) {
	t.Helper()
	a, b := valuesOf(t, before), valuesOf(t, after)
	for _, field := range slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b))) {
		if a[field] != b[field] {
			changed[field] = true
		}
	}
}

// valuesOf returns all values of each field of a file's documents.
func valuesOf(t *testing.T, text string) map[string]string {
	t.Helper()
	values := map[string]string{}
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc struct {
			Kind string
			Spec any
		}
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return values
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		flatten(doc.Kind, doc.Spec, values)
	}
}

func flatten(path string, v any, values map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !strings.HasPrefix(k, "x-") {
				flatten(path+"."+k, v[k], values)
			}
		}
	case map[any]any: // keys that are numbers
		for k := range v {
			flatten(fmt.Sprintf("%s.%v", path, k), v[k], values)
		}
	case []any:
		for _, e := range v {
			flatten(path+"[]", e, values)
		}
	default:
		values[path] += fmt.Sprintf("%v;", v)
	}
}

// unchangedFields returns the fields of the kinds' JSON Schemas that aren't among the changed ones, sorted.
func unchangedFields(t *testing.T, changed map[string]bool) []string {
	t.Helper()
	var missing []string
	for _, kind := range schema.Kinds() {
		data, _ := schema.JSONSchema(kind)
		var doc map[string]any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		s := schemaDoc{doc}
		for _, field := range s.fields(doc["properties"].(map[string]any)["spec"], string(kind)) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(changed)), func(c string) bool { return fieldMatches(field, c) }) {
				missing = append(missing, field)
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// fieldMatches compares a field of a schema with one of a document: where the schema says * any key does.
func fieldMatches(field, document string) bool {
	return slices.EqualFunc(strings.Split(field, "."), strings.Split(document, "."), func(f, d string) bool {
		return f == d || f == "*" || f == "*[]" && strings.HasSuffix(d, "[]")
	})
}

// schemaDoc is a JSON Schema, as far as those of the kinds go.
type schemaDoc struct{ root map[string]any }

// fields returns the paths of what isn't made of other fields.
func (s schemaDoc) fields(node any, path string) []string {
	n, _ := node.(map[string]any)
	if ref, ok := n["$ref"].(string); ok {
		return s.fields(s.at(ref), path)
	}
	var all []string
	for _, some := range []string{"oneOf", "anyOf", "allOf"} {
		list, _ := n[some].([]any)
		for _, one := range list {
			all = append(all, s.fields(one, path)...)
		}
	}
	properties, isObject := n["properties"].(map[string]any)
	for name, property := range properties {
		all = append(all, s.fields(property, path+"."+name)...)
	}
	if items, ok := n["items"].(map[string]any); ok {
		return append(all, s.fields(items, path+"[]")...)
	}
	if any, ok := n["additionalProperties"].(map[string]any); ok {
		return append(all, s.fields(any, path+".*")...)
	}
	_, typed := n["type"]
	_, listed := n["enum"]
	if isObject || len(all) > 0 || !typed && !listed {
		return all
	}
	return []string{path}
}

// at follows a reference within the schema: "#/$defs/slug".
func (s schemaDoc) at(ref string) any {
	var v any = s.root
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	return v
}
