package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
// options with a push. A hook that is something else already is an error, and nothing is changed then; with chained such a
// hook is left as it is, for it runs the program itself. Installing again is fine.
func InstallHooks(dir, program string, s Settings, chained bool) error {
	repo, err := gogit.PlainOpen(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	c, err := repo.Config()
	if err != nil {
		return fmt.Errorf("read config of %s: %w", dir, err)
	}
	if elsewhere := c.Raw.Section("core").Option("hooksPath"); elsewhere != "" {
		return fmt.Errorf("git runs the hooks in %s, and not those of %s: 'git -C %s config --unset core.hooksPath', and move them", elsewhere, dir, dir)
	}
	if err := checkAlternates(dir); err != nil {
		return err
	}
	var missing []string
	var errs []error
	for _, name := range hooks {
		path := filepath.Join(dir, "hooks", name)
		switch theirs, err := isTheirs(path, program); {
		case err != nil:
			errs = append(errs, err)
		case !theirs:
			missing = append(missing, name)
		case !chained:
			errs = append(errs, fmt.Errorf("%s is somebody else's; move it away first, or have it run '%s hook %s' with its own standard input, fail where that fails, and install again with --chained", path, program, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, name := range missing {
		if err := link(program, filepath.Join(dir, "hooks", name)); err != nil {
			return fmt.Errorf("install hook %s: %w", name, err)
		}
	}
	c.Raw.Section("hostctl").SetOption("state", s.State).SetOption("branch", s.Branch)
	c.Raw.Section("receive").SetOption("advertisePushOptions", "true")
	if err := repo.SetConfig(c); err != nil {
		return fmt.Errorf("write config of %s: %w", dir, err)
	}
	return nil
}

// checkAlternates refuses a repository that borrows objects of folders that it names in a way that go-git doesn't follow.
func checkAlternates(dir string) error {
	file := filepath.Join(dir, "objects", "info", "alternates")
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !filepath.IsAbs(line) {
			return fmt.Errorf("%s names %q, and hostctl reads objects of others by whole paths only; write that, or 'git -C %s repack -a -d' and remove the file", file, line, dir)
		}
	}
	return nil
}

// isTheirs reports whether a hook is there that hostctl didn't make: hostctl's are links to a program of its name, and one
// that leads nowhere is nobody's any more.
func isTheirs(path, program string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode()&os.ModeSymlink == 0:
		return true, nil
	}
	to, err := os.Readlink(path)
	if err != nil {
		return false, err
	}
	if name := filepath.Base(to); name == filepath.Base(program) || name == "hostctl" {
		return false, nil
	}
	_, err = os.Stat(path)
	return err == nil, nil
}

// link makes path a symlink to program, in place of one that is there.
func link(program, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
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
