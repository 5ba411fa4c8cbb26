package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// dsReport is what ds prints with -json.
type dsReport struct {
	Format int                     `json:"format"` // dsFormat; within one, keys are added only
	Zones  []reconciler.Delegation `json:"zones"`
}

// dsFormat is the version of what ds prints with -json.
const dsFormat = 1

func dsVerb(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ds [ZONE]",
		Short: "Show the DS records of signed zones, for the registrar",
		Long: `ds asks the name servers for the DS records of the zones that are signed, or of one. They are what the zone's parent
has to have, so that resolvers validate it: give them to the registrar once 'dnssec: true' was applied. A registrar
that looks for CDS records (RFC 8078) finds them by itself.`,
		Example: `  hostctl ds --state DIR
  hostctl ds --state DIR acme.test`,
		Annotations:       map[string]string{exitStatus: "0 told; 1 an error, or the zone isn't signed."},
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: o.live(signedZones),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("ds"); err != nil {
				return err
			}
			domain := ""
			if len(args) == 1 {
				var err error
				if domain, err = schema.ParseZoneDomain(args[0]); err != nil {
					return err
				}
			}
			platform, err := o.platform(cmd.Context(), o.dir) // which may hold the key of name servers that hostctl hasn't made
			if err != nil {
				if platform, err = o.platform(cmd.Context(), ""); err != nil {
					return err
				}
			}
			zones, err := platform.Delegations(cmd.Context(), domain)
			err = errors.Join(err, platform.Close(), o.printDS(zones, asJSON))
			if err == nil && domain != "" && len(zones) == 0 {
				return fmt.Errorf("no zone %s is signed; set dnssec: true in its Zone and apply that", domain)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (o *options) printDS(zones []reconciler.Delegation, asJSON bool) error {
	if asJSON {
		return writeJSON(o.out, dsReport{Format: dsFormat, Zones: append([]reconciler.Delegation{}, zones...)})
	}
	t := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	for _, z := range zones {
		for _, ds := range z.DS {
			fmt.Fprintf(t, "%s.\tIN DS %s\n", z.Zone, strings.ToUpper(ds))
		}
		if len(z.DS) == 0 {
			fmt.Fprintf(t, "%s.\t; it has no key: 'hostctl converge' makes it signed again\n", z.Zone)
		}
	}
	return t.Flush()
}

// signedZones are the domains of the zones that are signed.
func signedZones(live planner.Live, _ []reconciler.Run) map[string]string {
	names := map[string]string{}
	for _, obj := range live.State {
		if z, ok := obj.(planner.Zone); ok && z.Signed {
			names[z.Name] = ownerName(obj.Owner())
		}
	}
	return names
}
