package haproxy

import (
	"context"
	"fmt"
)

// ReloadByMaster reloads the process of an executor.
func ReloadByMaster(ctx context.Context, e *Executor) error { return e.reloadByMaster(ctx) }

// RunsGeneration is an error unless the process runs a configuration of that generation.
func RunsGeneration(ctx context.Context, e *Executor, want string) error {
	got, err := e.runningGeneration(ctx)
	if err == nil && got != want {
		err = fmt.Errorf("it runs %q", got)
	}
	return err
}

// Ready is an error until the process answers.
func (x *External) Ready(ctx context.Context) error {
	_, err := x.running(ctx)
	return err
}
