package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
)

func previewVerb(o *options) *cobra.Command {
	var (
		base     string
		markdown bool
	)
	cmd := &cobra.Command{
		Use:   "preview REV",
		Short: "Show what a branch would change, as its pull request is told",
		Long: `preview plans a revision twice: against the commit that it started from, which is what the change itself does, and
against what is live, which is what applying it now would do. Where the two are the same it is said once.`,
		Example: `  hostctl preview -C hosting --state DIR topic
  hostctl preview -C hosting --state DIR topic -markdown`,
		Annotations:       map[string]string{exitStatus: "0 no changes, 2 changes, 1 an error."},
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              needs("a revision"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("preview"); err != nil {
				return err
			}
			ctx := cmd.Context()
			repo, err := git.Open(o.dir, o.branch)
			if err != nil {
				return err
			}
			head, err := repo.Resolve(ctx, args[0])
			if err != nil {
				return err
			}
			from, err := repo.MergeBase(ctx, firstOf(base, o.branch), head)
			if err != nil {
				return err
			}
			v, err := o.preview(ctx, from, head)
			if err != nil {
				return o.explain(err)
			}
			if markdown {
				err = v.Markdown(o.out, planner.MarkdownLimit)
			} else {
				err = v.Text(o.out, colours(o.out))
			}
			if err == nil && !v.Change.Empty() {
				return exitCode(exitChanges)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&base, "base", "", "the `revision` that it is compared with; without it the branch that is made true")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print Markdown, for a comment in a forge")
	return cmd
}

func (o *options) preview(ctx context.Context, from, head string) (reconciler.Preview, error) {
	q := reconciler.Ask{Commit: head, Base: from}
	if a, ok := o.asked(ctx, q); ok {
		return a.ReadPreview(q)
	}
	platform, err := o.platform(ctx, o.dir)
	if err != nil {
		return reconciler.Preview{}, err
	}
	v, err := platform.Preview(ctx, from, head)
	return v, errors.Join(err, platform.Close())
}
