package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/reconciler/web"
)

func applyVerb(o *options) *cobra.Command {
	var (
		rev, why    string
		yes, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "apply [FILE]",
		Short: "Carry out a saved plan, or plan and carry out the repository's commit",
		Long: `apply carries out exactly the changes of a saved plan, or refuses: where the inventory has moved on since it was made,
plan again. Without a file it plans the commit, shows the plan and asks.

Where hostd runs on the same state folder the plan is handed to it, so that only one program writes. A run that was cut
off or failed is recorded; applying again goes on from there.

A commit that lacks signatures or approvals which the Platform asks for is refused. Where keys are lost, --break-glass
applies it all the same; the reason stands in the journal, and in 'hostctl history'.`,
		Example: `  hostctl apply -C hosting --state DIR               plan, show, ask, apply
  hostctl apply -C hosting --state DIR -yes v2.plan  carry out a saved plan without asking`,
		Annotations: map[string]string{exitStatus: "0 all of it was done, 1 not all of it, or nothing."},
		Args:        atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.state == "":
				return o.needState("apply")
			case asJSON && !yes:
				return errors.New("with -json nobody is asked: say -yes, too")
			}
			if cmd.Flags().Changed("break-glass") {
				if err := reconciler.CheckReason(why); err != nil {
					return err
				}
			}
			p, err := o.planToApply(cmd.Context(), args, rev)
			if err != nil {
				return o.explain(err)
			}
			show := newProgress(o.out, asJSON)
			if err := o.present(show, p); err != nil || p.Empty() {
				return err
			}
			if err := asked(cmd, yes, "Apply these changes? [y/N] "); err != nil {
				return err
			}
			return o.apply(cmd.Context(), show, p, why)
		},
	}
	cmd.Flags().StringVar(&rev, "rev", "", "apply this `revision` instead of the checked-out commit")
	o.destroyFlag(cmd)
	cmd.Flags().StringVar(&why, "break-glass", "", "apply a commit that lacks signatures or approvals; the `reason` is recorded")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print events as JSON, one a line: planned, each change, applied or failed")
	return cmd
}

func (o *options) planToApply(ctx context.Context, args []string, rev string) (planner.Plan, error) {
	switch {
	case len(args) == 1 && rev != "":
		return planner.Plan{}, errors.New("a saved plan is of one commit already: leave --rev out, or the file")
	case len(args) == 1:
		return readPlan(args[0])
	}
	return o.plan(ctx, rev)
}

// present shows what is about to be applied, and refuses what can't be.
func (o *options) present(show *progress, p planner.Plan) error {
	why := obstacles(p)
	if show.json == nil {
		if err := o.printPlan(p, form{}); err != nil || p.Empty() || len(why) == 0 {
			return err
		}
		return errors.New("nothing was applied")
	}
	if len(why) > 0 && !p.Empty() {
		return fmt.Errorf("nothing was applied: %s", strings.Join(why, " "))
	}
	var text strings.Builder
	if err := p.Text(&text, false); err != nil {
		return err
	}
	show.event(reconciler.Event{Time: time.Now().UTC(), Commit: p.Commit, Kind: reconciler.EventPlanned, Text: text.String()})
	return nil
}

// asked returns nil where the person says yes to the question, or has said so. Whoever interrupts it has said no.
func asked(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	cmd.PrintErr(question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case <-cmd.Context().Done():
		cmd.PrintErrln()
		return errors.New("interrupted; nothing was applied")
	case answer := <-read:
		if answer.err != nil && answer.text == "" {
			cmd.PrintErrln()
			return errors.New("nobody answered, and nothing was applied; to apply without being asked: 'hostctl apply -yes'")
		}
		if a := strings.ToLower(strings.TrimSpace(answer.text)); a != "y" && a != "yes" {
			return errors.New("nothing was applied")
		}
		return nil
	}
}

// apply hands the plan to a hostd that runs on the same state, and else carries it out itself. With a reason why it asks for
// no signatures.
func (o *options) apply(ctx context.Context, show *progress, p planner.Plan, why string) error {
	defer show.close()
	if hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName)); err == nil {
		encoded, err := planner.EncodePlan(p)
		if err != nil {
			return err
		}
		handOver := hostd.Apply
		if why != "" {
			handOver = func(ctx context.Context, plan []byte, fn func(reconciler.Event)) error {
				return hostd.BreakGlass(ctx, plan, why, fn)
			}
		}
		switch err := handOver(ctx, encoded, show.event); {
		case ctx.Err() != nil:
			return errors.New("interrupted; hostd goes on with what it was given, and 'hostctl status' tells how that ends")
		case err != nil:
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
	told := context.AfterFunc(ctx, func() {
		show.event(reconciler.Event{Commit: p.Commit, Kind: reconciler.EventWaiting,
			Text: "Interrupted: what runs is finished, and nothing more is started. A second interrupt stops at once."})
	})
	defer told()
	tell := func(e executors.Event) { show.event(reconciler.ChangeEventOf(p, e)) }
	if why != "" {
		err = platform.BreakGlass(ctx, p, why, tell)
	} else {
		err = platform.Apply(ctx, p, tell)
	}
	return show.ended(p, errors.Join(err, platform.Close()))
}
