package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hostctl/schema"
)

func validateVerb(o *options) *cobra.Command {
	var rev string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the config repository, without asking anything else",
		Long: `validate reads every file, checks every resource and every reference, and prints all problems at once, each as
file:line:column, the resource, the field, what is wrong and the way out. It needs no inventory and no network.`,
		Example: `  hostctl validate -C hosting
  hostctl validate -C hosting.git --rev main`,
		Annotations:       map[string]string{exitStatus: "0 valid, 1 not."},
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := o.tree(cmd.Context(), rev)
			if err != nil {
				return err
			}
			m, err := schema.Load(source.tree, nil)
			if err != nil {
				return o.explain(err)
			}
			o.warn(append(m.Warnings, m.Expiring(time.Now())...))
			_, err = fmt.Fprintf(o.out, "%s is valid: %s, %s, %s, %s, %s.\n", source.name,
				count(len(m.Tenants), "tenant", "tenants"), count(len(m.Webroots), "webroot", "webroots"),
				count(len(m.FQDNs), "host name", "host names"), count(len(m.Zones), "zone", "zones"),
				count(len(m.Records), "record", "records"))
			return err
		},
	}
	cmd.Flags().StringVar(&rev, "rev", "", "check this `revision` instead of the files of the folder")
	return cmd
}
