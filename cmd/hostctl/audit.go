package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler/web/api"
)

func auditVerb(o *options) *cobra.Command {
	var (
		token  string
		since  time.Duration
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Tell who has read what through hostd's API, when, from where, and what became of it",
		Long: `audit prints the requests of hostd's API, the oldest first: audit.log of the state folder and the older files beside it.
Those without a right token are in it too, once a second at most, with the number of the others.`,
		Example: `  hostctl audit --state DIR -since 24h
  hostctl audit --state DIR -token acme-dashboard`,
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if err := o.needState("audit"); err != nil {
				return err
			}
			var from time.Time
			if since > 0 {
				from = time.Now().Add(-since)
			}
			t := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
			if !asJSON {
				fmt.Fprint(t, "TIME\tTOKEN\tFROM\tSTATUS\tREQUEST\n")
			}
			err := api.ReadAudit(o.state, func(e api.Entry) error {
				if e.Time.Before(from) || token != "" && e.Token != token {
					return nil
				}
				if asJSON {
					return json.NewEncoder(o.out).Encode(e)
				}
				_, err := fmt.Fprintln(t, auditLine(e))
				return err
			})
			if err != nil {
				return err
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringVar(&token, "token", "", "only the requests with the token of this `name`")
	cmd.Flags().DurationVar(&since, "since", 0, "only those of so long a `time`, such as 24h; 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON, one document a line")
	return cmd
}

func auditLine(e api.Entry) string {
	request := e.Method + " " + e.Path
	if e.Query != "" {
		request += "?" + e.Query
	}
	if e.Unlogged > 0 {
		request += fmt.Sprintf(" (and %d more like it before)", e.Unlogged)
	}
	token := e.Token
	if token == "" {
		token = "-"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s", e.Time.UTC().Format(time.RFC3339), planner.Printable(token), planner.Printable(e.From), e.Status, planner.Printable(request))
}
