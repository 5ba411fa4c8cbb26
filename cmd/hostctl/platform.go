package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler/inventory"
)

// patience is how long an interrupted run waits for what it has started. Whoever has less of it interrupts again.
const patience = 10 * time.Minute

// platform wires the reconciler that hostd would be. With repository "" it can plan, and not apply.
func (o *options) platform(ctx context.Context, repository string) (*wire.Platform, error) {
	c := wire.Config{
		State: o.state, Database: o.database, AgeKey: o.ageKey, Agent: o.agent, Repo: repository, Branch: o.branch, Program: "hostctl",
		Grace: patience, Log: slog.New(&warnings{w: o.err}), Short: true,
	}
	if isMissing(c.InventoryFile()) {
		fmt.Fprintf(o.err, "warning: %s holds no inventory yet; a new one is made\n", o.state)
	}
	platform, err := wire.Open(ctx, c)
	if err == nil && o.connect != nil {
		platform.Connect = o.connect
	}
	return platform, err
}

// inventory opens the inventory to look at it. One that isn't there is not made: its folder is likely misspelled.
func (o *options) inventory(ctx context.Context) (*inventory.Store, error) {
	c := o.config()
	if isMissing(c.InventoryFile()) {
		return nil, fmt.Errorf("there is no inventory %s; name the platform's folder with --state, or make a new one: 'hostctl plan --state %s'",
			c.InventoryFile(), o.state)
	}
	return wire.OpenInventory(ctx, c)
}

// isMissing reports whether the inventory's file is known not to be there.
func isMissing(file string) bool {
	if file == "" {
		return false // a database server's
	}
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// warnings is a slog.Handler that tells a person what a daemon would log, from warnings on.
type warnings struct {
	mu    sync.Mutex
	w     io.Writer
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h *warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h *warnings) Handle(_ context.Context, r slog.Record) error {
	parts := []string{"warning: " + r.Message}
	add := func(a slog.Attr) bool {
		if a.Key == "error" {
			parts = append(parts, a.Value.String())
		} else {
			parts = append(parts, a.Key+" "+a.Value.String())
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.w, strings.Join(parts, ": "))
	return err
}

// WithAttrs implements slog.Handler.
func (h *warnings) WithAttrs(as []slog.Attr) slog.Handler {
	return &warnings{w: h.w, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], as...)}
}

// WithGroup implements slog.Handler. Nothing here logs in groups.
func (h *warnings) WithGroup(string) slog.Handler { return h }

// config is what the flags say of the platform's state.
func (o *options) config() wire.Config {
	return wire.Config{State: o.state, Database: o.database, AgeKey: o.ageKey}
}
