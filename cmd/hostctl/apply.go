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
	"hostctl/reconciler/git"
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
		Long: `apply carries out exactly the changes of a saved plan, or refuses: where the inventory has moved on since it was made,
plan again. Without a file it plans the commit, shows the plan and asks.

Where hostd runs on the same state folder the plan is handed to it, so that only one program writes. A run that was cut
off or failed is recorded; applying again goes on from there.`,
		Example: `  hostctl apply -C hosting --state DIR               plan, show, ask, apply
  hostctl apply -C hosting --state DIR -yes v2.plan  carry out a saved plan without asking`,
		Annotations: map[string]string{exitStatus: "0 all of it was done, 1 not all of it, or nothing."},
		Args:        atMostOne,
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
			if len(obstacles(p)) > 0 {
				return errors.New("nothing was applied")
			}
			if err := confirmed(cmd, yes); err != nil {
				return err
			}
			return o.apply(cmd.Context(), p, encoded)
		},
	}
	cmd.Flags().StringVar(&rev, "rev", "", "apply this `revision` instead of the checked-out commit")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

func (o *options) planToApply(ctx context.Context, args []string, rev string) (planner.Plan, []byte, error) {
	switch {
	case len(args) == 1 && rev != "":
		return planner.Plan{}, nil, errors.New("a saved plan is of one commit already: leave --rev out, or the file")
	case len(args) == 1:
		return readPlan(args[0])
	}
	p, err := o.plan(ctx, rev)
	if err != nil {
		return p, nil, err
	}
	encoded, err := planner.EncodePlan(p)
	return p, encoded, err
}

// confirmed returns nil where the person says yes, or has said so.
func confirmed(cmd *cobra.Command, yes bool) error {
	if yes {
		return nil
	}
	cmd.PrintErr("Apply these changes? [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && answer == "" {
		cmd.PrintErrln()
		return errors.New("nobody answered, and nothing was applied; to apply without being asked: 'hostctl apply -yes'")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was applied")
	}
	return nil
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
	platform, err := o.platform(ctx, o.dir)
	if errors.Is(err, git.ErrNoRepository) {
		return fmt.Errorf("%s is not the repository that the plan's commit is in; name it with -C", o.dir)
	}
	if err != nil {
		return err
	}
	err = platform.Apply(ctx, p, func(e executors.Event) { show.event(reconciler.ChangeEventOf(p, e)) })
	return o.ended(show, errors.Join(err, platform.Close()))
}

// ended tells how a run of our own has ended.
func (o *options) ended(show *progress, err error) error {
	var unfinished *executors.RunError
	if errors.As(err, &unfinished) {
		return fmt.Errorf("%w\nwhat was done is recorded; 'hostctl apply' goes on from there", err)
	}
	if err != nil {
		return err
	}
	show.applied()
	return nil
}
