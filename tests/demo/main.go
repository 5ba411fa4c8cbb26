// Command demo runs hostctl's main job on this machine, start to end, and leaves it running: a bare repository, hostd
// beside it, a clone with examples/demo, a push, and the proof that sites answer and names resolve.
//
//	demo up      make it, or find it made
//	demo down    remove all that up has made, and only that
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"hostctl/examples"
	"hostctl/tests/platform"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	d := demo{platform.Platform{Bin: filepath.Join(root, "bin"), Dir: filepath.Join(root, ".demo"), Out: os.Stdout}}
	switch {
	case len(args) == 1 && args[0] == "up":
		return d.up(ctx)
	case len(args) == 1 && args[0] == "down":
		return d.down(ctx)
	}
	return errors.New("want 'up' or 'down'")
}

type demo struct{ platform.Platform }

// up tells the whole story.
func (d demo) up(ctx context.Context) error {
	if err := d.server(ctx); err != nil {
		return err
	}
	if err := d.firstPush(ctx); err != nil {
		return err
	}
	if err := d.Settled(ctx, 3*time.Minute); err != nil {
		return err
	}
	at, err := d.Endpoints(ctx)
	if err != nil {
		return err
	}
	if err := d.writeEnv(at); err != nil {
		return err
	}
	if err := d.prove(ctx, at); err != nil {
		return err
	}
	if err := d.everything(ctx, at); err != nil {
		return err
	}
	if err := d.edit(ctx, at); err != nil {
		return err
	}
	if err := d.mistake(ctx); err != nil {
		return err
	}
	if err := d.killNode(ctx, at); err != nil {
		return err
	}
	if err := d.leave(ctx, at); err != nil {
		return err
	}
	d.farewell()
	return nil
}

func (d demo) server(ctx context.Context) error {
	say("A bare config repository, and hostd that watches it")
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return err
	}
	if err := d.Init(ctx); err != nil {
		return err
	}
	started, err := d.StartHostd(ctx)
	if err != nil {
		return err
	}
	pid, _ := d.HostdPID()
	if started {
		fmt.Printf("    hostd has started, pid %d, log in .demo/hostd.log\n", pid)
	} else {
		fmt.Printf("    hostd is running already, pid %d\n", pid)
	}
	return nil
}

// firstPush clones the repository, commits examples/demo and pushes it. What was pushed before stays as it is.
func (d demo) firstPush(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(d.Clone(), "platform")); err == nil {
		say("The clone .demo/clone is there already; what is in it stays as it is")
		return d.Git(ctx, "push", "--quiet", "origin", "HEAD:main")
	}
	say("A clone, with examples/demo in it, pushed")
	if err := os.RemoveAll(d.Clone()); err != nil {
		return err
	}
	if err := d.MakeClone(ctx); err != nil {
		return err
	}
	if err := os.CopyFS(d.Clone(), examples.Demo()); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	return d.Push(ctx, "A platform with its tenants")
}

// writeEnv writes .demo/env, to be sourced by a shell.
func (d demo) writeEnv(at platform.Endpoints) error {
	env := fmt.Sprintf("DEMO_HTTP=%s\nDEMO_HTTPS=%s\nDEMO_DNS=%s\nDEMO_REPO='%s'\nDEMO_CLONE='%s'\nDEMO_HOSTCTL='%s --state %s'\n",
		at.HTTP, at.HTTPS, at.DNS, d.Repo(), d.Clone(), d.Program("hostctl"), d.State())
	return os.WriteFile(filepath.Join(d.Dir, "env"), []byte(env), 0o644)
}

func (d demo) farewell() {
	fmt.Print(`
It is running. Next:
  . .demo/env
  curl -H 'Host: shop.acme.test' http://$DEMO_HTTP/
  dig @${DEMO_DNS%:*} -p ${DEMO_DNS#*:} shop.acme.test
  $DEMO_HOSTCTL plan -C $DEMO_CLONE
  edit a file in $DEMO_CLONE, git commit, git push
  make demo-down removes it all
`)
}

func (d demo) down(ctx context.Context) error {
	if _, err := os.Stat(d.Dir); errors.Is(err, os.ErrNotExist) {
		fmt.Println("There is no demo here.")
		return nil
	}
	if err := d.Remove(ctx); err != nil {
		return err
	}
	fmt.Println("The demo is gone.")
	return nil
}

func say(format string, args ...any) { fmt.Printf("\n==> "+format+"\n", args...) }
