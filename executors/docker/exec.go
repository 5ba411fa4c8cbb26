package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"hostctl/executors"
	"hostctl/planner"
)

// pollInterval is how often a state that is waited for is looked at.
const pollInterval = 150 * time.Millisecond

// execTimeout bounds one program that is run in a container.
const execTimeout = 15 * time.Second

// maxOutput is how much of a program's output, or of a log, is kept, in bytes.
const maxOutput = 4096

// result is how a program ended in a container.
type result struct {
	code   int
	output string // both streams
}

// exec runs a program in a container, as root, without a shell, and waits until it ends.
func (e *Executor) exec(ctx context.Context, id string, argv ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	x, err := e.engine.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: argv, User: "0:0", AttachStdout: true, AttachStderr: true})
	if err != nil {
		return result{}, err
	}
	streams, err := e.engine.ContainerExecAttach(ctx, x.ID, container.ExecAttachOptions{})
	if err != nil {
		return result{}, err
	}
	defer streams.Close()
	defer context.AfterFunc(ctx, streams.Close)() // the stream doesn't know of ctx
	out := &tail{}
	if _, err := stdcopy.StdCopy(out, out, streams.Reader); err != nil && ctx.Err() == nil {
		return result{}, fmt.Errorf("read the output of %s: %w", argv[0], err)
	}
	if ctx.Err() != nil {
		return result{}, executors.Errorf(executors.Busy, "%s doesn't end: %w", argv[0], ctx.Err())
	}
	state, err := e.engine.ContainerExecInspect(ctx, x.ID)
	if err != nil {
		return result{}, err
	}
	return result{code: state.ExitCode, output: strings.TrimSpace(out.String())}, nil
}

// tail is a writer that keeps the last maxOutput bytes.
type tail struct{ bytes.Buffer }

func (t *tail) Write(b []byte) (int, error) {
	n, err := t.Buffer.Write(b)
	if over := t.Len() - maxOutput; over > 0 {
		t.Next(over)
	}
	return n, err
}

// lastLines returns the end of a container's log, indented, to be shown in an error.
func (e *Executor) lastLines(ctx context.Context, id string) string {
	const lines = "12"
	log, err := e.engine.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: lines})
	if err != nil {
		return "\n  (its log can't be read: " + err.Error() + ")"
	}
	defer log.Close() //nolint:errcheck // it was only read
	out := &tail{}
	if _, err := stdcopy.StdCopy(out, out, log); err != nil && !errors.Is(err, io.EOF) {
		return "\n  (its log can't be read: " + err.Error() + ")"
	}
	text := strings.TrimSpace(out.String())
	if text == "" {
		return " (its log is empty)"
	}
	return "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// waitHealthy runs a container's health check until it passes. A container that exits is stopped, so that it doesn't spin,
// and stays to be looked at; the next create makes it anew.
func (e *Executor) waitHealthy(ctx context.Context, id string, o planner.Container) error {
	within, cancel := context.WithTimeout(ctx, e.o.Healthy)
	defer cancel()
	restarts := -1
	var last string
	for {
		c, err := e.engine.ContainerInspect(within, id)
		switch {
		case err != nil && within.Err() == nil:
			return fail(o.Ref(), "inspect the container", err)
		case err == nil && restarts < 0:
			restarts = c.RestartCount
		}
		if err == nil && (!c.State.Running || c.State.Restarting || c.RestartCount != restarts) {
			return e.exited(ctx, c, o)
		}
		x, err := e.exec(within, id, healthArgv(o)...)
		switch {
		case err == nil && x.code == 0:
			return nil
		case err == nil:
			last = fmt.Sprintf("exit status %d: %s", x.code, x.output)
		case within.Err() == nil:
			last = err.Error() // it may have ended meanwhile; the next look will tell
		}
		if !pause(within, pollInterval) {
			return e.neverHealthy(ctx, id, o, last)
		}
	}
}

func (e *Executor) exited(ctx context.Context, c container.InspectResponse, o planner.Container) error {
	lines := e.lastLines(ctx, c.ID)
	now := 0
	if err := e.engine.ContainerStop(ctx, c.ID, container.StopOptions{Timeout: &now}); err != nil {
		lines += "\n  (it can't be stopped: " + err.Error() + ")"
	}
	status := fmt.Sprintf(" with status %d", c.State.ExitCode)
	if c.State.Running { // again, and the engine tells no more of how it ended before
		status = ""
	}
	return executors.Errorf(executors.Unknown, "%s: the container ended%s as soon as it was started; its log (docker logs %s):%s",
		o.Ref(), status, e.name(o.Name), lines)
}

func (e *Executor) neverHealthy(ctx context.Context, id string, o planner.Container, last string) error {
	if ctx.Err() != nil {
		return executors.Errorf(executors.Canceled, "%s: not healthy yet when the run was stopped: %w", o.Ref(), context.Cause(ctx))
	}
	return executors.Errorf(executors.Unknown, "%s: not healthy after %s; its check %s said: %s; its log (docker logs %s):%s",
		o.Ref(), e.o.Healthy, healthArgv(o)[0], last, e.name(o.Name), e.lastLines(ctx, id))
}

// pause waits, or returns false if ctx is done before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
