package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"hostctl/reconciler/git"
)

func hooksVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "hooks", Short: "Install the hooks of a bare repository", Args: noOperands,
		Long: `hooks is about what git runs on the server side of a push: pre-receive checks and plans what is pushed, and may
refuse it; post-receive follows the run in the push's output. Both are hostctl itself, called by another name.`}
	chained := false
	install := &cobra.Command{
		Use:   "install DIR",
		Short: "Let a bare repository that is there check and show its pushes",
		Long: `install makes the hooks pre-receive and post-receive of a bare repository links to this program, and tells them the state
folder and the branch. A hook that is something else already is an error, and nothing is changed then. To keep it, have it
run 'hostctl hook pre-receive' ('hook post-receive') in the same folder and environment, with the standard input that it was
given itself, and fail where that fails; then install with --chained. Run it again after hostctl has moved.`,
		Example:     `  hostctl hooks install --state /var/lib/hostctl /srv/hosting.git`,
		Annotations: map[string]string{exitStatus: "0 installed, 1 not."},
		Args:        needs("the bare repository"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.needState("hooks install"); err != nil {
				return err
			}
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if _, err := git.Open(dir, o.branch); err != nil {
				return err
			}
			return o.initServer(dir, chained)
		},
	}
	install.Flags().BoolVar(&chained, "chained", false, "leave the hooks alone that are there: they run hostctl themselves")
	cmd.AddCommand(install)
	return cmd
}
