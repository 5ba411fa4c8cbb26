//go:build !faults

// Package fault names the points of a run at which the fault tests stop a program, to kill it there or to break what it
// is about to use. In a program that is built without the tag faults there are none of them.
package fault

import (
	"hostctl/executors"
	"hostctl/planner"
)

// Executors returns a node's executors with fault points before and after each of their batches.
func Executors(_ string, es map[planner.Kind]executors.Executor) map[planner.Kind]executors.Executor {
	return es
}
