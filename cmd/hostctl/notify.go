package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"hostctl/reconciler/web"
)

func notifyVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "notify test",
		Short:             "Try how people are told what happens",
		Long:              `The Platform's notifications say who is told, and how; hostd tells them (docs/notifications.md).`,
		Example:           `  hostctl notify test --state DIR operators`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("notify has no verb %q; want test", args[0])
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "test NAME",
		Short: "Send a test message to one of those who are told what happens",
		Long: `test has hostd send a message to one of spec.notifications of the Platform, as the commit has it that was applied last,
and says what came of it.`,
		Example:           `  hostctl notify test --state DIR operators`,
		Args:              needs("the name of one of the Platform's notifications"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.notifyTest(cmd.Context(), args[0]) },
	})
	return cmd
}

func (o *options) notifyTest(ctx context.Context, name string) error {
	if err := o.needState("notify test"); err != nil {
		return err
	}
	hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName))
	if err != nil {
		return fmt.Errorf("%w; start it: it is what tells people", err)
	}
	if err := hostd.NotifyTest(ctx, name); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "%s was told.\n", name)
	return err
}
