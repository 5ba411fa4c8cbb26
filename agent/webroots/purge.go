package webroots

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"hostctl/agent/beneath"
	"hostctl/executors"
	"hostctl/planner"
)

// purge deletes a site with all that is in it, for good. Only a site that was kept, or was declared to be deleted with its
// data, or is the copy of one that another shard serves, may go.
//
// The folder is first moved where only root can enter, so that it is gone at once and nobody can change it meanwhile. What a
// purge leaves that was cut off, the next one removes.
func (m *Manager) purge(ctx context.Context, w planner.Webroot) error {
	if !w.Kept && !w.Purge && w.CopyOf == nil {
		return executors.Errorf(executors.Refused, "it holds data, and nobody has said that it may go: it was neither kept before, nor is its deletionPolicy Delete")
	}
	root, err := beneath.Open(m.o.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only held for its path
	if err := os.MkdirAll(m.records(), 0o700); err != nil {
		return err
	}
	records, err := root.Sub(".hostctl")
	if err != nil {
		return err
	}
	defer func() { _ = records.Close() }() // only held for its path
	going := ".going-" + w.Name
	if err := records.RemoveAll(ctx, going); err != nil { // of a purge before
		return err
	}
	if err := m.moveAway(root, w, records, going); err != nil {
		return err
	}
	if err := records.RemoveAll(ctx, going); err != nil {
		return err
	}
	return records.Remove(w.Name + ".json")
}

// moveAway moves a site's folder, and removes its tenant's if nothing else is in it.
func (m *Manager) moveAway(root *beneath.Dir, w planner.Webroot, records *beneath.Dir, going string) error {
	tenant, err := root.Sub(w.Tenant)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = tenant.Close() }() // only held for its path
	if err := tenant.Rename(w.Site, records, going); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if entries, err := os.ReadDir(filepath.Join(m.o.Root, w.Tenant)); err == nil && len(entries) == 0 {
		return root.RemoveEmpty(w.Tenant)
	}
	return nil
}
