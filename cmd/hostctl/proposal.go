package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
)

// proposal is a change that isn't on the branch yet, and how it is told: what 'hostctl preview REV' shows and, by the flags
// that CI has use for, 'hostctl plan --base REV --head REV'.
type proposal struct {
	*options
	base, head  string // revisions
	markdown    bool
	reports     []string // files that the Markdown is added to
	annotations annotations
	changesOK   bool
}

// flags gives a verb the flags of a proposal.
func (p *proposal) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.base, "base", "", "the `revision` that it is to be merged into; without it the branch that is made true, or origin's")
	f.StringArrayVar(&p.reports, "report", nil, "add the Markdown to a `file`, too")
	f.Var(&p.annotations, "annotations", "tell mistakes as a forge's CI takes them, too: github, or gitlab=`FILE` for a report of code quality")
	f.BoolVar(&p.changesOK, "changes-ok", false, "exit with 0 where there are changes")
}

// show plans a proposal and tells it.
func (p *proposal) show(ctx context.Context) error {
	v, err := p.plan(ctx)
	var mended *reconciler.BaseError
	if errors.As(err, &mended) && mended.Head == nil {
		text := fmt.Sprintf("The base, commit %.12s, can't be planned; this change mends that, and what it does besides isn't known:\n%s\n", mended.Base, mended.Err)
		return errors.Join(p.tell(text, planner.FencedText(text)), p.annotations.write(p.out, nil))
	}
	if annotating := p.annotations.write(p.out, err); annotating != nil {
		return errors.Join(err, annotating)
	}
	if err != nil {
		return p.refused(err)
	}
	var text, markdown strings.Builder
	if err := errors.Join(v.Text(&text, colours(p.out)), v.Markdown(&markdown, planner.MarkdownLimit)); err != nil {
		return err
	}
	if err := p.tell(text.String(), markdown.String()); err != nil {
		return err
	}
	if !v.Change.Empty() && !p.changesOK {
		return exitCode(exitChanges)
	}
	return nil
}

// tell prints what a proposal comes to, and adds it to the report.
func (p *proposal) tell(text, markdown string) error {
	if p.markdown {
		text = markdown
	}
	if _, err := fmt.Fprint(p.out, text); err != nil {
		return err
	}
	return p.addToReport(markdown)
}

// refused puts what is wrong into the report, and explains it.
func (p *proposal) refused(err error) error {
	report := p.addToReport("### This change can't be applied\n\n" + planner.FencedText(cut(err.Error(), planner.MarkdownLimit/2)))
	return errors.Join(p.explain(err), report)
}

func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "\n…"
}

func (p *proposal) addToReport(markdown string) error {
	for _, file := range p.reports {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		_, err = f.WriteString(markdown)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// plan plans what merging head into base comes to: against what is live, where the platform's state was named, and else
// against what base itself would make.
func (p *proposal) plan(ctx context.Context) (reconciler.Preview, error) {
	repo, err := git.Open(p.dir, p.branch)
	if err != nil {
		return reconciler.Preview{}, err
	}
	head, err := repo.Resolve(ctx, p.head)
	if err != nil {
		return reconciler.Preview{}, err
	}
	base, err := p.into(ctx, repo)
	if err != nil {
		return reconciler.Preview{}, errors.Join(err, repo.Shallow())
	}
	merged, err := repo.Merge(ctx, base, head)
	switch {
	case err != nil:
		return reconciler.Preview{}, errors.Join(err, repo.Shallow())
	case len(merged.Conflicts) > 0:
		return reconciler.Preview{}, fmt.Errorf("it is in conflict with %.12s in %s; rebase it, or merge that into it", base, strings.Join(merged.Conflicts, ", "))
	case p.state == "":
		return reconciler.Compare(ctx, repo, base, merged.Commit)
	}
	return p.preview(ctx, base, merged.Commit)
}

// into returns the commit that a proposal is to be merged into.
func (p *proposal) into(ctx context.Context, repo *git.Source) (string, error) {
	if p.base != "" {
		return repo.Resolve(ctx, p.base)
	}
	commit, err := repo.Resolve(ctx, p.branch)
	if err != nil {
		if remote, err := repo.Resolve(ctx, "refs/remotes/origin/"+p.branch); err == nil {
			return remote, nil
		}
	}
	return commit, err
}

// preview plans a commit against base and what is live. A hostd that runs does it, where it knows the commits.
func (o *options) preview(ctx context.Context, base, commit string) (reconciler.Preview, error) {
	q := reconciler.Ask{Commit: commit, Base: base, Proposed: true}
	if a, ok := o.asked(ctx, q); ok {
		return a.ReadPreview(q)
	}
	platform, err := o.platform(ctx, o.dir)
	if err != nil {
		return reconciler.Preview{}, err
	}
	v, err := platform.Propose(ctx, base, commit)
	return v, errors.Join(err, platform.Close())
}
