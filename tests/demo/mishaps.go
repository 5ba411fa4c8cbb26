package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"hostctl/tests/platform"
)

// What is mistaken in the edited file: a version that no region offers.
const (
	offered  = `version: "8.4"`
	mistaken = `version: "9.1"`
)

// mistake pushes a version that isn't there: the push is refused with the line, and the branch hasn't moved.
func (d demo) mistake(ctx context.Context) error {
	before, err := d.tip(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(d.Clone(), editedFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), offered) {
		return fmt.Errorf("%s: no line holds %s", editedFile, offered)
	}
	say("A mistake in %s pushed: refused, with its line and the way out", editedFile)
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), offered, mistaken, 1)), 0o644); err != nil {
		return err
	}
	if err := d.Push(ctx, "acme: the newest PHP"); err == nil {
		return errors.New("the push of a mistake was not refused")
	}
	after, err := d.tip(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("the branch has moved from %s to %s", before, after)
	}
	fmt.Printf("    main is at %.12s, as before\n", after)
	return d.Git(ctx, "reset", "--quiet", "--hard", "HEAD~1")
}

// tip returns the commit of the branch that hostd watches.
func (d demo) tip(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "-C", d.Repo(), "rev-parse", "main").Output()
	if err != nil {
		return "", fmt.Errorf("read the branch: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// killNode removes a web node as one would by mistake, and waits until it is back.
func (d demo) killNode(ctx context.Context, at platform.Endpoints) error {
	const node, host = "web-1-0", "shop.acme.test"
	name, err := d.container(ctx, node)
	if err != nil {
		return err
	}
	say("The node %s killed: its sites answer on, and it comes back", node)
	fmt.Printf("    $ docker rm -f %s\n", name)
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "docker", "rm", "-f", name).CombinedOutput(); err != nil {
		return fmt.Errorf("docker rm: %w: %s", err, out)
	}
	asked, answered := 0, 0
	err = platform.Until(ctx, time.Minute, func() error {
		asked++
		if code, _, err := at.Fetch(ctx, host); err == nil && code == http.StatusOK {
			answered++
		}
		_, err := d.container(ctx, node)
		return err
	})
	if err == nil {
		err = d.Settled(ctx, time.Minute)
	}
	if err != nil {
		return fmt.Errorf("%s doesn't come back: %w", node, err)
	}
	fmt.Printf("    back with all that was on it after %s; %s answered %d of %d requests meanwhile\n", ms(time.Since(began)), host, answered, asked)
	return nil
}
