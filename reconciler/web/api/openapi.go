package api

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"time"

	"hostctl/planner"
)

// node is a JSON object of the description.
type node = map[string]any

// Document describes the API (OpenAPI 3.1), made from the table of routes and the types that they answer with.
func Document() map[string]any {
	s := &schemas{all: node{}}
	paths := node{}
	for _, r := range routes {
		paths[root+pathTemplate(r.Path)] = node{"get": s.operation(r)}
	}
	s.all["Problem"] = s.object(reflect.TypeFor[Problem]())
	return node{
		"openapi": "3.1.0",
		"info": node{
			"title": "hostctl", "version": "1",
			"description": "What hostctl shows of a platform, for programs. It is for reading: what is to change is written into the repository.",
		},
		"servers":  []any{node{"url": "/"}},
		"security": []any{node{"token": []any{}}},
		"paths":    paths,
		"components": node{
			"schemas":         s.all,
			"securitySchemes": node{"token": node{"type": "http", "scheme": "bearer", "description": "hctl_…, from 'hostctl token create'."}},
			"responses": node{"Problem": node{
				"description": "What is wrong (RFC 9457).",
				"content":     node{"application/problem+json": node{"schema": ref("Problem")}},
			}},
		},
	}
}

func openAPI(*call) (any, error) { return Document(), nil }

var pathParam = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

func pathTemplate(path string) string { return pathParam.ReplaceAllString(path, "{$1}") }

func (s *schemas) operation(r route) node {
	params := []any{}
	for _, m := range pathParam.FindAllStringSubmatch(r.Path, -1) {
		params = append(params, node{"name": m[1], "in": "path", "required": true, "schema": node{"type": "string"}})
	}
	for _, p := range r.Query {
		of := node{"type": p.Type}
		if p.Pattern != "" {
			of["pattern"] = p.Pattern
		}
		if p.Max > 0 {
			of["minimum"], of["maximum"] = 1, p.Max
		}
		params = append(params, node{"name": p.Name, "in": "query", "description": p.Doc, "schema": of})
	}
	media, answer := "application/json", node{"schema": s.of(reflect.TypeOf(r.Answer))}
	if r.Stream != nil {
		media = "text/event-stream"
		params = append(params, node{"name": "Last-Event-ID", "in": "header", "description": "The id of the last event that was read.", "schema": node{"type": "string"}})
	}
	op := node{
		"operationId": r.Name, "summary": r.Doc, "parameters": params,
		"responses": node{
			"200":     node{"description": "It is answered.", "content": node{media: answer}},
			"304":     node{"description": "It is as it was (If-None-Match)."},
			"default": node{"$ref": "#/components/responses/Problem"},
		},
	}
	switch r.For {
	case anybody:
		op["security"] = []any{}
	case operators:
		op["description"] = "For tokens of the platform; for others it isn't there."
	}
	return op
}

// schemas are the types of a description by name (JSON Schema 2020-12).
type schemas struct{ all node }

func ref(name string) node { return node{"$ref": "#/components/schemas/" + name} }

// of returns the schema of a type; that of a struct with a name is among the components.
func (s *schemas) of(t reflect.Type) node {
	switch t {
	case reflect.TypeFor[time.Time]():
		return node{"type": "string", "format": "date-time"}
	case reflect.TypeFor[planner.Ref]():
		return node{"type": "string", "description": "kind/target/name"}
	case reflect.TypeFor[json.RawMessage]():
		return node{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return node{"type": "boolean"}
	case reflect.String:
		return node{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return node{"type": "number"}
	case reflect.Slice, reflect.Array:
		return node{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return node{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		name := schemaName(t)
		if s.all[name] == nil {
			s.all[name] = node{} // a type may hold itself
			s.all[name] = s.object(t)
		}
		return ref(name)
	case reflect.Interface:
		return node{}
	}
	return node{"type": "integer"}
}

var generic = regexp.MustCompile(`^Page\[.*\.(\w+)\]$`)

func schemaName(t reflect.Type) string {
	if m := generic.FindStringSubmatch(t.Name()); m != nil {
		return m[1] + "Page"
	}
	if t.PkgPath() == reflect.TypeFor[API]().PkgPath() {
		return t.Name()
	}
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	return strings.ToUpper(pkg[:1]) + pkg[1:] + t.Name()
}

// object returns the schema of a struct, that of the structs in it that have no key of their own included.
func (s *schemas) object(t reflect.Type) node {
	properties, required := node{}, []any{}
	var add func(reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-" || !f.IsExported() && !f.Anonymous:
				continue
			case f.Anonymous && name == "":
				add(f.Type)
				continue
			case name == "":
				name = f.Name
			}
			of := s.of(f.Type)
			if nilable(f.Type) && options == "" {
				of = node{"anyOf": []any{of, node{"type": "null"}}}
			}
			properties[name] = of
			if options == "" {
				required = append(required, name)
			}
		}
	}
	add(t)
	return node{"type": "object", "properties": properties, "required": required}
}

func nilable(t reflect.Type) bool {
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Map) && t != reflect.TypeFor[json.RawMessage]()
}
