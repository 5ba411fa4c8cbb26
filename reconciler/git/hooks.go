package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	gogit "github.com/go-git/go-git/v5"
)

// Settings are what the hooks of a bare repository are told; they stand in its config, section [hostctl].
type Settings struct {
	State  string // the state folder of the hostd that watches the repository
	Branch string // the branch that hostd makes true
}

// hooks are those that hostctl answers to when it is called by their name.
var hooks = []string{"pre-receive", "post-receive"}

// InstallHooks makes the hooks of a bare repository links to a program, tells them their settings, and lets clients send
// options with a push. A hook that is
// something else already is left alone, and is an error. Installing again is fine.
func InstallHooks(dir, program string, s Settings) error {
	for _, name := range hooks {
		if err := link(program, filepath.Join(dir, "hooks", name)); err != nil {
			return fmt.Errorf("install hook %s: %w", name, err)
		}
	}
	repo, err := gogit.PlainOpen(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	c, err := repo.Config()
	if err != nil {
		return fmt.Errorf("read config of %s: %w", dir, err)
	}
	c.Raw.Section("hostctl").SetOption("state", s.State).SetOption("branch", s.Branch)
	c.Raw.Section("receive").SetOption("advertisePushOptions", "true")
	if err := repo.SetConfig(c); err != nil {
		return fmt.Errorf("write config of %s: %w", dir, err)
	}
	return nil
}

// link makes path a symlink to program. A link that is there is replaced, anything else is not.
func link(program, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	case info.Mode()&os.ModeSymlink == 0:
		return fmt.Errorf("%s is somebody else's; move it away first", path)
	default:
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Symlink(program, path)
}

// HookSettings returns what InstallHooks told the hooks of the repository in dir.
func HookSettings(dir string) (Settings, error) {
	repo, err := gogit.PlainOpen(dir)
	if err != nil {
		return Settings{}, fmt.Errorf("open %s: %w", dir, err)
	}
	c, err := repo.Config()
	if err != nil {
		return Settings{}, fmt.Errorf("read config of %s: %w", dir, err)
	}
	section := c.Raw.Section("hostctl")
	s := Settings{State: section.Option("state"), Branch: section.Option("branch")}
	if s.State == "" {
		return s, errors.New("the repository's config says nothing of hostctl.state; run 'hostctl init --bare' on it again")
	}
	if s.Branch == "" {
		s.Branch = DefaultBranch
	}
	return s, nil
}

// Bare reports whether the repository has no work tree.
func (s *Source) Bare() (bool, error) {
	repo, err := s.repository()
	if err != nil {
		return false, err
	}
	c, err := repo.Config()
	if err != nil {
		return false, fmt.Errorf("read config of %s: %w", s.gitDir, err)
	}
	return c.Core.IsBare, nil
}
