package reconciler

import (
	"context"
	"time"

	"hostctl/planner"
)

// Kept is an object that nobody declares any more and that is kept for its data.
type Kept struct {
	Ref   planner.Ref   `json:"ref"`
	Owner planner.Owner `json:"owner"`
	Since time.Time     `json:"since"`
	Until time.Time     `json:"until,omitzero"` // when a plan deletes it; zero: never
}

// Keeper is the ability of an inventory to tell what is kept.
type Keeper interface {
	// Kept returns what is kept for its data, ordered by reference.
	Kept(ctx context.Context) ([]Kept, error)
}
