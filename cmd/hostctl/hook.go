package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/reconciler/web"
)

// isHook reports whether a program's name is that of a hook: 'hostctl init' links hooks to hostctl.
func isHook(name string) bool { return name == "pre-receive" || name == "post-receive" }

// hookVerb is what git runs on the server side of a push (githooks(5)).
func hookVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "hook", Hidden: true, Short: "What git runs on the server side of a push"}
	cmd.AddCommand(preReceiveVerb(o), &cobra.Command{
		Use:   "post-receive",
		Short: "Follow the run of what was pushed, in the push's output",
		Args:  noOperands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := git.HookSettings(".")
			if err != nil {
				return err
			}
			moves, err := readMoves(cmd.InOrStdin())
			if err != nil {
				return err
			}
			commit := pushed(moves, settings.Branch)
			if commit == "" {
				return o.pushedApprovals(cmd.Context(), settings.State, moves)
			}
			asked, err := readPushOptions()
			if err != nil {
				return err
			}
			if asked.wait == 0 {
				_, err := fmt.Fprintln(o.out, "Taken; not followed, as asked for. 'hostctl status' tells what becomes of it.")
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), asked.wait)
			defer cancel()
			return o.followPush(ctx, settings.State, commit)
		},
	})
	return cmd
}

// pushed returns the commit that a push has put on the branch. "" means the branch wasn't pushed.
func pushed(moves []move, branch string) string {
	for _, m := range moves {
		if m.ref == "refs/heads/"+branch && !zeros(m.to) {
			return m.to
		}
	}
	return ""
}

// pushedApprovals has hostd look again at a commit that it may have refused for want of an approval.
func (o *options) pushedApprovals(ctx context.Context, state string, moves []move) error {
	if !slices.ContainsFunc(moves, func(m move) bool { return strings.HasPrefix(m.ref, git.ApprovalTags) }) {
		return nil
	}
	if hostd, err := web.Dial(ctx, filepath.Join(state, web.SocketName)); err == nil {
		return hostd.Wake(ctx)
	}
	return nil // it looks when it starts
}

// followPush prints the plan and the run of a commit. The push itself has succeeded already: what goes wrong is told,
// and nothing is undone by it.
func (o *options) followPush(ctx context.Context, state, commit string) error {
	hostd, err := web.Dial(ctx, filepath.Join(state, web.SocketName))
	if err != nil {
		_, err := fmt.Fprintf(o.out, "hostd isn't running: commit %.12s will be applied when it is.\n", commit)
		return err
	}
	show := newProgress(o.out, false)
	err = hostd.Follow(ctx, commit, func(e reconciler.Event) {
		if e.Kind != reconciler.EventPlanned { // pre-receive has shown the plan
			show.event(e)
		}
	})
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		show.print("Still going on; follow it with 'hostctl status'.\n")
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted; hostd goes on with what was pushed, and 'hostctl status' tells how that ends")
	case err != nil:
		return fmt.Errorf("%w; it goes on when hostd runs again", err)
	}
	show.pushEnded()
	return nil
}

// pushEnded tells what has become of a commit that was pushed. The client's git shows the words that its last lines begin
// with in colours where it has a terminal.
func (p *progress) pushEnded() {
	switch e := p.last; {
	case e.Kind == reconciler.EventRefused && len(e.Frozen) > 0:
		p.applied()
		p.print("%s\n\nerror: %s\n", e.Text, leftOut(e.Frozen))
	case e.Kind == reconciler.EventRefused:
		p.print("%s\n\nerror: Refused: nothing was changed. Mend it and push again.\n", e.Text)
	case e.Kind == reconciler.EventApplied && p.done == 0:
		p.print("success: Applied; nothing had to be changed.\n")
	case e.Kind == reconciler.EventApplied:
		p.print("success: ")
		p.applied()
	case e.Kind == reconciler.EventFailed:
		p.print("error: %s\n%s\n", e.Text, failedWayOut)
	default:
		p.print("%s\n", e.Text)
	}
}

const failedWayOut = "hint: hostd tries again by itself, and 'hostctl status' tells how that ends. If the commit is at fault: mend it, or 'git revert' it, and push"
