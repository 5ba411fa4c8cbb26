package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/schema"
)

func scaffoldVerb(o *options) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:       "scaffold KIND",
		Short:     "Print a document of a kind to start from",
		Long:      "scaffold prints a document with every field of a kind: the required ones to be filled in, the others as comments.",
		Example:   "  hostctl scaffold webroot -name shop > tenants/acme/shop.yaml",
		Args:      needs("a kind: " + strings.Join(kindNames(), ", ")),
		ValidArgs: kindNames(),
		RunE: func(_ *cobra.Command, args []string) error {
			kind := kindOf(args[0])
			root, err := kindSchema(kind)
			if err != nil {
				return err
			}
			return scaffold(o.out, kind, name, root)
		},
	}
	cmd.Flags().StringVar(&name, "name", "example", "metadata.`name` of the document")
	return cmd
}

func scaffold(w io.Writer, kind schema.Kind, name string, root *node) error {
	var b strings.Builder
	if root.Description != "" {
		fmt.Fprintf(&b, "# %s\n", root.Description)
	}
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\nspec:\n", schema.APIVersion, kind, name)
	spec, ok := field{path: string(kind), at: root, root: root}.child("spec")
	if !ok {
		return fmt.Errorf("%s has no spec", kind)
	}
	writeFields(&b, spec, "  ", "")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFields writes the fields of an object, the required ones first. Below a comment all is comment.
func writeFields(b *strings.Builder, f field, indent, comment string) {
	names := f.children()
	slices.SortStableFunc(names, func(a, c string) int {
		fa, _ := f.child(a)
		fc, _ := f.child(c)
		return boolOrder(fc.required) - boolOrder(fa.required)
	})
	for _, name := range names {
		c, _ := f.child(name)
		mark := comment
		if !c.required {
			mark = "# "
		}
		n := c.resolve()
		fmt.Fprintf(b, "%s%s%s:%s", mark, indent, name, sample(c))
		if n.Description != "" {
			fmt.Fprintf(b, "    # %s", n.Description)
		}
		b.WriteByte('\n')
		if n.Items == nil {
			writeFields(b, c, indent+"  ", mark)
		}
	}
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sample returns a value that shows the form of a field's, with the space before it.
func sample(f field) string {
	n := f.resolve()
	switch {
	case n.Default != nil:
		return fmt.Sprintf(" %v", n.Default)
	case len(n.Enum) > 0:
		return fmt.Sprintf(" %v", n.Enum[0])
	case n.Items != nil:
		return " []"
	case len(n.Properties) > 0:
		return ""
	}
	switch fmt.Sprint(n.Type) {
	case "integer", "number":
		return " 1"
	case "boolean":
		return " false"
	case "object":
		return " {}"
	}
	return ` ""`
}
