// Package platform runs a whole platform on this machine, for the demo and for end-to-end tests: a bare repository, hostd
// beside it, a clone to push from. It speaks to them as a person does: git, hostctl, HTTP and DNS.
package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Platform is where things are: Dir holds all of a platform but its containers, Bin the programs.
type Platform struct {
	Bin, Dir string
	Out      io.Writer // what is run, and what it prints
	Env      []string  // of hostd and hostctl, besides this process's own
}

// State is hostd's state folder.
func (p Platform) State() string { return filepath.Join(p.Dir, "state") }

// Repo is the bare repository.
func (p Platform) Repo() string { return filepath.Join(p.Dir, "config.git") }

// Clone is a work tree with push rights.
func (p Platform) Clone() string { return filepath.Join(p.Dir, "clone") }

// Program returns the path of one of the three programs.
func (p Platform) Program(name string) string { return filepath.Join(p.Bin, name) }

// Init makes the bare repository, or mends its hooks.
func (p Platform) Init(ctx context.Context) error {
	out, err := p.Hostctl(ctx, "init", "--bare", p.Repo())
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Hostctl runs hostctl on the platform's state and returns all that it printed.
func (p Platform) Hostctl(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, p.Program("hostctl"), append([]string{"--state", p.State()}, args...)...)
	c.Env = append(os.Environ(), p.Env...)
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("hostctl %s: %w", strings.Join(args, " "), err)
	}
	return string(out), err
}

// Git runs git in the clone, with its output shown.
func (p Platform) Git(ctx context.Context, args ...string) error {
	return p.command(ctx, p.Clone(), "git", args...)
}

// MakeClone clones the repository and sets who commits.
func (p Platform) MakeClone(ctx context.Context) error {
	if err := p.command(ctx, p.Dir, "git", "clone", "--quiet", p.Repo(), p.Clone()); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"checkout", "--quiet", "-B", "main"},
		{"config", "user.name", "Demo"},
		{"config", "user.email", "demo@hosting.test"},
	} {
		if err := p.Git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Push commits all that is in the clone and pushes it.
func (p Platform) Push(ctx context.Context, message string) error {
	if err := p.Git(ctx, "add", "--all"); err != nil {
		return err
	}
	if err := p.Git(ctx, "commit", "--quiet", "-m", message); err != nil {
		return err
	}
	return p.Git(ctx, "push", "--quiet", "origin", "main")
}

// command runs a program in a folder, with its output shown.
func (p Platform) command(ctx context.Context, dir, name string, args ...string) error {
	_, _ = fmt.Fprintf(p.Out, "    $ %s %s\n", name, quoted(args))
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, p.Out, p.Out
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, quoted(args), err)
	}
	return nil
}

// quoted joins arguments as a person would type them.
func quoted(args []string) string {
	q := make([]string, len(args))
	for i, a := range args {
		q[i] = a
		if strings.ContainsAny(a, " '") {
			q[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(q, " ")
}

// Status is what is read of 'hostctl status -json'.
type Status struct {
	Instance string `json:"instance"`
	Hostd    *struct {
		Head      string `json:"head"`
		Applied   string `json:"applied"`
		Converged bool   `json:"converged"`
		Message   string `json:"message"`
	} `json:"hostd"`
	Objects   int `json:"objects"`
	Endpoints []struct {
		Node     string `json:"node"`
		Role     string `json:"role"`
		Name     string `json:"name"`
		Address  string `json:"address"`
		Protocol string `json:"protocol"`
	} `json:"endpoints"`
}

// Status asks hostctl how the platform stands.
func (p Platform) Status(ctx context.Context) (Status, error) {
	var s Status
	out, err := exec.CommandContext(ctx, p.Program("hostctl"), "--state", p.State(), "status", "--json").Output()
	if err != nil {
		return s, fmt.Errorf("hostctl status: %w", err)
	}
	return s, json.Unmarshal(out, &s)
}

// Settled waits until hostd says that the commit the branch is at is wholly true.
func (p Platform) Settled(ctx context.Context, limit time.Duration) error {
	head, err := exec.CommandContext(ctx, "git", "-C", p.Repo(), "rev-parse", "main").Output()
	if err != nil {
		return fmt.Errorf("read the branch: %w", err)
	}
	want := strings.TrimSpace(string(head))
	return Until(ctx, limit, func() error {
		s, err := p.Status(ctx)
		switch {
		case err != nil:
			return err
		case s.Hostd == nil:
			return Fatal{errors.New("hostd has ended; see hostd.log")}
		case !s.Hostd.Converged || s.Hostd.Applied != want:
			return fmt.Errorf("not converged: %s", s.Hostd.Message)
		}
		return nil
	})
}

// Remove stops hostd and removes what carries the instance's label in Docker, and the folder.
func (p Platform) Remove(ctx context.Context) error {
	s, err := p.Status(ctx)
	p.StopHostd()
	if err != nil {
		return fmt.Errorf("%w; without the instance it can't be told what belongs to it: remove %s by hand", err, p.Dir)
	}
	label := "label=hostctl.instance=" + s.Instance
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq", "--filter", label}, []string{"rm", "-f"}},
		{[]string{"volume", "ls", "-q", "--filter", label}, []string{"volume", "rm", "-f"}},
		{[]string{"network", "ls", "-q", "--filter", label}, []string{"network", "rm"}},
	} {
		if err := removeAll(ctx, kind.list, kind.remove); err != nil {
			return err
		}
	}
	return os.RemoveAll(p.Dir)
}

func removeAll(ctx context.Context, list, remove []string) error {
	out, err := exec.CommandContext(ctx, "docker", list...).Output()
	if err != nil {
		return fmt.Errorf("docker %s: %w", list[0], err)
	}
	ids := strings.Fields(string(out))
	if len(ids) == 0 {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "docker", append(remove, ids...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w: %s", remove[0], err, out)
	}
	return nil
}

// Fatal is an error that waiting won't mend.
type Fatal struct{ Err error }

func (f Fatal) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f Fatal) Unwrap() error { return f.Err }

// Until calls try until it returns nil or Fatal, at most for limit.
func Until(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		var f Fatal
		if err == nil || errors.As(err, &f) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (waited %s)", err, limit)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
