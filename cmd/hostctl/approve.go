package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
)

func approveVerb(o *options) *cobra.Command {
	var (
		base, key string
		yes       bool
	)
	cmd := &cobra.Command{
		Use:   "approve REV",
		Short: "Approve a commit, as the Platform may ask for",
		Long: `approve signs a tag, approve/COMMIT/YOU, with the key that git signs your commits with (user.signingKey), and pushes it
to origin. It approves the commit and, with it, those that lead to it from the branch that is made true: they are
listed, and you are asked. Look at them before: 'hostctl preview' tells what they do.

An approval is of one commit. Amended or rebased it is another commit, and wants another approval. Who signed a commit
can't approve it.`,
		Example: `  hostctl approve -C hosting origin/new-host
  hostctl approve -C hosting -yes 3f1c9be20d17`,
		Annotations:       map[string]string{exitStatus: "0 approved, 1 not."},
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              needs("a revision"),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := git.Open(o.dir, o.branch)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			from, to, err := o.toApprove(ctx, repo, base, args[0])
			if err != nil {
				return err
			}
			if err := o.listApproved(ctx, repo, from, to); err != nil {
				return err
			}
			if err := asked(cmd, yes, "Approve? [y/N] "); err != nil {
				return err
			}
			return o.approve(ctx, repo, from, to, key)
		},
	}
	cmd.Flags().StringVar(&base, "base", "", "the `revision` that is true already; without it origin's branch, or the branch")
	cmd.Flags().StringVarP(&key, "key", "u", "", "sign with this `key` instead of git's user.signingKey")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

// toApprove returns the commit that revision rev names, and the one that is true already.
func (o *options) toApprove(ctx context.Context, repo *git.Source, base, rev string) (from, to string, err error) {
	if to, err = repo.Resolve(ctx, rev); err != nil {
		return "", "", err
	}
	if base != "" {
		from, err = repo.Resolve(ctx, base)
		return from, to, err
	}
	for _, b := range []string{"refs/remotes/origin/" + o.branch, o.branch} {
		if from, err = repo.Resolve(ctx, b); err == nil {
			return from, to, nil
		}
	}
	return "", "", fmt.Errorf("%w; name with --base what is true already", err)
}

func (o *options) listApproved(ctx context.Context, repo *git.Source, from, to string) error {
	infos, err := repo.Between(ctx, from, to)
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		return fmt.Errorf("commit %.12s is part of %.12s already; there is nothing to approve", to, from)
	}
	for _, i := range infos {
		fmt.Fprintf(o.out, "  %.12s %q of %q\n", i.Commit, i.Subject, i.Author)
	}
	return nil
}

// approve makes the tag, tells whether anything is lacking now, and pushes it where there is an origin.
func (o *options) approve(ctx context.Context, repo *git.Source, from, to, key string) error {
	email, err := repo.Email(ctx)
	if err != nil {
		return err
	}
	who, err := refName(cmp.Or(os.Getenv("GIT_COMMITTER_EMAIL"), email))
	if err != nil {
		return err
	}
	tag := "approve/" + to + "/" + who
	args := []string{"tag", "--sign"}
	if key != "" {
		args = []string{"tag", "--local-user", key}
	}
	if err := o.runGit(ctx, append(args, "--message", "Approved: commit "+to, tag, to)...); err != nil {
		return fmt.Errorf("%w; git signs with the key that user.signingKey names, see docs/signing.md", err)
	}
	lacking, err := repo.Lacking(ctx, from, to)
	if err != nil {
		return err
	}
	if len(lacking) > 0 {
		e := &reconciler.UnauthorisedError{Base: from, Commit: to, Lacking: lacking}
		for _, l := range lacking {
			fmt.Fprintln(o.err, l)
			if l.Approval && strings.Contains(l.Why, tag+" doesn't count") {
				return errors.Join(fmt.Errorf("your approval doesn't count, and wasn't pushed: %s", l.Why), o.runGit(ctx, "tag", "--delete", tag))
			}
		}
		fmt.Fprintf(o.out, "Still lacking: %s.\n", e.Missing())
	}
	if o.runGit(ctx, "config", "--get", "remote.origin.url") != nil {
		_, err := fmt.Fprintf(o.out, "Approved commit %.12s. Push it: git push REPO refs/tags/%s\n", to, tag)
		return err
	}
	if err := o.runGit(ctx, "push", "--quiet", "origin", "refs/tags/"+tag); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "Approved commit %.12s.\n", to)
	return err
}

// refName is a mail address as far as it may stand in the name of a reference (git-check-ref-format(1)). It tells people
// apart, and proves nothing.
func refName(email string) (string, error) {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@-_.", r) {
			return r
		}
		return '-'
	}, email)
	name = strings.Trim(strings.ReplaceAll(name, "..", "-"), ".")
	if name == "" || name == "@" || strings.HasSuffix(name, ".lock") {
		return "", errors.New("git doesn't know who you are; tell it: 'git config user.email YOU@…'")
	}
	return name, nil
}
