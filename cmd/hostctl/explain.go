package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/schema"
)

func explainVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "explain KIND[.field...]",
		Short:             "Tell what a kind is for, or what a field of it means",
		Long:              "explain prints what the JSON Schema of a kind says of it, or of one of its fields. \"spec\" may be left out of the path.",
		Example:           "  hostctl explain Webroot\n  hostctl explain webroot.spec.runtime.version",
		Args:              needs("a kind: " + strings.Join(kindNames(), ", ")),
		ValidArgsFunction: completeField,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := findField(args[0])
			if err != nil {
				return err
			}
			return f.print(o.out)
		},
	}
}

// node is as much of a JSON Schema as explain and scaffold need.
type node struct {
	Description string           `json:"description"`
	Type        any              `json:"type"`
	Enum        []any            `json:"enum"`
	Const       any              `json:"const"`
	Default     any              `json:"default"`
	Minimum     *float64         `json:"minimum"`
	Maximum     *float64         `json:"maximum"`
	Pattern     string           `json:"pattern"`
	Required    []string         `json:"required"`
	Properties  map[string]*node `json:"properties"`
	Items       *node            `json:"items"`
	Ref         string           `json:"$ref"`
	Defs        map[string]*node `json:"$defs"`
}

// field is a place in a kind's schema.
type field struct {
	path     string
	required bool
	at, root *node
}

// kindSchema reads the schema of a kind.
func kindSchema(k schema.Kind) (*node, error) {
	text, ok := schema.JSONSchema(k)
	if !ok {
		return nil, fmt.Errorf("no kind %q; there are %s", k, strings.Join(kindNames(), ", "))
	}
	var n node
	if err := json.Unmarshal(text, &n); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", k, err)
	}
	return &n, nil
}

// findField follows a dotted path. "spec" may be left out, for that is where most fields are.
func findField(path string) (field, error) {
	parts := strings.Split(path, ".")
	kind := kindOf(parts[0])
	root, err := kindSchema(kind)
	if err != nil {
		return field{}, err
	}
	f := field{path: string(kind), at: root, root: root}
	if len(parts) > 1 && root.Properties[parts[1]] == nil && root.Properties["spec"] != nil {
		parts = slices.Insert(parts, 1, "spec")
	}
	for _, name := range parts[1:] {
		next, ok := f.child(name)
		if !ok {
			return field{}, fmt.Errorf("%s has no field %q; it has %s", f.path, name, strings.Join(f.children(), ", "))
		}
		f = next
	}
	return f, nil
}

// resolve follows references; what stands beside one wins over what it leads to.
func (f field) resolve() node {
	n := *f.at
	for range 8 {
		name, ok := strings.CutPrefix(n.Ref, "#/$defs/")
		def := f.root.Defs[name]
		if !ok || def == nil {
			return n
		}
		d := *def
		if n.Description != "" {
			d.Description = n.Description
		}
		if n.Default != nil {
			d.Default = n.Default
		}
		n = d
	}
	return n
}

// fields returns the object that f is, or that each element of f is.
func (f field) fields() node {
	n := f.resolve()
	if n.Items != nil {
		return field{at: n.Items, root: f.root}.resolve()
	}
	return n
}

func (f field) child(name string) (field, bool) {
	n := f.fields()
	c, ok := n.Properties[name]
	return field{path: f.path + "." + name, at: c, root: f.root, required: slices.Contains(n.Required, name)}, ok
}

func (f field) children() []string { return slices.Sorted(maps.Keys(f.fields().Properties)) }

func (f field) print(w io.Writer) error {
	n := f.resolve()
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", f.path, f.kind())
	if n.Description != "" {
		fmt.Fprintf(&b, "    %s\n", n.Description)
	}
	if n.Default != nil {
		fmt.Fprintf(&b, "    Default: %v\n", n.Default)
	}
	if n.Pattern != "" {
		fmt.Fprintf(&b, "    Pattern: %s\n", n.Pattern)
	}
	if names := f.children(); len(names) > 0 {
		b.WriteString("\nFields:\n")
		for _, name := range names {
			c, _ := f.child(name)
			fmt.Fprintf(&b, "  %-16s %-22s %s\n", name, c.kind(), c.resolve().Description)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// kind says in a few words what goes into a field.
func (f field) kind() string {
	n := f.resolve()
	text := fmt.Sprint(n.Type)
	switch {
	case len(n.Enum) > 0:
		text = strings.ReplaceAll(strings.Trim(fmt.Sprint(n.Enum), "[]"), " ", "|")
	case n.Const != nil:
		text = fmt.Sprint(n.Const)
	case n.Type == nil:
		text = "value"
	case n.Items != nil:
		text = "list"
	}
	if f.required {
		text += ", required"
	}
	return text
}
