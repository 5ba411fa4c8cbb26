package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hostctl/examples"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
)

func initVerb(o *options) *cobra.Command {
	var bare bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a config repository with its server side",
		Long: `init makes DIR.git, the bare repository that hostd watches, with hooks that show a push what becomes of it, and DIR, a
work tree with a small platform to start from. With --bare it makes DIR as the bare repository alone; on one that is
there it only mends the hooks, as after hostctl has moved.`,
		Example: `  hostctl init --state /var/lib/hostctl hosting
  hostctl init --state /var/lib/hostctl --bare /srv/hosting.git`,
		Annotations: map[string]string{exitStatus: "0 made, 1 not."},
		Args:        needs("the folder to make"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("init"); err != nil {
				return err
			}
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if bare {
				return o.initServer(dir, false)
			}
			return o.initPair(cmd, dir)
		},
	}
	cmd.Flags().BoolVar(&bare, "bare", false, "make the bare repository alone")
	return cmd
}

// initServer makes the bare repository. Doing it again mends the hooks; chained, those that are somebody else's call hostctl.
func (o *options) initServer(dir string, chained bool) error {
	state, err := filepath.Abs(o.state)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the hostctl program: %w", err)
	}
	done, err := o.makeBare(dir)
	if err != nil {
		return err
	}
	if err := git.InstallHooks(dir, program, git.Settings{State: state, Branch: o.branch}, chained); err != nil {
		return err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	if _, err := o.config().MakeAgeKey(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "%s %s. Watch it with:\n  hostd --repo %s --state %s\n", done, dir, dir, state)
	return err
}

// makeBare makes a bare repository where none is, and says what it did.
func (o *options) makeBare(dir string) (done string, err error) {
	repo, err := git.Open(dir, o.branch)
	if errors.Is(err, git.ErrNoRepository) {
		if err := refuseFull(dir); err != nil {
			return "", err
		}
		return "Made the bare repository", git.Init(dir)
	}
	if err != nil {
		return "", err
	}
	switch bare, err := repo.Bare(); {
	case err != nil:
		return "", err
	case !bare:
		return "", fmt.Errorf("%s is a work tree, and hostd watches bare repositories: name %s.git", dir, dir)
	}
	return "Mended the hooks of the bare repository", nil
}

// initPair makes the bare repository and a work tree whose origin it is.
func (o *options) initPair(cmd *cobra.Command, dir string) error {
	server := dir + ".git"
	if err := refuseFull(dir); err != nil {
		return err
	}
	if repo, err := git.Open(server, o.branch); err == nil {
		if _, err := repo.Head(cmd.Context()); !errors.Is(err, reconciler.ErrNoCommit) {
			return fmt.Errorf("%s holds commits already; take them: git clone %s %s", server, server, dir)
		}
	}
	if err := o.initServer(server, false); err != nil {
		return err
	}
	if err := os.CopyFS(dir, examples.Minimal()); err != nil {
		return fmt.Errorf("write the first files: %w", err)
	}
	first := git.Info{Author: "hostctl", Email: "hostctl@localhost", Time: time.Now(), Subject: "A first platform"}
	if _, err := git.InitWorkTree(dir, server, first); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.out, `Made the work tree %s, with a first commit. Next:
  cd %s
  hostctl plan       # what it would make
  git push           # makes it, where hostd watches
`, dir, dir)
	return err
}

// refuseFull refuses a folder that holds something.
func refuseFull(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	return nil
}
