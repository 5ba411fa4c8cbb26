// Command node-agent runs inside every node and makes it what it is told to be. Without arguments it serves.
//
//	node-agent            serve, configured by the environment (see config)
//	node-agent ping       exit 0 if the agent of this node serves
//	node-agent version    print what this program is
//	node-agent exec FILE  become the program of a site's service, as a service's run script does
//	node-agent job NAME TIME  carry out the run of a job that was due at a time, in seconds since 1970
//	node-agent become FILE    become the program of a job, as a run of it does
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"hostctl/agent/apps"
	"hostctl/agent/cron"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	verb := "serve"
	if len(args) > 0 {
		verb = args[0]
	}
	switch {
	case verb == "exec" && len(args) == 2:
		return apps.Exec(args[1])
	case verb == "become" && len(args) == 2:
		return cron.New(cron.Options{}).Become(args[1])
	case verb == "job" && len(args) == 3:
		due, err := cron.Due(args[2])
		if err != nil {
			return err
		}
		return cron.New(cron.Options{}).Supervise(ctx, args[1], due)
	case len(args) > 1:
	case verb == "serve":
		return serve(ctx)
	case verb == "ping":
		return ping(ctx)
	case verb == "version":
		return version()
	}
	return fmt.Errorf("no such command; there are: node-agent, node-agent ping, node-agent version")
}

func version() error {
	sum, err := binary()
	if err != nil {
		return err
	}
	built := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		built = info.GoVersion
	}
	fmt.Printf("node-agent sha256:%s %s\n", sum, built)
	return nil
}
