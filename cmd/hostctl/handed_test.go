package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"hostctl/reconciler"
)

// pinned is a repository whose branch stays where it is.
type pinned struct {
	reconciler.Source
	head string
}

// Head implements reconciler.Source.
func (p pinned) Head(context.Context) (string, error) { return p.head, nil }

// Watch implements reconciler.Source.
func (pinned) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// An interrupt ends the one who watches. What hostd was given it finishes.
func TestInterruptedWhileHostdApplies(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.applied()
	first := strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))
	p.edit("tenants/t1/t.yaml", tenantFile("t1", 1))
	p.mustGit("add", "--all")
	p.mustGit("commit", "--quiet", "-m", "A tenant")
	p.mustGit("push", "--quiet", "origin", "HEAD:main")

	hostd := p.answering()
	hostd.loop.Reconciler.Source = pinned{hostd.platform.Source, first}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = hostd.loop.Run(ctx) // it ends when it is told to
	}()
	defer func() { stop(); <-ended }()

	a := p.applyUpTo("web-1-0")
	a.interrupt(t)
	_ = a.Wait()
	if a.ProcessState.ExitCode() != exitError || !strings.Contains(a.out.String(), "interrupted; hostd goes on with what it was given") {
		t.Errorf("%v\n%s", a.ProcessState, &a.out)
	}
	if runs := p.runs(); len(runs) != 2 || runs[0].State != reconciler.Running {
		t.Errorf("runs: %+v, want one under way", runs)
	}
	p.open("web-1-0")
	waitFor(t, "hostd ends the run", func() bool { return p.runs()[0].State == reconciler.Succeeded })
}

// An interrupt while a push is followed says who goes on, and where to look.
func TestInterruptedWhilePushIsFollowed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.applied()
	commit := strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))
	hostd := p.answering() // it never says how the commit has ended
	a := &applying{Cmd: p.command("hook", "post-receive")}
	a.Dir = p.repo + ".git"
	stdin, err := os.CreateTemp(t.TempDir(), "moves")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	if _, err := stdin.WriteAt([]byte(strings.Repeat("0", 40)+" "+commit+" refs/heads/main\n"), 0); err != nil {
		t.Fatal(err)
	}
	a.Stdin, a.Stdout, a.Stderr = stdin, &a.out, &a.out
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it follows", func() bool { return hostd.followed.Load() > 0 })
	a.interrupt(t)
	_ = a.Wait()
	if out := a.out.String(); a.ProcessState.ExitCode() != exitError ||
		!strings.Contains(out, "interrupted; hostd goes on with what was pushed, and 'hostctl status' tells how that ends") || strings.Contains(out, "runs again") {
		t.Errorf("%v\n%s", a.ProcessState, out)
	}
}
