package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"hostctl/cmd/internal/wire"
	"hostctl/planner"
	"hostctl/schema"
)

func planVerb(o *options) *cobra.Command {
	var (
		rev, file string
		asJSON    bool
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what applying the repository would change",
		Long: `plan compares the repository with the live inventory and prints the changes. Without --state it compares with an
empty inventory: everything is to be created, and no Docker is needed.

Exit status: 0 no changes, 2 changes, 1 an error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.plan(cmd.Context(), rev)
			if err != nil {
				return o.explain(err)
			}
			if file != "" {
				if err := savePlan(file, p); err != nil {
					return err
				}
			}
			if err := o.printPlan(p, asJSON); err != nil {
				return err
			}
			if !p.Empty() {
				return exitCode(exitChanges)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&rev, "rev", "", "plan this revision instead of the files of the folder")
	f.StringVar(&file, "out", "", "save the plan to a file, for 'hostctl apply FILE'")
	f.BoolVar(&asJSON, "json", false, "print the plan as JSON")
	return cmd
}

// plan plans the repository against the platform's inventory, or against an empty one.
func (o *options) plan(ctx context.Context, rev string) (planner.Plan, error) {
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
	platform, err := o.platform(ctx)
	if err != nil {
		return planner.Plan{}, err
	}
	p, err := platform.PlanTree(ctx, s.tree, s.commit)
	return p, errors.Join(err, platform.Close())
}

// platform wires the reconciler that hostd would be.
func (o *options) platform(ctx context.Context) (*wire.Platform, error) {
	return wire.Open(ctx, wire.Config{
		State: o.state, Database: o.database, Agent: o.agent, Repo: o.dir, Branch: o.branch, Program: "hostctl",
		Log: slog.New(slog.NewTextHandler(o.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

func (o *options) printPlan(p planner.Plan, asJSON bool) error {
	if asJSON {
		b, err := p.JSON()
		if err != nil {
			return err
		}
		_, err = o.out.Write(append(b, '\n'))
		return err
	}
	if err := p.Text(o.out, colours(o.out)); err != nil {
		return err
	}
	if p.Commit == "" && !p.Empty() {
		_, err := fmt.Fprintln(o.out, "The files aren't those of a commit: commit them to make a plan that can be applied.")
		return err
	}
	return nil
}

// colours reports whether w is a terminal that may be written to in colours (https://no-color.org).
func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// savePlan writes a plan to a file of the owner's. A plan holds no secrets, but it names what tenants have.
func savePlan(file string, p planner.Plan) error {
	b, err := planner.EncodePlan(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	return nil
}

func readPlan(file string) (planner.Plan, []byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return planner.Plan{}, nil, fmt.Errorf("read the plan: %w", err)
	}
	p, err := planner.DecodePlan(b)
	if err != nil {
		return planner.Plan{}, nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, b, nil
}
