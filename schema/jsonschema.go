package schema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

//go:embed jsonschema/*.json
var schemaFiles embed.FS

// kinds in the order a person meets them.
var kinds = []Kind{
	KindPlatform, KindHostingPlan, KindRegion, KindCluster, KindLBAddress, KindNodeProfile, KindHost, KindShard,
	KindTenant, KindWebroot, KindFQDN, KindCertificate, KindDatabase, KindDatabaseUser, KindValkeyInstance, KindValkeyUser, KindCronJob, KindZone, KindZoneRecord,
	KindEmailDomain, KindEmailAccount, KindEmailAlias, KindEmailForward, KindEmailAutoreply,
}

// Kinds returns every kind that can be declared, the platform's first.
func Kinds() []Kind { return slices.Clone(kinds) }

// kindSchema is the JSON Schema of one kind.
type kindSchema struct {
	document map[string]any // as published
	compiled *jsonschema.Schema
}

// schemas compiles the embedded JSON Schemas, once.
var schemas = sync.OnceValue(func() map[Kind]*kindSchema {
	out := make(map[Kind]*kindSchema, len(kinds))
	for _, k := range kinds {
		s, err := compile(k)
		if err != nil {
			panic(fmt.Sprintf("schema: the embedded JSON Schema of %s: %v", k, err)) // a test compiles all of them
		}
		out[k] = s
	}
	return out
})

// JSONSchema returns the JSON Schema (draft 2020-12) of a whole document of a kind, for editors and for explaining
// fields; it refers to nothing outside itself. It is false for a kind that doesn't exist.
func JSONSchema(kind Kind) ([]byte, bool) {
	s, ok := schemas()[kind]
	if !ok {
		return nil, false
	}
	out, err := json.MarshalIndent(s.document, "", "  ")
	return append(out, '\n'), err == nil
}

// compile builds the schema of a kind from its file and the parts that all kinds share.
func compile(kind Kind) (*kindSchema, error) {
	document, err := assemble(kind)
	if err != nil {
		return nil, err
	}
	bare, err := json.Marshal(withoutText(document))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.LoadURL = nil // no reference leaves the set
	url := "hostctl:" + string(kind)
	if err := c.AddResource(url, bytes.NewReader(bare)); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(url)
	return &kindSchema{document: document, compiled: compiled}, err
}

// assemble puts a kind's spec into the envelope.
func assemble(kind Kind) (map[string]any, error) {
	var common struct {
		Metadata map[string]any `json:"metadata"`
		Defs     map[string]any `json:"$defs"`
	}
	var own struct {
		Description  string         `json:"description"`
		OptionalName bool           `json:"optionalName"`
		Metadata     map[string]any `json:"metadata"` // keys that this kind alone has
		Spec         map[string]any `json:"spec"`
	}
	if err := readJSON("common", &common); err != nil {
		return nil, err
	}
	if err := readJSON(string(kind), &own); err != nil {
		return nil, err
	}
	required := []any{"apiVersion", "kind", "metadata", "spec"}
	own.Spec["description"] = "What is wanted."
	properties := common.Metadata["properties"].(map[string]any)
	maps.Copy(properties, own.Metadata)
	if own.OptionalName {
		required = []any{"apiVersion", "kind", "spec"}
		delete(common.Metadata, "required")
		properties["name"] = map[string]any{"type": "string", "description": "Identity of the resource; derived where left out."}
	}
	document := map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                string(kind),
		"description":          own.Description,
		"type":                 "object",
		"additionalProperties": false,
		"required":             required,
		"properties": map[string]any{
			"apiVersion": map[string]any{"const": APIVersion, "description": "Version of the resource format."},
			"kind":       map[string]any{"const": string(kind), "description": "Kind of the resource."},
			"metadata":   common.Metadata,
			"spec":       own.Spec,
		},
		"$defs": common.Defs,
	}
	allowExtensions(document)
	return document, nil
}

func readJSON(name string, into any) error {
	data, err := schemaFiles.ReadFile("jsonschema/" + name + ".json")
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// allowExtensions lets every closed object carry keys that begin with x-.
func allowExtensions(v any) {
	switch t := v.(type) {
	case map[string]any:
		for _, c := range t {
			allowExtensions(c)
		}
		if t["additionalProperties"] == false {
			t["patternProperties"] = map[string]any{"^x-": true}
		}
	case []any:
		for _, c := range t {
			allowExtensions(c)
		}
	}
}

// withoutText copies a schema less what only editors need: descriptions, and patterns, in whose place the value types
// answer. Keys x- never reach the validator.
func withoutText(v any) any {
	switch t := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, c := range t {
			_, isText := c.(string)
			if k == "patternProperties" || isText && (k == "description" || k == "pattern" || k == "title") {
				continue
			}
			out[k] = withoutText(c)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, c := range t {
			out[i] = withoutText(c)
		}
		return out
	}
	return v
}
