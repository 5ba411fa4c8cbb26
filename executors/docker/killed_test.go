package docker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"hostctl/executors"
	"hostctl/executors/docker"
	"hostctl/executors/retry"
	"hostctl/planner"
)

// killed is a client that goes away a while after a request was sent, as one does that is killed. The engine goes on.
type killed struct {
	*client.Client
	after time.Duration
}

func (k killed) NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (network.CreateResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, k.after)
	defer cancel()
	return k.Client.NetworkCreate(ctx, name, o)
}

func (k killed) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, k.after)
	defer cancel()
	return k.Client.ContainerCreate(ctx, c, h, n, p, name)
}

func (k killed) ContainerStart(ctx context.Context, id string, o container.StartOptions) error {
	ctx, cancel := context.WithTimeout(ctx, k.after)
	defer cancel()
	return k.Client.ContainerStart(ctx, id, o)
}

func (k killed) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	ctx, cancel := context.WithTimeout(ctx, k.after)
	defer cancel()
	return k.Client.ContainerRemove(ctx, id, o)
}

// The next run finds what the engine makes of the requests of one that was killed, also while it is still at it.
func TestKilledInTheMiddleOfARequest(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			w := newWorld(t)
			dying := docker.New(killed{w.engine, after}, docker.Options{Target: target, Instance: w.instance, Files: files})
			next := retry.New(w.Executor, retry.Options{})
			changed := w.node(0, func(c *planner.Container) { c.Env = map[string]string{"A": "b"} })
			for _, c := range []planner.Change{create(w.network()), create(vol("web-1-0")), create(w.node(0)), create(changed), remove(changed)} {
				dying.Apply(t.Context(), []planner.Change{c})
				if err := next.Apply(t.Context(), []planner.Change{c})[0]; err != nil {
					t.Fatalf("%s %s after a run that was killed: %s: %v", c.Action, c.Ref(), executors.KindOf(err), err)
				}
				if got := w.observed(t, c.Ref()); planner.HashOf(got) != planner.HashOf(c.New) {
					t.Fatalf("%s %s: observed %v", c.Action, c.Ref(), got)
				}
			}
		})
	}
}

// stopping is a client whose first program in a container finds it stopped.
type stopping struct{ *client.Client }

func (s stopping) ContainerExecCreate(ctx context.Context, id string, o container.ExecOptions) (container.ExecCreateResponse, error) {
	if err := s.ContainerKill(ctx, id, "KILL"); err != nil {
		return container.ExecCreateResponse{}, err
	}
	return s.Client.ContainerExecCreate(ctx, id, o)
}

// A node that stops while it is observed isn't there, and the others are.
func TestNodeThatStopsWhileItIsObserved(t *testing.T) {
	w := newWorld(t)
	fatal(t, w.started(t, w.node(0)))
	objects, err := docker.New(stopping{w.engine}, docker.Options{Target: target, Instance: w.instance}).Observe(t.Context())
	if err != nil || len(objects) != 2 {
		t.Errorf("observed %v, %v; want the network and the volume", objects, err)
	}
}
