package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

func planVerb(o *options) *cobra.Command {
	var (
		rev, file string
		part      []string
		form      form
		proposed  = proposal{options: o}
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what applying the repository would change",
		Long: `plan compares the repository with the live inventory and prints the changes; it changes nothing. It reads the files of
the folder as they are, committed or not, and of a bare repository the commit of the branch. Without --state it compares
with an empty inventory: everything is to be created, and no Docker is needed.

With --head, and --base, it plans what merging one revision into another comes to, as 'hostctl preview' does.

A plan can be applied if it was made against an inventory, of files that are exactly those of a commit. Where hostd runs
on the same state folder it plans such a commit, for it has read nearly all of it before; it comes to the same.`,
		Example: `  hostctl plan -C hosting                                        of the files of a folder, from nothing
  hostctl plan -C hosting --state DIR                            against what is live
  hostctl plan -C hosting.git --state DIR --rev v2 -out v2.plan  of a revision, saved for 'hostctl apply v2.plan'
  hostctl plan --base origin/main --head topic -markdown         what merging topic would change, in any clone`,
		Annotations:       map[string]string{exitStatus: "0 no changes, 2 changes, 1 an error."},
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if proposed.head != "" {
				proposed.markdown = form.markdown
				return proposed.show(cmd.Context())
			}
			if f := first(cmd, "base", "report", "annotations", "changes-ok"); f != "" {
				return fmt.Errorf("--%s is of a proposal: name its revision with --head", f)
			}
			if len(part) > 0 && file != "" {
				return errors.New("a part of a plan can't be saved: applied, it would leave the commit half true; leave --out out, or --target")
			}
			p, err := o.plan(cmd.Context(), rev)
			if err != nil {
				return o.explain(err)
			}
			if len(part) > 0 && !p.Empty() {
				if p, err = p.Part(part); err != nil {
					return err
				}
			}
			if file != "" {
				if err := savePlan(file, p); err != nil {
					return err
				}
			}
			if err := o.printPlan(p, form); err != nil {
				return err
			}
			if err := mistakes(p); err != nil {
				return err
			}
			if !p.Empty() {
				return exitCode(exitChanges)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&rev, "rev", "", "plan this `revision` instead of the files of the folder")
	f.StringVar(&file, "out", "", "save the plan to a `file`, for 'hostctl apply FILE'")
	form.flags(cmd)
	f.StringArrayVar(&part, "target", nil, "show only what concerns this `ref`, tenant, node or shard, with what comes before and after")
	_ = cmd.RegisterFlagCompletionFunc("target", o.live(groupNames)) // it fails for a flag that there isn't
	o.destroyFlag(cmd)
	f.StringVar(&proposed.head, "head", "", "plan what merging this `revision` into --base comes to")
	proposed.flags(cmd)
	for _, other := range []string{"rev", "out", "json", "target", "allow-destroy"} {
		cmd.MarkFlagsMutuallyExclusive("head", other)
	}
	return cmd
}

// first returns the first of some flags that was given, "" for none.
func first(cmd *cobra.Command, names ...string) string {
	for _, n := range names {
		if cmd.Flags().Changed(n) {
			return n
		}
	}
	return ""
}

// destroyFlag gives a verb the flag that a refused plan asks for.
func (o *options) destroyFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.destroy, "allow-destroy", nil,
		"let go what a guard refuses; the refusal says the `name`")
}

// plan plans the repository against the platform's inventory, or against an empty one.
func (o *options) plan(ctx context.Context, rev string) (planner.Plan, error) {
	for _, name := range o.destroy {
		if err := planner.CheckAllow(name); err != nil {
			return planner.Plan{}, fmt.Errorf("--allow-destroy: %w", err)
		}
	}
	s, err := o.tree(ctx, rev)
	if err != nil {
		return planner.Plan{}, err
	}
	if o.state == "" {
		m, err := schema.Load(s.tree, nil)
		if err != nil {
			return planner.Plan{}, err
		}
		m.Commit = s.commit
		o.warn(m.Warnings)
		return planner.New(m, planner.Live{}, planner.Policy{})
	}
	if a, ok := o.asked(ctx, reconciler.Ask{Commit: s.commit}); ok {
		return a.Read()
	}
	platform, err := o.platform(ctx, s.repository)
	if err != nil {
		return planner.Plan{}, err
	}
	platform.Policy.AllowDestroy = o.destroy
	p, err := platform.PlanTree(ctx, s.tree, s.commit)
	return p, errors.Join(err, platform.Close())
}
