package record

import (
	"context"
	"errors"
	"io"
	"strings"

	"hostctl/planner"
	"hostctl/reconciler"
)

// Store is what every store of the inventory can do.
type Store interface {
	reconciler.Inventory
	reconciler.Keeper
	reconciler.Stamper
	reconciler.SecretKeeper
	reconciler.Pager
	// Plan returns a plan that was begun, by its content hash, or ErrNoPlan.
	Plan(ctx context.Context, hash string) (planner.Plan, error)
	// Restore puts what a backup holds into an inventory that is empty, and else fails with ErrNotEmpty. The inventory
	// is then the one that was backed up: it has its instance id. What the backup says is under way is ended as
	// interrupted.
	Restore(ctx context.Context, backup io.Reader) error
	// Adopt makes an inventory that is empty that of an instance whose own one is lost, and else fails with ErrNotEmpty.
	// fence is the highest fencing number that a far side has seen: runs are numbered on from there.
	Adopt(ctx context.Context, instance string, fence int64) error
}

// CheckInstance refuses what can't be the id of an inventory: 32 hex digits.
func CheckInstance(id string) error {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return errors.New("an instance id is 32 hex digits, as in the label hostctl.instance of the platform's containers")
	}
	return nil
}
