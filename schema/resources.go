package schema

import (
	"cmp"
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Resource is any resource of a Manifest.
type Resource struct {
	Meta Meta
	of   any // the typed resource
}

// Resources returns every resource, sorted by kind, tenant and name.
func (m Manifest) Resources() []Resource {
	var all []Resource
	for r := range m.resources() {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Resource) int { return a.Compare(b) })
	return all
}

// Compare orders resources by kind, tenant and name.
func (r Resource) Compare(o Resource) int {
	return cmp.Or(strings.Compare(string(r.Meta.Kind), string(o.Meta.Kind)),
		strings.Compare(r.Meta.Tenant, o.Meta.Tenant), strings.Compare(r.Meta.Name, o.Meta.Name))
}

func (m Manifest) resources() iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		v := reflect.ValueOf(m)
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Kind() == reflect.Slice {
				for j := range f.Len() {
					if r, ok := resourceOf(f.Index(j)); ok && !yield(r) {
						return
					}
				}
				continue
			}
			if r, ok := resourceOf(f); ok && r.Meta.Kind != "" && !yield(r) {
				return
			}
		}
	}
}

func resourceOf(v reflect.Value) (Resource, bool) {
	if v.Kind() != reflect.Struct {
		return Resource{}, false
	}
	f := v.FieldByName("Meta")
	if !f.IsValid() {
		return Resource{}, false
	}
	meta, ok := f.Interface().(Meta)
	return Resource{meta, v.Interface()}, ok
}

// Spec returns what the resource declares, as one JSON object of the fields that have a value, in the words of this package:
// references are resolved, defaults filled in. Of secrets it says where they come from, and of passwords nothing.
func (r Resource) Spec() json.RawMessage {
	b, err := json.Marshal(shown(reflect.ValueOf(r.of)))
	if err != nil {
		panic("schema: a resource that can't be encoded: " + err.Error()) // maps, lists, texts and numbers always can
	}
	return b
}

// hidden are fields that nobody is shown, whatever they are read with: a hash of a weak password is as good as the password.
var hidden = map[string]bool{"PasswordHash": true}

// shown turns a value into what encodes as JSON.
func shown(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case Secret:
		return shownSecret(x)
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case time.Duration:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return shown(v.Elem())
	case reflect.Struct:
		return shownStruct(v)
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = shown(v.Index(i))
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for k, e := range v.Seq2() {
			m[k.String()] = shown(e)
		}
		return m
	}
	return v.Interface()
}

func shownStruct(v reflect.Value) any {
	m := map[string]any{}
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		switch value.Interface().(type) {
		case Meta, Position:
			continue
		}
		if !f.IsExported() || hidden[f.Name] || value.IsZero() {
			continue
		}
		m[fieldName(f)] = shown(value)
	}
	return m
}

func shownSecret(s Secret) any {
	if s.Ref != nil {
		return map[string]any{"secretRef": map[string]any{"file": s.Ref.File, "key": s.Ref.Key}}
	}
	m := map[string]any{"generate": s.Generate}
	if s.Name != "" {
		m["name"] = s.Name
	}
	return m
}

// fieldName returns the key of a field: that of its json tag, or its name as files have it: documentRoot, ttl, sshKeys.
func fieldName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
		return name
	}
	name := []rune(f.Name)
	capitals := 0
	for capitals < len(name) && unicode.IsUpper(name[capitals]) {
		capitals++
	}
	rest := string(name[capitals:])
	switch {
	case rest == "" || rest == "s": // TTL, UIDs
		return strings.ToLower(f.Name)
	case capitals > 1: // SSHKeys
		capitals--
	}
	return strings.ToLower(string(name[:capitals])) + string(name[capitals:])
}
