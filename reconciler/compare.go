package reconciler

import (
	"context"
	"fmt"
	"log/slog"

	"hostctl/planner"
	"hostctl/schema"
)

// Compare previews what takes a platform that base makes from nothing to head. It needs a repository and nothing else, and
// the same commits get the same answer wherever: it knows no inventory, far side or secret.
func Compare(ctx context.Context, source Source, base, head string) (Preview, error) {
	r := &Reconciler{Source: source, Inventory: noInventory{}, Log: slog.New(slog.DiscardHandler), Cache: schema.NewCache()}
	v := Preview{Base: base, Head: head, Alone: true}
	before, err := r.Plan(ctx, base)
	if Refusal(err) {
		_, headErr := r.Plan(ctx, head)
		return v, &BaseError{Base: base, Err: err, Head: headErr}
	}
	if err != nil {
		return v, fmt.Errorf("plan %s, which the change starts from: %w", short(base), err)
	}
	v.Change, err = r.planAfter(ctx, before, head)
	return v, err
}

// noInventory is that of a platform that doesn't exist. Whoever plans reads of it what follows; nobody writes.
type noInventory struct{ Inventory }

// Live implements Inventory.
func (noInventory) Live(context.Context) (planner.Live, error) { return planner.Live{}, nil }

// Runs implements Inventory.
func (noInventory) Runs(context.Context, int) ([]Run, error) { return nil, nil }
