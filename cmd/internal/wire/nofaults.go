//go:build !faults

package wire

import "hostctl/reconciler"

// withFaults adds the fault points in a program that is built with the tag faults.
func withFaults(i reconciler.Inventory) reconciler.Inventory { return i }
