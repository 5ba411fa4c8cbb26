// Command hostd keeps a platform true to its config repository. It watches the repository, and for each push plans,
// applies and records; it looks at what really runs now and then and mends what differs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

func main() {
	c, err := readConfig(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(help())
		return
	}
	if err == nil {
		err = run(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostd:", err)
		os.Exit(1)
	}
}

// run works until it is told to stop by SIGTERM or an interrupt: it finishes the changes it has started, and starts no
// more. A second signal ends it at once.
func run(c config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	release, err := lockState(c.State)
	if err != nil {
		return err
	}
	defer release()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	platform, err := wire.Open(ctx, wire.Config{
		State: c.State, Database: c.Database, Agent: c.Agent, Repo: c.Repo, Branch: c.Branch, Program: "hostd", Log: log,
	})
	if err != nil {
		return err
	}
	loop := &reconciler.Loop{Reconciler: platform.Reconciler, Feed: &reconciler.Feed{}, LookEvery: c.LookEvery}
	err = errors.Join(serve(ctx, c, loop, platform), platform.Close())
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// serve runs the loop and the listeners until ctx is done or one of them fails.
func serve(ctx context.Context, c config, loop *reconciler.Loop, platform *wire.Platform) error {
	local, err := listenLocal(filepath.Join(c.State, web.SocketName))
	if err != nil {
		return err
	}
	defer func() { _ = local.Close() }() // closed already, but where the next fails
	public, err := listenPublic(c.Listen)
	if err != nil {
		return err
	}
	log := platform.Log.With("repo", c.Repo, "branch", c.Branch, "state", c.State)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serveHTTP(ctx, local, web.Local(loop)) })
	if public != nil {
		log = log.With("health", public.Addr().String())
		g.Go(func() error { return serveHTTP(ctx, public, web.Health(loop)) })
	}
	g.Go(func() error { return loop.Run(ctx) })
	g.Go(func() error { return platform.WatchEngines(ctx, loop.Targets, loop.Look) })
	log.Info("watching")
	return g.Wait()
}

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return s.Close() // somebody still follows a commit
	}
	return nil
}
