package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

func applyVerb(o *options) *cobra.Command {
	var (
		rev string
		yes bool
	)
	cmd := &cobra.Command{
		Use:   "apply [FILE]",
		Short: "Carry out a saved plan, or plan and carry out the repository's commit",
		Long: `apply carries out exactly the changes of a saved plan. Without one it plans the commit, shows the plan and asks.
Where hostd runs on the same state folder the plan is handed to it, so that only one program writes.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("apply"); err != nil {
				return err
			}
			p, encoded, err := o.planToApply(cmd.Context(), args, rev)
			if err != nil {
				return o.explain(err)
			}
			if err := o.printPlan(p, false); err != nil || p.Empty() {
				return err
			}
			if ok, err := confirmed(cmd, yes); err != nil || !ok {
				return err
			}
			return o.apply(cmd.Context(), p, encoded)
		},
	}
	cmd.Flags().StringVar(&rev, "rev", "", "apply this revision instead of the checked-out commit")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

func (o *options) planToApply(ctx context.Context, args []string, rev string) (planner.Plan, []byte, error) {
	if len(args) == 1 {
		return readPlan(args[0])
	}
	p, err := o.plan(ctx, rev)
	if err != nil {
		return p, nil, err
	}
	if p.Commit == "" {
		return p, nil, errors.New("the files differ from the checked-out commit; commit and push them, or name a commit with --rev")
	}
	encoded, err := planner.EncodePlan(p)
	return p, encoded, err
}

func confirmed(cmd *cobra.Command, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	cmd.Print("Apply these changes? [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && answer == "" {
		return false, errors.New("nobody answered; to apply without being asked: 'hostctl apply -yes'")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return false, errors.New("nothing was applied")
	}
	return true, nil
}

// apply hands the plan to a hostd that runs on the same state, and else carries it out itself.
func (o *options) apply(ctx context.Context, p planner.Plan, encoded []byte) error {
	show := newProgress(o.out, len(p.Changes))
	if hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName)); err == nil {
		if err := hostd.Apply(ctx, encoded, show.event); err != nil {
			return err
		}
		return show.outcome()
	}
	platform, err := o.platform(ctx)
	if err != nil {
		return err
	}
	err = platform.Apply(ctx, p, func(e executors.Event) { show.event(reconciler.ChangeEventOf(p, e)) })
	if err = errors.Join(err, platform.Close()); err != nil {
		return fmt.Errorf("%w\nwhat was done is recorded; 'hostctl apply' goes on from there", err)
	}
	show.applied()
	return nil
}
