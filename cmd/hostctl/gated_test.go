package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// gate is the variable that names a folder. Where a file in it is called as a target is, changes of the target wait until
// it is gone; "TARGET.waits" tells that one does. A file "TARGET.fails" holds the error that they end with.
const gate = "HOSTCTL_TEST_GATE"

// gated connects far sides in memory: what is asked of them is done, unless a gate is in the way.
func gated(t planner.Target, s reconciler.Session) (executors.Executor, error) {
	return gatedBy(os.Getenv(gate))(t, s)
}

// gatedBy does what gated does with the gates in a folder.
func gatedBy(dir string) reconciler.Connect {
	return func(planner.Target, reconciler.Session) (executors.Executor, error) {
		return held{executors.Each(func(ctx context.Context, c planner.Change) error {
			return pass(ctx, dir, c.Ref().Target)
		})}, nil
	}
}

// held holds every image that is asked for.
type held struct{ executors.Executor }

// ImageIDs implements reconciler.ImageResolver.
func (held) ImageIDs(ctx context.Context, tags []string) (map[string]string, error) {
	ids := map[string]string{}
	for _, tag := range tags {
		ids[tag] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(tag)))
	}
	return ids, ctx.Err()
}

func pass(ctx context.Context, dir, target string) error {
	if dir == "" {
		return nil
	}
	if b, err := os.ReadFile(dir + "/" + target + ".fails"); err == nil {
		return executors.Errorf(executors.Refused, "%s", strings.TrimSpace(string(b)))
	}
	for first := true; ; first = false {
		if _, err := os.Stat(dir + "/" + target); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if first {
			if err := os.WriteFile(dir+"/"+target+".waits", nil, 0o600); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
