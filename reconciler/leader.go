package reconciler

import (
	"context"

	"hostctl/planner"
)

// Led returns an inventory that writes only while lead returns nil: that of the one hostd that leads. One that was paused
// and has been succeeded meanwhile learns of it before it writes, and a run that it is in the middle of is fenced by the
// run lock.
func Led(inv Inventory, lead func() error) Inventory { return led{inv, lead} }

type led struct {
	Inventory
	lead func() error
}

// Begin implements Inventory.
func (l led) Begin(ctx context.Context, p planner.Plan, by Holder) (Journal, error) {
	if err := l.lead(); err != nil {
		return nil, err
	}
	return l.Inventory.Begin(ctx, p, by)
}

// Gone implements Inventory.
func (l led) Gone(ctx context.Context, refs []planner.Ref, why string) (int, error) {
	if err := l.lead(); err != nil {
		return 0, err
	}
	return l.Inventory.Gone(ctx, refs, why)
}

// Drifted implements Inventory.
func (l led) Drifted(ctx context.Context, refs []planner.Ref, why string) (int, error) {
	if err := l.lead(); err != nil {
		return 0, err
	}
	return l.Inventory.Drifted(ctx, refs, why)
}

// SetDown implements Inventory.
func (l led) SetDown(ctx context.Context, down map[string]string) (bool, error) {
	if err := l.lead(); err != nil {
		return false, err
	}
	return l.Inventory.SetDown(ctx, down)
}

// SetUnmanaged implements Inventory.
func (l led) SetUnmanaged(ctx context.Context, targets []string, found []planner.RRset) (bool, error) {
	if err := l.lead(); err != nil {
		return false, err
	}
	return l.Inventory.SetUnmanaged(ctx, targets, found)
}

// SetImages implements Inventory.
func (l led) SetImages(ctx context.Context, ids map[string]string) error {
	if err := l.lead(); err != nil {
		return err
	}
	return l.Inventory.SetImages(ctx, ids)
}
