package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hostctl/schema"
)

func validateVerb(o *options) *cobra.Command {
	var rev string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the config repository, without asking anything else",
		Long:  "validate reads every file, checks every resource and every reference, and prints all problems at once. It needs no inventory and no network.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := o.tree(cmd.Context(), rev)
			if err != nil {
				return err
			}
			m, err := schema.Load(source.tree, nil)
			if err != nil {
				return o.explain(err)
			}
			o.warn(m.Warnings)
			_, err = fmt.Fprintf(o.out, "%s is valid: %d tenants, %d webroots, %d host names, %d zones, %d records.\n",
				source.name, len(m.Tenants), len(m.Webroots), len(m.FQDNs), len(m.Zones), len(m.Records))
			return err
		},
	}
	cmd.Flags().StringVar(&rev, "rev", "", "check this revision instead of the files of the folder")
	return cmd
}

// warn prints what is allowed and probably not meant.
func (o *options) warn(ws []schema.Warning) {
	for _, w := range ws {
		fmt.Fprintf(o.err, "warning: %s:%d:%d: %s\n", w.Position.File, w.Position.Line, w.Position.Column, w.Text)
	}
}

// explain prints the problems of a repository, one a line as compilers do, and returns what is left to say.
func (o *options) explain(err error) error {
	problems, ok := err.(schema.Errors)
	if !ok {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(o.err, p)
	}
	return fmt.Errorf("%d %s; nothing was changed", len(problems), plural(len(problems), "problem", "problems"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
