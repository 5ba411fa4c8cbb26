package main

import "github.com/spf13/cobra"

func showVerb(o *options) *cobra.Command {
	var form form
	cmd := &cobra.Command{
		Use:         "show FILE",
		Short:       "Print a saved plan",
		Long:        "show prints a plan that 'hostctl plan -out FILE' has saved. A file that was edited or cut off, or that another version\nhas made, is refused.",
		Example:     "  hostctl show v2.plan",
		Annotations: map[string]string{exitStatus: "0 printed, 1 it is no saved plan."},
		Args:        needs("the file of a saved plan"),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := readPlan(args[0])
			if err != nil {
				return err
			}
			return o.printPlan(p, form)
		},
	}
	form.flags(cmd)
	return cmd
}
