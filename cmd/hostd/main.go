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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/notify"
	"hostctl/reconciler/outbox"
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
// more. A second signal ends it at once. While another hostd leads, it stands by.
func run(c config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	public, err := listenPublic(c.Listen)
	if err != nil {
		return err
	}
	if public, err = c.API.secure(public, log); err != nil {
		return err
	}
	health := &health{}
	g, ctx := errgroup.WithContext(ctx)
	if public != nil {
		health.address = public.Addr().String()
		g.Go(func() error { return serveHTTP(ctx, public, health) })
	}
	g.Go(func() error {
		err := work(ctx, c, health, log)
		stop() // what serves ends too
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// work stands by and leads, in turns, until ctx is done.
func work(ctx context.Context, c config, health *health, log *slog.Logger) error {
	for {
		health.set(c.API.standby())
		t, err := lead(ctx, c, health, log)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to stop
		case err != nil:
			return err
		}
		err = leading(ctx, c, t, health, log)
		t.end()
		if !errors.Is(err, errSucceeded) {
			return err
		}
		log.Warn("lost the lead", "error", err)
	}
}

// leading does what the leader does until ctx is done, it fails, or the lead is lost.
func leading(ctx context.Context, c config, t *term, health *health, log *slog.Logger) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.keep(ctx) })
	g.Go(func() error {
		platform, err := open(ctx, c, t, log)
		if err != nil {
			return err
		}
		platform.Inventory = reconciler.Led(platform.Inventory, t.check)
		platform.Holder.Lease = c.Lease
		loop := &reconciler.Loop{Reconciler: platform.Reconciler, Feed: &reconciler.Feed{}, LookEvery: c.LookEvery, ObserveEvery: c.ObserveEvery}
		return errors.Join(serve(ctx, c, t, health, loop, platform), platform.Close())
	})
	return g.Wait()
}

// open opens the platform. One who leads because another hostd is stopped tries again and again: SQLite's file stays
// locked where that was stopped in the middle of a transaction.
func open(ctx context.Context, c config, t *term, log *slog.Logger) (*wire.Platform, error) {
	elsewhere, err := c.Remote.of(c.Repo, c.Branch)
	if err != nil {
		return nil, err
	}
	for {
		platform, err := wire.Open(ctx, wire.Config{
			State: c.State, Database: c.Database, Agent: c.Agent, AgeKey: c.AgeKey, Repo: c.Repo, Remote: elsewhere, Branch: c.Branch, Program: "hostd", Log: log,
		})
		if err == nil || !t.stopped {
			return platform, err
		}
		log.Warn("the hostd that led before is stopped, and may hold what is needed; end it, or let it go on", "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Second):
		}
	}
}

// serve runs the loop and listens for hostctl until ctx is done or one of them fails.
func serve(ctx context.Context, c config, t *term, health *health, loop *reconciler.Loop, platform *wire.Platform) error {
	path := filepath.Join(c.State, web.SocketName)
	socket, err := listenLocal(path)
	if err != nil {
		return err
	}
	box, err := openOutbox(c, t, platform)
	if err != nil {
		return err
	}
	teller := newTeller(c, box, loop, platform)
	previews, err := c.previews(ctx, t, platform)
	if err != nil {
		return err
	}
	hooks, err := c.Webhooks.handler(hinted(loop, previews), platform.Log)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	health.set(public(loop, hooks, c.API.leading(ctx, c.State, loop, platform)))
	g.Go(func() error { return serveHTTP(ctx, socket, local(loop, teller)) })
	g.Go(func() error { return loop.Run(ctx) })
	g.Go(func() error { return preview(ctx, previews, platform.Source) })
	g.Go(func() error { return platform.WatchEngines(ctx, loop.Targets, loop.Look) })
	g.Go(func() error { return platform.Store.Watch(ctx, loop.Wake) })
	g.Go(func() error { return teller.Run(ctx) })
	g.Go(func() error { return box.Deliver(ctx, map[string]outbox.Deliver{notify.Kind: teller.Deliver}) })
	platform.Log.Info("watching", "repo", c.Repo, "branch", c.Branch, "state", c.State, "health", health.address)
	err = g.Wait()
	if t.check() == nil {
		_ = os.Remove(path) // else it is the successor's
	}
	return err
}

// health serves the health pages of one that stands by or leads.
type health struct {
	address string // "" where none are served
	now     atomic.Pointer[http.Handler]
}

func (h *health) set(now http.Handler) { h.now.Store(&now) }

// ServeHTTP implements http.Handler.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*h.now.Load()).ServeHTTP(w, r) }

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
