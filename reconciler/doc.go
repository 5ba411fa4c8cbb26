// Package reconciler makes a commit true: it loads the commit, plans it against the inventory, applies the plan through
// executors and records what happened. hostctl and hostd both run its Plan and Apply; what one shows is what the other
// would do.
//
// The package declares what it needs, Source and Inventory, where it uses it. Package git implements the first, package
// inventory the second.
package reconciler
