package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// pushWait is how long a push waits for its run. The run goes on without it.
const pushWait = 10 * time.Minute

// pushOptions is what whoever pushes asks of the hooks, with 'git push -o' (git-push(1), --push-option).
type pushOptions struct {
	wait   time.Duration // how long the run is followed; 0: not at all
	colour bool          // the plan may be in colours: git tells its hooks nothing of the client's terminal
}

// readPushOptions reads those that begin with "hostctl."; others are other hooks' (githooks(5), pre-receive).
func readPushOptions() (pushOptions, error) {
	asked := pushOptions{wait: pushWait}
	n, _ := strconv.Atoi(os.Getenv("GIT_PUSH_OPTION_COUNT")) // unset where git's client sent none
	for i := range n {
		option, ours := strings.CutPrefix(os.Getenv(fmt.Sprintf("GIT_PUSH_OPTION_%d", i)), "hostctl.")
		if !ours {
			continue
		}
		key, value, _ := strings.Cut(option, "=")
		wait, err := time.ParseDuration(value)
		switch {
		case option == "no-wait":
			asked.wait = 0
		case option == "color":
			asked.colour = true
		case key == "wait" && err == nil && wait > 0 && wait <= pushWait:
			asked.wait = wait
		default:
			return asked, fmt.Errorf("push option %q: want -o hostctl.no-wait, or -o hostctl.wait=30s, at most %v; or -o hostctl.color", "hostctl."+option, pushWait)
		}
	}
	return asked, nil
}
