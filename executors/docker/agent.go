package docker

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"hostctl/executors"
	"hostctl/planner"
)

// Places in a node. The node's own volume is mounted at stateFolder.
const (
	stateFolder  = "/var/lib/hostctl"
	agentFolder  = stateFolder + "/bin"
	agentProgram = agentFolder + "/node-agent"
	agentNew     = agentFolder + "/.node-agent.new"
	agentService = "/run/service/node-agent"
)

// putAgent puts the agent's program into a running node and waits until it answers.
func (e *Executor) putAgent(ctx context.Context, o planner.Agent) error {
	node, err := e.nodeOf(ctx, o)
	if err != nil {
		return err
	}
	there, err := e.sum(ctx, node.ID, agentProgram)
	if err != nil {
		return fail(o.Ref(), "look for the agent's program", err)
	}
	if there == o.Binary && e.answers(ctx, node.ID) == nil {
		return nil
	}
	if there != o.Binary {
		if err := e.install(ctx, node.ID, o); err != nil {
			return err
		}
	}
	return e.restartAgent(ctx, node.ID, o)
}

// nodeOf returns the running container that has the agent's volume.
func (e *Executor) nodeOf(ctx context.Context, o planner.Agent) (*container.InspectResponse, error) {
	node, err := e.findContainer(ctx, planner.Ref{Kind: planner.KindContainer, Target: o.Target, Name: o.Name})
	switch {
	case err != nil:
		return nil, err
	case node == nil || !isUp(*node):
		return nil, executors.Errorf(executors.Conflict, "%s: the node %s doesn't run; plan again", o.Ref(), o.Name)
	case e.stateVolume(*node) != o.Volume:
		return nil, executors.Errorf(executors.Conflict, "%s: the node %s has the volume %q at %s, want %q", o.Ref(), o.Name, e.stateVolume(*node), stateFolder, o.Volume)
	}
	return node, nil
}

// stateVolume returns the name of the volume that a node keeps its state in, "" if there is none.
func (e *Executor) stateVolume(c container.InspectResponse) string {
	for _, m := range c.Mounts {
		if m.Type == mount.TypeVolume && m.Destination == stateFolder {
			return e.object(m.Name)
		}
	}
	return ""
}

// install copies the program beside its place, checks it, and renames it into its place: the engine unpacks archives
// piece by piece, and a program that runs can't be written to.
func (e *Executor) install(ctx context.Context, id string, o planner.Agent) error {
	if e.o.AgentBinary == nil {
		return executors.Errorf(executors.Refused, "%s: this program has no node-agent to give", o.Ref())
	}
	program, size, err := e.o.AgentBinary(o.Binary)
	if err != nil {
		return executors.Errorf(executors.Refused, "%s: open node-agent %.12s: %w", o.Ref(), o.Binary, err)
	}
	defer program.Close() //nolint:errcheck // it was only read
	if err := e.copyProgram(ctx, id, program, size); err != nil {
		return fail(o.Ref(), "copy the agent's program", err)
	}
	got, err := e.sum(ctx, id, agentNew)
	if err != nil {
		return fail(o.Ref(), "check the agent's program", err)
	}
	if got != o.Binary {
		return executors.Errorf(executors.Unknown, "%s: the program that arrived has SHA-256 %q, want %q", o.Ref(), got, o.Binary)
	}
	x, err := e.exec(ctx, id, "/bin/mv", "-f", agentNew, agentProgram)
	if err == nil && x.code != 0 {
		err = fmt.Errorf("mv: %s", x.output)
	}
	if err != nil {
		return fail(o.Ref(), "put the agent's program in place", err)
	}
	return nil
}

// copyProgram streams the program to its place for the time being.
func (e *Executor) copyProgram(ctx context.Context, id string, program io.Reader, size int64) error {
	const programMode = 0o755
	missing, err := e.missingFolders(ctx, id, []string{agentNew})
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	defer r.Close() //nolint:errcheck // lets the writer end
	go func() {
		t := tar.NewWriter(w)
		err := func() error {
			for _, dir := range missing {
				if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o700}); err != nil {
					return err
				}
			}
			if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(agentNew, "/"), Mode: programMode, Size: size}); err != nil {
				return err
			}
			if _, err := io.Copy(t, program); err != nil {
				return err
			}
			return t.Close()
		}()
		w.CloseWithError(err) //nolint:errcheck // always nil
	}()
	return e.engine.CopyToContainer(ctx, id, "/", r, container.CopyToContainerOptions{})
}

// sum returns the SHA-256 of a file in a container in hex, "" if it can't be read.
func (e *Executor) sum(ctx context.Context, id, file string) (string, error) {
	x, err := e.exec(ctx, id, "sha256sum", file)
	if err != nil || x.code != 0 {
		return "", err
	}
	hash, _, _ := strings.Cut(x.output, " ")
	return hash, nil
}

// answers returns nil if a node's agent serves.
func (e *Executor) answers(ctx context.Context, id string) error {
	x, err := e.exec(ctx, id, agentProgram, "ping")
	if err == nil && x.code != 0 {
		err = fmt.Errorf("%s ping: exit status %d: %s", path.Base(agentProgram), x.code, x.output)
	}
	return err
}

// restartAgent makes s6 start the program that is in place, and waits until it answers.
func (e *Executor) restartAgent(ctx context.Context, id string, o planner.Agent) error {
	within, cancel := context.WithTimeout(ctx, e.o.Agent)
	defer cancel()
	// -wr waits until it was restarted, so that it isn't the old one that answers; -ru also starts one that is down.
	x, err := e.exec(within, id, "s6-svc", "-wr", "-T", "5000", "-ru", agentService)
	if err != nil {
		return fail(o.Ref(), "restart the agent", err)
	}
	last := fmt.Errorf("s6-svc: exit status %d: %s", x.code, x.output)
	for {
		err := e.answers(within, id)
		if err == nil {
			return nil
		}
		if within.Err() == nil {
			last = err
		}
		if pause(within, pollInterval) {
			continue
		}
		if ctx.Err() != nil {
			return executors.Errorf(executors.Canceled, "%s: the agent didn't answer yet when the run was stopped: %w", o.Ref(), context.Cause(ctx))
		}
		return executors.Errorf(executors.Unknown, "%s: the agent doesn't answer after %s: %w; its log (docker logs %s):%s", o.Ref(), e.o.Agent, last, e.name(o.Name), e.lastLines(ctx, id))
	}
}

// observeAgent returns the agent that answers in a running node, nil if there is none.
func (e *Executor) observeAgent(ctx context.Context, c container.InspectResponse) (planner.Object, error) {
	m, ok := e.meta(c.Config.Labels)
	if !ok || e.stateVolume(c) == "" {
		return nil, nil
	}
	there, err := e.sum(ctx, c.ID, agentProgram)
	if err != nil || there == "" {
		return nil, err
	}
	if err := e.answers(ctx, c.ID); err != nil {
		if kind(err) == executors.Unreachable || ctx.Err() != nil {
			return nil, err
		}
		return nil, nil
	}
	return planner.Agent{Meta: m, Binary: there, Volume: e.stateVolume(c)}, nil
}
