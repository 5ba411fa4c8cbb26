package schema

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"gopkg.in/yaml.v3"
)

// fits reports whether a node surely has the shape of a schema, without copying it. If it is false the validator must be
// asked, which alone says what is wrong. Nearly all documents are right, and validating them took a third of a load.
// It knows the keywords that the embedded schemas use; a test holds it against the validator.
func fits(s *jsonschema.Schema, n *yaml.Node) bool {
	if s.Ref != nil && !fits(s.Ref, n) || len(s.Types) > 0 && !slices.ContainsFunc(s.Types, func(t string) bool { return isType(n, t) }) {
		return false
	}
	if len(s.Constant) > 0 && !isValue(n, s.Constant[0]) || len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(v any) bool { return isValue(n, v) }) {
		return false
	}
	switch n.Kind {
	case yaml.MappingNode:
		return fitsObject(s, n)
	case yaml.SequenceNode:
		return fitsList(s, n)
	}
	return fitsScalar(s, n)
}

// isType reports whether a node is of a JSON type. A float that is a whole number is left to the validator.
func isType(n *yaml.Node, t string) bool {
	switch n.Kind {
	case yaml.MappingNode:
		return t == "object"
	case yaml.SequenceNode:
		return t == "array"
	}
	switch n.ShortTag() {
	case "!!str":
		return t == "string"
	case "!!bool":
		return t == "boolean"
	case "!!int":
		return t == "integer" || t == "number"
	case "!!float":
		return t == "number"
	}
	return false
}

// isValue reports whether a scalar is a constant of a schema.
func isValue(n *yaml.Node, want any) bool {
	switch w := want.(type) {
	case string:
		return n.Kind == yaml.ScalarNode && n.Value == w && n.ShortTag() == "!!str"
	case json.Number:
		return n.Kind == yaml.ScalarNode && n.Value == w.String() && n.ShortTag() == "!!int"
	}
	return false
}

func fitsObject(s *jsonschema.Schema, n *yaml.Node) bool {
	for _, r := range s.Required {
		if child(n, r) == nil {
			return false
		}
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if strings.HasPrefix(key, "x-") {
			continue
		}
		if p, ok := s.Properties[key]; ok {
			if !fits(p, value) {
				return false
			}
			continue
		}
		switch more := s.AdditionalProperties.(type) {
		case bool:
			if !more {
				return false
			}
		case *jsonschema.Schema:
			if !fits(more, value) {
				return false
			}
		}
	}
	return true
}

func fitsList(s *jsonschema.Schema, n *yaml.Node) bool {
	if s.MinItems > len(n.Content) || s.MaxItems >= 0 && s.MaxItems < len(n.Content) || s.UniqueItems && len(n.Content) > 1 {
		return false
	}
	if s.Items2020 == nil {
		return true
	}
	for _, c := range n.Content {
		if !fits(s.Items2020, c) {
			return false
		}
	}
	return true
}

func fitsScalar(s *jsonschema.Schema, n *yaml.Node) bool {
	if s.MaxLength >= 0 && utf8.RuneCountInString(n.Value) > s.MaxLength {
		return false
	}
	if s.Minimum == nil && s.Maximum == nil && s.ExclusiveMinimum == nil {
		return true
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return false
	}
	v := new(big.Rat).SetInt64(i)
	return (s.Minimum == nil || v.Cmp(s.Minimum) >= 0) && (s.Maximum == nil || v.Cmp(s.Maximum) <= 0) &&
		(s.ExclusiveMinimum == nil || v.Cmp(s.ExclusiveMinimum) > 0)
}
