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

func run(c config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	platform, err := wire.Open(ctx, wire.Config{
		State: c.State, Database: c.Database, Agent: c.Agent, Repo: c.Repo, Branch: c.Branch, Program: "hostd", Log: log,
	})
	if err != nil {
		return err
	}
	loop := &reconciler.Loop{Reconciler: platform.Reconciler, Feed: &reconciler.Feed{}, LookEvery: c.LookEvery}
	log.Info("watching", "repo", c.Repo, "branch", c.Branch, "state", c.State)
	err = serve(ctx, c, loop, platform)
	return errors.Join(err, platform.Close())
}

// serve runs the loop and the listeners until ctx is done or one of them fails.
func serve(ctx context.Context, c config, loop *reconciler.Loop, platform *wire.Platform) error {
	socket, err := listenLocal(filepath.Join(c.State, web.SocketName))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serveHTTP(ctx, socket, web.Local(loop)) })
	if c.Listen != "" {
		public, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return fmt.Errorf("listen for health checks: %w", err)
		}
		g.Go(func() error { return serveHTTP(ctx, public, web.Health(loop)) })
	}
	g.Go(func() error { return loop.Run(ctx) })
	g.Go(func() error { return platform.WatchEngines(ctx, loop.Targets, loop.Look) })
	return g.Wait()
}

// listenLocal listens on a unix socket that only its owner may open. A socket that nobody answers at is replaced.
func listenLocal(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("another hostd answers at %s; stop it first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen for hostctl: %w", err)
	}
	return l, nil
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
