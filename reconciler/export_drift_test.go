package reconciler

import "context"

// Correct marks what was found, and reports whether it marked anything.
func (r *Reconciler) Correct(ctx context.Context, d *Drift) bool {
	moved, err := r.correct(ctx, d)
	if err != nil {
		panic(err)
	}
	return moved
}
