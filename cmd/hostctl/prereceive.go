package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/cmd/internal/wire"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/schema"
)

// preReceiveVerb is the hook that may still say no: it reads what is pushed while git holds it apart, prints the plan, and
// refuses what can't be planned. It takes no lock and writes nothing.
func preReceiveVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "pre-receive",
		Short: "Check and plan what is pushed, before git takes it",
		Args:  noOperands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := git.HookSettings(".")
			if err != nil {
				return err
			}
			o.dir, o.state, o.branch = ".", settings.State, settings.Branch
			asked, err := readPushOptions()
			if err != nil {
				return err
			}
			o.colour = asked.colour
			moves, err := readMoves(cmd.InOrStdin())
			if err != nil {
				return err
			}
			for _, m := range moves {
				if err := o.preReceive(cmd.Context(), m, tagsOf(moves)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// move is a branch or tag that a push wants to move. An id of zeros says that it wasn't there, or is to go.
type move struct{ from, to, ref string }

// readMoves reads what git tells its hooks: lines of "old new ref" (githooks(5)).
func readMoves(r io.Reader) ([]move, error) {
	var moves []move
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 3 {
			moves = append(moves, move{f[0], f[1], f[2]})
		}
	}
	return moves, lines.Err()
}

// tagsOf returns what the tags of a push point at, by reference.
func tagsOf(moves []move) map[string]string {
	tags := map[string]string{}
	for _, m := range moves {
		if strings.HasPrefix(m.ref, "refs/tags/") && !zeros(m.to) {
			tags[m.ref] = m.to
		}
	}
	return tags
}

func zeros(id string) bool { return strings.Trim(id, "0") == "" }

// preReceive judges one move. On the branch that is made true what is wrong refuses the push; elsewhere it is told, for
// the push changes nothing but the repository. tags come with the push.
func (o *options) preReceive(ctx context.Context, m move, tags map[string]string) error {
	branch, isBranch := strings.CutPrefix(m.ref, "refs/heads/")
	live := branch == o.branch
	switch {
	case zeros(m.to) && !live:
		return nil
	case zeros(m.to):
		return fmt.Errorf("%s is what the platform is made from; it can't be deleted", o.branch)
	}
	incoming, err := quarantine()
	if err != nil {
		return err
	}
	source, err := git.OpenQuarantine(".", o.branch, incoming)
	if err != nil {
		return err
	}
	if err := o.leaks(ctx, source, m.to); err != nil || !isBranch {
		return err
	}
	if live {
		if err := fastForward(ctx, source, m); err != nil {
			return err
		}
		if err := o.signed(ctx, source.WithTags(tags), m); err != nil {
			return err
		}
	}
	p, err := o.planIncoming(ctx, source, reconciler.Ask{Commit: m.to, Incoming: incoming, Proposed: !live})
	if err == nil {
		err = brought(ctx, source, m.from, m.to, p)
	}
	if err == nil {
		if !live {
			fmt.Fprintf(o.out, "Preview of %s; only %s is applied.\n", branch, o.branch)
		}
		return o.printPlan(p, form{})
	}
	err = o.explain(err)
	if live {
		return fmt.Errorf("%w\nRefused: nothing was changed, and %s has not moved. Mend it, 'git commit --amend', push again", err, o.branch)
	}
	fmt.Fprintf(o.out, "Preview of %s: %s. Pushed to %s it would be refused.\n", branch, err, o.branch)
	return nil
}

// leaks refuses a push of which any commit has a secret in clear, also one that a later commit takes out again, and
// whatever is pushed: who can read the repository can read it.
func (o *options) leaks(ctx context.Context, source *git.Source, to string) error {
	found := 0
	err := source.EachPushed(ctx, to, func(f git.File) error {
		for _, e := range schema.Leaks(f.Path, f.Data) {
			found++
			fmt.Fprintf(o.err, "commit %.12s: %v\n", f.Commit, e)
		}
		return nil
	})
	if err != nil || found == 0 {
		return err
	}
	return fmt.Errorf("%s in clear\nRefused: what is pushed stays readable in the history. Take it out of those commits ('git rebase -i', or 'git commit --amend' if it is the last one), push again",
		count(found, "secret", "secrets"))
}

// signed refuses commits that lack a signature or an approval which the branch as it is asks for, and keys that nobody could
// read after.
func (o *options) signed(ctx context.Context, source *git.Source, m move) error {
	before := m.from
	if zeros(before) {
		before = ""
	}
	lacking, err := source.Lacking(ctx, before, m.to)
	if err != nil || len(lacking) == 0 {
		return err
	}
	for _, l := range lacking {
		fmt.Fprintln(o.err, l)
	}
	e := &reconciler.UnauthorisedError{Base: m.from, Commit: m.to, Lacking: lacking}
	return fmt.Errorf("%s\nRefused: nothing was changed, and %s has not moved. %s, push again", e.Missing(), o.branch, e.WayOut())
}

// fastForward refuses a push that takes away commits which may have been applied.
func fastForward(ctx context.Context, source *git.Source, m move) error {
	if zeros(m.from) {
		return nil
	}
	relation, err := source.Relation(ctx, m.from, m.to)
	if err != nil {
		return err
	}
	if relation != reconciler.Ahead && relation != reconciler.Same {
		return fmt.Errorf("this push rewrites the history of %s, which the platform is made from; 'git pull --rebase' and push again, or 'git revert' what is to be undone",
			strings.TrimPrefix(m.ref, "refs/heads/"))
	}
	return nil
}

// quarantine returns the folder in which git holds what is pushed, "" where pre-receive is run by hand.
func quarantine() (string, error) {
	dir := os.Getenv("GIT_OBJECT_DIRECTORY")
	if dir == "" {
		return "", nil
	}
	return filepath.Abs(dir)
}

// planIncoming plans a commit that the repository hasn't taken yet.
func (o *options) planIncoming(ctx context.Context, source *git.Source, q reconciler.Ask) (planner.Plan, error) {
	if a, ok := o.asked(ctx, q); ok {
		return a.Read()
	}
	c := wire.Config{State: o.state, Database: o.database, Agent: o.agent, Repo: ".", Branch: o.branch, Program: "hostctl", Log: slog.New(&warnings{w: o.err})}
	removeScratch, err := o.withoutMaking(&c)
	if err != nil {
		return planner.Plan{}, err
	}
	defer removeScratch()
	platform, err := wire.Open(ctx, c)
	if err != nil {
		return planner.Plan{}, err
	}
	platform.Source = source
	plan := platform.Plan
	if q.Proposed {
		plan = platform.PlanProposed
	}
	p, err := plan(ctx, q.Commit)
	return p, errors.Join(err, platform.Close())
}

// withoutMaking lets what the state folder lacks, an inventory or a CA, be made in a folder that is removed afterwards: a
// push that is only judged makes neither.
func (o *options) withoutMaking(c *wire.Config) (remove func(), err error) {
	inventory := c.InventoryFile()
	if !isMissing(inventory) && !isMissing(o.caFolder()) {
		return func() {}, nil
	}
	scratch, err := os.MkdirTemp("", "hostctl-pre-receive-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the time of the push: %w", err)
	}
	if inventory != "" && !isMissing(inventory) {
		c.Database = "sqlite:" + inventory
	}
	c.State = scratch
	return func() { _ = os.RemoveAll(scratch) }, nil
}
