package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"gopkg.in/yaml.v3"
)

// checkShape validates a document against the JSON Schema of its kind: which keys there are and of which type. What a
// string may hold is left to the value types, which say more than "doesn't match the pattern".
func checkShape(kind Kind, root *yaml.Node) []*Error {
	s := schemas()[kind]
	if fits(s.compiled, root) {
		return nil
	}
	err := s.compiled.Validate(toValue(root))
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []*Error{errorAt(root, "", "%v", err)}
	}
	var errs []*Error
	for _, leaf := range leaves(invalid) {
		errs = append(errs, s.explain(kind, root, leaf)...)
	}
	return errs
}

// leaves are the causes that have no further cause.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var out []*jsonschema.ValidationError
	for _, c := range e.Causes {
		out = append(out, leaves(c)...)
	}
	return out
}

// toValue converts a node to what the validator takes, less the keys that begin with x-.
func toValue(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			if key := n.Content[i].Value; !strings.HasPrefix(key, "x-") {
				m[key] = toValue(n.Content[i+1])
			}
		}
		return m
	case yaml.SequenceNode:
		l := make([]any, len(n.Content))
		for i, c := range n.Content {
			l[i] = toValue(c)
		}
		return l
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
		return 1e300 // beyond every limit, and no integer type holds it
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return f
		}
	}
	return n.Value
}

// explain turns one refusal of the validator into errors at the nodes that must be mended.
func (s *kindSchema) explain(kind Kind, root *yaml.Node, leaf *jsonschema.ValidationError) []*Error {
	at, path := walk(root, leaf.InstanceLocation)
	pointer, keyword := splitLast(strings.TrimPrefix(leaf.AbsoluteKeywordLocation[strings.IndexByte(leaf.AbsoluteKeywordLocation, '#'):], "#"))
	rule, _ := lookup(s.document, pointer).(map[string]any)
	switch keyword {
	case "additionalProperties":
		return unknownKeys(kind, at, path, rule)
	case "required":
		return s.missingKeys(kind, at, path, rule)
	case "type":
		e := errorAt(at, path, "%s", wrongType(at, rule))
		e.Leak = e.Text == inClear
		return []*Error{e}
	case "enum", "const":
		return []*Error{errorAt(at, path, "%s", notOneOf(kind, at, path, rule))}
	case "minimum", "maximum", "exclusiveMinimum":
		return []*Error{errorAt(at, path, "is %s; %s", at.Value, bounds(rule))}
	case "minItems":
		return []*Error{errorAt(at, path, "has %d values; at least %v are needed", len(at.Content), rule["minItems"])}
	case "maxItems":
		return []*Error{errorAt(at, path, "has %d values; at most %v are allowed", len(at.Content), rule["maxItems"])}
	case "uniqueItems":
		return []*Error{errorAt(at, path, "names a value twice; keep one")}
	case "maxLength":
		return []*Error{errorAt(at, path, "is longer than %v characters", rule["maxLength"])}
	}
	return []*Error{errorAt(at, path, "%s", leaf.Message)}
}

// unknownKeys reports each key that the rule doesn't know, at the key.
func unknownKeys(kind Kind, at *yaml.Node, path string, rule map[string]any) []*Error {
	known, _ := rule["properties"].(map[string]any)
	var errs []*Error
	for i := 0; i < len(at.Content); i += 2 {
		key := at.Content[i]
		if _, ok := known[key.Value]; ok || strings.HasPrefix(key.Value, "x-") {
			continue
		}
		field := join(path, key.Value)
		errs = append(errs, errorAt(key, field, "%s", unknownKey(kind, field, key.Value, slices.Sorted(maps.Keys(known)))))
	}
	return errs
}

// unknownKey says why a key isn't allowed, and which one may be meant.
func unknownKey(kind Kind, field, key string, known []string) string {
	if text := plannedField(kind, field); text != "" {
		return text
	}
	if near := nearest(key, known); near != "" {
		return fmt.Sprintf("unknown key; did you mean %q?", near)
	}
	return "unknown key; known here: " + strings.Join(known, ", ")
}

// missingKeys reports each key that is required and absent.
func (s *kindSchema) missingKeys(kind Kind, at *yaml.Node, path string, rule map[string]any) []*Error {
	required, _ := rule["required"].([]any)
	properties, _ := rule["properties"].(map[string]any)
	var errs []*Error
	for _, r := range required {
		key, _ := r.(string)
		if child(at, key) != nil {
			continue
		}
		field := join(path, key)
		if about := s.describe(properties[key]); about != "" {
			errs = append(errs, errorAt(at, field, "is missing; add it: %s", about))
			continue
		}
		errs = append(errs, errorAt(at, field, "is missing; add it: hostctl schema %s shows what it holds", kind))
	}
	return errs
}

// describe returns what the schema says of a field, itself or where it refers to.
func (s *kindSchema) describe(field any) string {
	f, _ := field.(map[string]any)
	if text, ok := f["description"].(string); ok {
		return text
	}
	ref, _ := f["$ref"].(string)
	defined, _ := lookup(s.document, strings.TrimPrefix(ref, "#")).(map[string]any)
	text, _ := defined["description"].(string)
	return text
}

