package main

import (
	"github.com/spf13/cobra"
)

func previewVerb(o *options) *cobra.Command {
	p := proposal{options: o}
	cmd := &cobra.Command{
		Use:   "preview REV",
		Short: "Show what a branch would change, as its pull request is told",
		Long: `preview plans what merging a revision into the branch comes to, twice: against that branch, which is what the change
itself does, and against what is live, which is what applying it now would do. Where the two are the same it is said
once. Without --state only the first is known; it takes the two commits and nothing else, so it works in any clone.
'hostctl plan --base REV --head REV' is the same.`,
		Example: `  hostctl preview -C hosting --state DIR topic
  hostctl preview -C hosting --state DIR topic -markdown`,
		Annotations:       map[string]string{exitStatus: "0 no changes, 2 changes, 1 an error."},
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              needs("a revision"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.head = args[0]
			return p.show(cmd.Context())
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&p.markdown, "markdown", false, "print Markdown, for a comment in a forge")
	return cmd
}
