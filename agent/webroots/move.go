package webroots

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"hostctl/agent/beneath"
	"hostctl/agent/transfer"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Pull makes a folder what the folder of a site is on another shard.
type Pull func(ctx context.Context, from planner.Copy, site string, into *beneath.Dir, own transfer.Owners) (transfer.Brought, error)

// rounds is how often what differs is brought at the end of a move: files that somebody writes to without a pause are taken as
// they are then.
const rounds = 3

func checkCopy(c planner.Copy) error {
	errs := []error{schema.CheckSlug(c.Shard)}
	for _, n := range c.Nodes {
		errs = append(errs, schema.CheckSlug(n.Node))
		if _, _, err := net.SplitHostPort(n.Address); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// bring brings a site's files while the shard that they come from still serves them.
func (m *Manager) bring(ctx context.Context, w planner.Webroot, from planner.Copy) error {
	_, err := m.pull(ctx, w, from)
	if err != nil {
		return err
	}
	return m.put(w)
}

// bringRest brings what has changed since, now that nothing writes there any more. It may be done again for as long as nothing
// leads here, which is until the inventory knows that it was done.
func (m *Manager) bringRest(ctx context.Context, w planner.Webroot, from planner.Copy) error {
	for range rounds {
		brought, err := m.pull(ctx, w, from)
		if err != nil {
			return err
		}
		if !brought.Any() {
			break
		}
	}
	return m.put(w)
}

// pull notes that the folder is a copy before anything is brought: what somebody interrupts is known for what it is.
func (m *Manager) pull(ctx context.Context, w planner.Webroot, from planner.Copy) (transfer.Brought, error) {
	if m.o.Pull == nil {
		return transfer.Brought{}, executors.Errorf(executors.Refused, "this node brings no sites from others")
	}
	site, err := m.folder(w)
	if err != nil {
		return transfer.Brought{}, err
	}
	defer func() { _ = site.Close() }() // only held for its path
	note := w
	note.CopyOf = &from
	if err := m.remember(note); err != nil {
		return transfer.Brought{}, err
	}
	return m.o.Pull(ctx, from, w.Name, site, transfer.Owners{UID: w.UID, GID: m.o.GID})
}

// Leaving returns the folder of a site that moves to the shard of a node, and the tenant's user id. It refuses every other.
func (m *Manager) Leaving(name, node string) (*beneath.Dir, int, error) {
	tenant, site, _ := strings.Cut(name, ".")
	w := planner.Webroot{Meta: planner.Meta{Name: name}, Tenant: tenant, Site: site, UID: 1000}
	if err := check(w); err != nil {
		return nil, 0, executors.Errorf(executors.Refused, "%w", err)
	}
	w, err := m.recall(name)
	if err != nil {
		return nil, 0, err
	}
	shard := node[:max(strings.LastIndexByte(node, '-'), 0)]
	if w.MovesTo == "" || w.MovesTo != shard {
		return nil, 0, executors.Errorf(executors.Refused, "site %s doesn't move to the shard of node %s", name, node)
	}
	root, err := beneath.Open(m.o.Root)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = root.Close() }() // only held for its path
	dir, err := root.Sub(filepath.Join(w.Tenant, w.Site))
	if err != nil {
		return nil, 0, fmt.Errorf("open site %s: %w", name, err)
	}
	return dir, w.UID, nil
}
