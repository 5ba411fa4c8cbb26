package reconciler

import (
	"context"

	"hostctl/planner"
)

// Whose says of whom somebody may read. The zero value is nobody: it reads nothing.
type Whose struct {
	All    bool   // the platform's and every tenant's
	Tenant string // else what is this tenant's alone; "" for nothing
}

// Sees reports whether what is a tenant's ("" for the platform's) may be read.
func (w Whose) Sees(tenant string) bool { return w.All || w.Tenant != "" && w.Tenant == tenant }

// ObjectQuery asks for records of objects, in the order of the bytes of their references.
type ObjectQuery struct {
	Whose
	Kind  planner.Kind // "" for every kind
	Dirty bool         // only those that the next plan touches again
	After string       // the reference that the page before has ended with; "" for the first one
	Limit int          // at most so many; 0 for none
}

// Pager is the ability of an inventory to be read page by page, and by tenant: what it reads is in proportion to the page.
type Pager interface {
	// ObjectPage returns records of objects.
	ObjectPage(ctx context.Context, q ObjectQuery) ([]ObjectStatus, error)
	// RunPage returns the newest runs with numbers below before (0 for all), at most limit, newest first. Of a tenant they
	// are those that change something of its own, and Changes, Done and Failed count nothing else.
	RunPage(ctx context.Context, w Whose, before int64, limit int) ([]Run, error)
	// ObjectsNamed returns the records of these objects, as far as there are any, in no particular order.
	ObjectsNamed(ctx context.Context, refs []planner.Ref) ([]ObjectStatus, error)
	// ChangePage returns the journal of a run in the order of its plan, without the first skip changes, at most limit.
	ChangePage(ctx context.Context, w Whose, run int64, skip, limit int) ([]ChangeStatus, error)
	// LiveOf is Inventory.Live with the objects of these kinds alone, and without what only plans need: images, allocations,
	// targets, generations. What Live remembers of what it has read isn't touched.
	LiveOf(ctx context.Context, kinds ...planner.Kind) (planner.Live, error)
	// Count counts objects, and those of them that are dirty.
	Count(ctx context.Context, w Whose) (objects, dirty int, err error)
}
