package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"hostctl/reconciler/web/api"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

const described = "../../../docs/openapi.json"

// docs/openapi.json is what the table of routes and the types come to.
func TestOpenAPIIsWrittenDown(t *testing.T) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	must(t, e.Encode(api.Document()))
	if *update {
		must(t, os.WriteFile(described, b.Bytes(), 0o644))
	}
	have, err := os.ReadFile(described)
	must(t, err)
	if !bytes.Equal(have, b.Bytes()) {
		t.Error("docs/openapi.json isn't what the code says: go test ./reconciler/web/api -run OpenAPI -update, and look at the difference")
	}
}

// Every answer is what the description says, and has no key that it doesn't know.
func TestAnswersAreAsDescribed(t *testing.T) {
	w := two(t)
	for ref := range w.far.State() {
		if ref.Kind == "rrset" {
			w.far.Lose(ref)
		}
	}
	schemas := compile(t)
	checked := map[string]bool{}
	for _, token := range []string{w.token("platform"), w.token("tenant:acme")} {
		for _, path := range append(w.paths(), "/runs/1/changes", "/runs/1/plan") {
			out := w.get(token, path)
			name := "Problem"
			if out.Code == 200 {
				name = w.answerOf(path)
			}
			var v any
			must(t, json.Unmarshal(out.Body.Bytes(), &v))
			if err := schemas[name].Validate(v); err != nil {
				t.Errorf("GET %s isn't a %s: %v\n%s", path, name, err, out.Body)
			}
			checked[name] = true
		}
	}
	if len(checked) < 12 {
		t.Errorf("only these were checked: %v", checked)
	}
}

// answerOf returns the name of the schema of a path's answer.
func (w *world) answerOf(path string) string {
	w.Helper()
	u, err := url.Parse(path)
	must(w, err)
	best, schema := -1, ""
	doc := api.Document()["paths"].(map[string]any)
	for template, item := range doc {
		fixed, _, _ := strings.Cut(template, "{")
		parts := strings.Split(template, "/")
		there := strings.Split("/api/v1"+u.EscapedPath(), "/")
		same := strings.HasPrefix("/api/v1"+u.EscapedPath(), fixed) && (len(parts) == len(there) || strings.HasSuffix(template, "{ref}"))
		if last := parts[len(parts)-1]; same && !strings.HasPrefix(last, "{") && last != there[len(there)-1] {
			same = false
		}
		if same && len(fixed) > best {
			ref := item.(map[string]any)["get"].(map[string]any)["responses"].(map[string]any)["200"].(map[string]any)["content"].(map[string]any)
			body, ok := ref["application/json"].(map[string]any)
			if !ok {
				continue
			}
			best, schema = len(fixed), strings.TrimPrefix(body["schema"].(map[string]any)["$ref"].(string), "#/components/schemas/")
		}
	}
	if schema == "" {
		w.Fatalf("nothing describes %s", path)
	}
	return schema
}

// compile reads the schemas of the description, and closes those of objects: no key is left undescribed.
func compile(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(described)
	must(t, err)
	var doc map[string]any
	must(t, json.Unmarshal(text, &doc))
	all := doc["components"].(map[string]any)["schemas"].(map[string]any)
	for _, s := range all {
		s.(map[string]any)["additionalProperties"] = false
	}
	closed, err := json.Marshal(doc)
	must(t, err)
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = jsonschema.Draft2020, true
	must(t, c.AddResource("https://hostctl.test/openapi.json", bytes.NewReader(closed)))
	out := map[string]*jsonschema.Schema{}
	for name := range all {
		s, err := c.Compile("https://hostctl.test/openapi.json#/components/schemas/" + name)
		must(t, err)
		out[name] = s
	}
	return out
}
