package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hostctl/examples"
	"hostctl/reconciler/git"
)

func initVerb(o *options) *cobra.Command {
	var bare bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a config repository with its server side",
		Long: `init makes DIR.git, the bare repository that hostd watches, with hooks that follow a push, and DIR, a work tree with a
small platform to start from. With --bare it makes DIR as the bare repository alone.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.needState("init"); err != nil {
				return err
			}
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if bare {
				return o.initServer(dir)
			}
			return o.initPair(dir)
		},
	}
	cmd.Flags().BoolVar(&bare, "bare", false, "make the bare repository alone")
	return cmd
}

// initServer makes the bare repository. Doing it again mends the hooks.
func (o *options) initServer(dir string) error {
	state, err := filepath.Abs(o.state)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the hostctl program: %w", err)
	}
	if _, err := git.Open(dir, o.branch); errors.Is(err, git.ErrNoRepository) {
		err = git.Init(dir)
		if err != nil {
			return err
		}
	}
	if err := git.InstallHooks(dir, program, git.Settings{State: state, Branch: o.branch}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "Made the bare repository %s. Watch it with: hostd --repo %s --state %s\n", dir, dir, state)
	return err
}

// initPair makes the bare repository and a work tree whose origin it is.
func (o *options) initPair(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	if err := o.initServer(dir + ".git"); err != nil {
		return err
	}
	if err := os.CopyFS(dir, examples.Minimal()); err != nil {
		return fmt.Errorf("write the first files: %w", err)
	}
	first := git.Info{Author: "hostctl", Email: "hostctl@localhost", Time: time.Now(), Subject: "A first platform"}
	if _, err := git.InitWorkTree(dir, dir+".git", first); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.out, `Made the work tree %s, with a first commit. Next:
  cd %s
  hostctl plan       # what it would make
  git push           # makes it, where hostd watches
`, dir, dir)
	return err
}
