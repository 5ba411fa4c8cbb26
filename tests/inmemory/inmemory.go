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
}

// Apply applies the newest commit and returns how many objects the far sides hold then. They forget all from one Apply to
// the next; the inventory doesn't.
func Apply(ctx context.Context, p Platform) (objects int, err error) {
	if err := os.MkdirAll(p.State, 0o700); err != nil {
		return 0, err
	}
	store, err := inventory.Open(ctx, filepath.Join(p.State, "inventory.db"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	far := &memory.Executor{}
	r, err := p.reconciler(store, far)
	if err != nil {
		return 0, err
	}
	head, err := r.Source.Head(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.setImages(ctx, r, head); err != nil {
		return 0, err
	}
	plan, err := r.Plan(ctx, head)
	if err != nil {
		return 0, err
	}
	if err := r.Apply(ctx, plan, nil); err != nil {
		return 0, err
	}
	held, err := far.Observe(ctx)
	return len(held), err
}

func (p Platform) reconciler(store *inventory.Store, far executors.Executor) (*reconciler.Reconciler, error) {
	source, err := git.Open(p.Repo, "main")
	if err != nil {
		return nil, err
	}
	agent, err := os.ReadFile(p.Agent)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(agent)
	return &reconciler.Reconciler{
		Source: source, Inventory: store, Log: slog.New(slog.DiscardHandler),
		Connect: func(planner.Target, reconciler.Session) (executors.Executor, error) { return far, nil },
		Policy:  planner.Policy{AgentBinary: hex.EncodeToString(sum[:])},
		Holder:  reconciler.Holder{Name: "inmemory"},
	}, nil
}

// setImages gives every image an id, as if an engine held it.
func (p Platform) setImages(ctx context.Context, r *reconciler.Reconciler, commit string) error {
	tree, err := r.Source.Tree(ctx, commit)
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
	return r.Inventory.SetImages(ctx, ids)
}