// inClear is said of a value where a secret must be.
const inClear = "stands in clear; use secretRef or generate: true (docs/secrets.md), and change the value where it is known"

// wrongType says what a value is and what it must be.
func wrongType(at *yaml.Node, rule map[string]any) string {
	wants := typeNames(rule["type"])
	switch {
	case isNull(at):
		return "has no value; write " + wants + ", or leave the key out"
	case at.Kind == yaml.ScalarNode && wants == "an object" && isSecret(rule):
		return inClear
	case at.Kind == yaml.ScalarNode && !matches(rule["pattern"], at.Value):
		return fmt.Sprintf("is the %s %s; wanted: %v", scalarName(at), at.Value, rule["description"])
	case at.Kind == yaml.ScalarNode && strings.Contains(wants, "string"):
		return fmt.Sprintf("%s is a %s; write it in quotes: %q", at.Value, scalarName(at), at.Value)
	case at.Kind == yaml.ScalarNode:
		return fmt.Sprintf("is the %s %q; write %s", scalarName(at), shorten(at.Value), wants)
	case at.Kind == yaml.SequenceNode:
		return "is a list; write " + wants
	}
	return "is an object; write " + wants
}

// isSecret reports whether a rule is that of a secret, of which nothing is quoted.
func isSecret(rule map[string]any) bool {
	properties, _ := rule["properties"].(map[string]any)
	return properties["secretRef"] != nil && properties["generate"] != nil
}

// matches reports whether a value would fit a pattern once it is a string; true where there is none.
func matches(pattern any, value string) bool {
	p, ok := pattern.(string)
	return !ok || regexp.MustCompile(p).MatchString(value)
}

// typeNames is a list of JSON Schema types in words.
func typeNames(want any) string {
	words := map[string]string{"object": "an object", "array": "a list", "string": "a string", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
	if one, ok := want.(string); ok {
		return words[one]
	}
	var out []string
	many, _ := want.([]any)
	for _, m := range many {
		name, _ := m.(string)
		out = append(out, words[name])
	}
	return strings.Join(out, " or ")
}

// scalarName is the type of a scalar in words.
func scalarName(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "number"
	case "!!bool":
		return "boolean"
	}
	return "string"
}

// notOneOf says which values are allowed.
func notOneOf(kind Kind, at *yaml.Node, path string, rule map[string]any) string {
	allowed, _ := rule["enum"].([]any)
	if c, ok := rule["const"]; ok {
		allowed = []any{c}
	}
	var names []string
	for _, a := range allowed {
		names = append(names, fmt.Sprint(a))
	}
	if text := plannedValue(kind, path, at.Value); text != "" {
		return text
	}
	text := fmt.Sprintf("is %q; allowed: %s", shorten(at.Value), strings.Join(names, ", "))
	if at.Kind != yaml.ScalarNode {
		text = "must be one of: " + strings.Join(names, ", ")
	}
	if near := nearest(at.Value, names); near != "" && near != at.Value {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

// bounds is the range a rule allows, in words.
func bounds(rule map[string]any) string {
	number := func(v any) string { f, _ := v.(float64); return strconv.FormatFloat(f, 'f', -1, 64) }
	lo, hasLo := rule["minimum"]
	hi, hasHi := rule["maximum"]
	over, hasOver := rule["exclusiveMinimum"]
	switch {
	case hasOver && hasHi:
		return fmt.Sprintf("allowed: above %s, up to %s", number(over), number(hi))
	case hasLo && hasHi:
		return fmt.Sprintf("allowed: %s to %s", number(lo), number(hi))
	case hasLo:
		return "allowed: " + number(lo) + " and more"
	}
	return "allowed: up to " + number(hi)
}

// walk follows a JSON pointer into a node tree; it stops at the last node there is.
func walk(n *yaml.Node, pointer string) (*yaml.Node, string) {
	path := ""
	for _, step := range pointerSteps(pointer) {
		next := child(n, step)
		if n.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(n.Content) {
				return n, path
			}
			next = n.Content[i]
			path = fmt.Sprintf("%s[%d]", path, i)
		} else {
			path = join(path, step)
		}
		if next == nil {
			return n, path
		}
		n = next
	}
	return n, path
}

// lookup follows a JSON pointer into a JSON document.
func lookup(v any, pointer string) any {
	for _, step := range pointerSteps(pointer) {
		switch t := v.(type) {
		case map[string]any:
			v = t[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(t) {
				return nil
			}
			v = t[i]
		}
	}
	return v
}

// pointerSteps splits a JSON pointer (RFC 6901).
func pointerSteps(pointer string) []string {
	pointer = strings.TrimPrefix(pointer, "/")
	if pointer == "" {
		return nil
	}
	steps := strings.Split(pointer, "/")
	for i, s := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return steps
}

func splitLast(pointer string) (before, last string) {
	i := strings.LastIndexByte(pointer, '/')
	return pointer[:max(i, 0)], pointer[i+1:]
}

// join adds a key to the path of a field.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// child returns the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func errorAt(n *yaml.Node, field, text string, args ...any) *Error {
	return &Error{Line: n.Line, Column: n.Column, Field: field, Text: fmt.Sprintf(text, args...)}
}

// shorten makes a value fit into a message.
func shorten(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}
