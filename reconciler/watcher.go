package reconciler

import "context"

// Watcher is the ability of an inventory to tell that another process has changed it.
type Watcher interface {
	// Watch calls changed soon after each change that others have made to the inventory and that matters to a plan,
	// until ctx is done; then it returns nil. It may call it when nothing has changed. changed must not block.
	Watch(ctx context.Context, changed func()) error
}
