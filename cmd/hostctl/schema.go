package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/schema"
)

func schemaVerb(o *options) *cobra.Command {
	kinds := strings.Join(kindNames(), ", ")
	return &cobra.Command{
		Use:               "schema KIND",
		Short:             "Print the JSON Schema of a kind, for editors",
		Long:              "schema prints the JSON Schema (draft 2020-12) of one kind of resource.\n\nKinds: " + kinds,
		Example:           "  hostctl schema webroot > webroot.schema.json",
		Args:              needs("a kind: " + kinds),
		ValidArgsFunction: cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			text, ok := schema.JSONSchema(kindOf(args[0]))
			if !ok {
				return fmt.Errorf("no kind %q; there are %s", args[0], kinds)
			}
			_, err := o.out.Write(text)
			return err
		},
	}
}

// kindOf finds a kind by its name in any case; what is no kind is returned as it is.
func kindOf(name string) schema.Kind {
	for _, k := range schema.Kinds() {
		if strings.EqualFold(string(k), name) {
			return k
		}
	}
	return schema.Kind(name)
}

func kindNames() []string {
	var names []string
	for _, k := range schema.Kinds() {
		names = append(names, string(k))
	}
	return names
}
