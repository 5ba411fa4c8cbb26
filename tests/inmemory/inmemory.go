// Package inmemory applies a config repository on far sides in memory, so that a test or a benchmark has an inventory as
// a platform has it after its first run, without Docker.
package inmemory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/reconciler/inventory"
	"hostctl/schema"
)

// Platform is what hostctl is told on its command line.
type Platform struct {
	Repo  string // the repository whose branch main is applied
	State string // the state folder; made where it isn't there
	Agent string // the node-agent program

	Progress func(executors.Event) // where set, is told what Apply does
}

// World is a reconciler whose far sides are in memory.
type World struct {
	*reconciler.Reconciler
	Far *memory.Executor
}

// Open opens the platform's inventory. Its far sides hold nothing, whatever the inventory says.
func Open(ctx context.Context, p Platform) (World, error) {
	if err := os.MkdirAll(p.State, 0o700); err != nil {
		return World{}, err
	}
	source, err := git.Open(p.Repo, "main")
	if err != nil {
		return World{}, err
	}
	agent, err := os.ReadFile(p.Agent)
	if err != nil {
		return World{}, err
	}
	store, err := inventory.Open(ctx, filepath.Join(p.State, "inventory.db"))
	if err != nil {
		return World{}, err
	}
	sum := sha256.Sum256(agent)
	far := &memory.Executor{}
	return World{Far: far, Reconciler: &reconciler.Reconciler{
		Source: source, Inventory: store, Log: slog.New(slog.DiscardHandler), Cache: schema.NewCache(), Memo: &planner.Memo{},
		Connect: func(planner.Target, reconciler.Session) (executors.Executor, error) { return far, nil },
		Policy:  planner.Policy{AgentBinary: hex.EncodeToString(sum[:])},
		Holder:  reconciler.Holder{Name: "inmemory"},
	}}, nil
}

// Close closes the inventory.
func (w World) Close() error { return w.Inventory.Close() }

// Apply applies the newest commit of a platform and returns how many objects the far sides hold then.
func Apply(ctx context.Context, p Platform) (objects int, err error) {
	w, err := Open(ctx, p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	head, err := w.Source.Head(ctx)
	if err != nil {
		return 0, err
	}
	if err := w.setImages(ctx, head); err != nil {
		return 0, err
	}
	plan, err := w.Plan(ctx, head)
	if err != nil {
		return 0, err
	}
	if err := w.Apply(ctx, plan, p.Progress); err != nil {
		return 0, err
	}
	held, err := w.Far.Observe(ctx)
	return len(held), err
}

// setImages gives every image an id, as if an engine held it.
func (w World) setImages(ctx context.Context, commit string) error {
	tree, err := w.Source.Tree(ctx, commit)
	if err != nil {
		return err
	}
	m, err := schema.Load(tree, nil)
	if err != nil {
		return err
	}
	ids := map[string]string{}
	for _, profile := range m.NodeProfiles {
		ids[profile.Image] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(profile.Image)))
	}
	return w.Inventory.SetImages(ctx, ids)
}
