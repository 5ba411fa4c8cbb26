//go:build !linux

package sqlite

import "context"

// Elsewhere the lease alone decides.

func holdRun(string, int64) (release func(), err error) { return func() {}, nil }

func holderDead(string, int64) bool { return false }

func lockSetup(context.Context, string) (unlock func(), err error) { return func() {}, nil }
