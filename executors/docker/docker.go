// Package docker is the executor of one Docker engine: networks, volumes, the containers that are nodes, and the agent
// program in each of them. It speaks the engine's API from version 1.41 (engine 20.10) on.
//
// # Names and labels
//
// What hostctl's object web-1-0 is called in Docker ends in the first eight digits of the instance id, web-1-0.3f9a2b1c,
// so that several instances share an engine. Labels say whose a thing is (hostctl.instance, hostctl.ref), hash what it was
// made from (hostctl.hash, for people: an update in place outdates it) and tell what the engine doesn't know by itself
// (hostctl.declared: role, cluster, image tag, which variables and ports were asked for under which names). A thing of that
// name with other labels is a Conflict and isn't touched.
//
// # What is observed
//
// Observe builds objects from what the engine inspects: image id, environment, mounts, bound ports, limits, capabilities,
// address. A container that doesn't run, or that its health check calls unhealthy, isn't observed: with the node down
// nothing in it is there. Applying its create then makes it anew, and as all it held was taken for gone, all is put back.
// An agent is observed if its node runs, has the program and the program answers.
package docker

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"

	dockertypes "github.com/docker/docker/api/types"
)

// Engine is what is used of a Docker client. *client.Client is one.
type Engine interface {
	NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (network.CreateResponse, error)
	NetworkInspect(ctx context.Context, id string, o network.InspectOptions) (network.Inspect, error)
	NetworkList(ctx context.Context, o network.ListOptions) ([]network.Summary, error)
	NetworkRemove(ctx context.Context, id string) error

	VolumeCreate(ctx context.Context, o volume.CreateOptions) (volume.Volume, error)
	VolumeInspect(ctx context.Context, id string) (volume.Volume, error)
	VolumeList(ctx context.Context, o volume.ListOptions) (volume.ListResponse, error)
	VolumeRemove(ctx context.Context, id string, force bool) error

	ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error)
	ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error)
	ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error)
	ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error
	ContainerStart(ctx context.Context, id string, o container.StartOptions) error
	ContainerStatPath(ctx context.Context, id, path string) (container.PathStat, error)
	ContainerStop(ctx context.Context, id string, o container.StopOptions) error
	ContainerUpdate(ctx context.Context, id string, u container.UpdateConfig) (container.UpdateResponse, error)
	CopyToContainer(ctx context.Context, id, path string, content io.Reader, o container.CopyToContainerOptions) error

	ContainerExecCreate(ctx context.Context, id string, o container.ExecOptions) (container.ExecCreateResponse, error)
	ContainerExecAttach(ctx context.Context, id string, o container.ExecAttachOptions) (dockertypes.HijackedResponse, error)
	ContainerExecInspect(ctx context.Context, id string) (container.ExecInspect, error)

	ImageInspect(ctx context.Context, id string, o ...client.ImageInspectOption) (image.InspectResponse, error)
	Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error)
}

// Options of an executor. Target and Instance are required.
type Options struct {
	Target   string // name of the Host; other targets' objects on the same engine aren't observed
	Instance string // id of the inventory that everything belongs to

	// Files returns what is copied into a container before it starts, by absolute path: its certificate and key. Nil
	// means nothing. The contents appear in no label, variable, error or log.
	Files func(planner.Container) (map[string]File, error)
	// AgentBinary opens the node-agent program with that SHA-256 (hex) and says its size in bytes. Nil: agents are refused.
	AgentBinary func(sha256 string) (io.ReadCloser, int64, error)

	Healthy time.Duration // how long a container may take to become healthy; 0 means DefaultHealthy
	Agent   time.Duration // how long an agent may take to answer; 0 means DefaultAgent
}

// Defaults of Options.
const (
	DefaultHealthy = 90 * time.Second
	DefaultAgent   = 30 * time.Second
)

// File is a file that is copied into a container. It belongs to root.
type File struct {
	Mode    fs.FileMode
	Content []byte
}

// parallel is how many changes of a batch are worked on at a time.
const parallel = 8

// Executor is one Docker engine.
type Executor struct {
	engine steady
	o      Options
}

// New returns the executor of an engine.
func New(engine Engine, o Options) *Executor {
	if o.Healthy == 0 {
		o.Healthy = DefaultHealthy
	}
	if o.Agent == 0 {
		o.Agent = DefaultAgent
	}
	return &Executor{engine: steady{engine}, o: o}
}

// Dial returns a client of an engine that settles on a common API version with its first request. Nothing is sent yet.
func Dial(d schema.Docker) (*client.Client, error) {
	opts := []client.Opt{client.WithHost(d.Endpoint), client.WithAPIVersionNegotiation()}
	if d.TLS != nil {
		opts = append(opts, client.WithTLSClientConfig(d.TLS.CA, d.TLS.Cert, d.TLS.Key))
	}
	c, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker engine %s: %w", d.Endpoint, err)
	}
	return c, nil
}

// Close closes the engine's client.
func (e *Executor) Close() error {
	if c, ok := e.engine.Engine.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Apply implements executors.Executor. What is deleted is deleted first, for it may hold a port or an address that
// another change of the batch takes; apart from that the changes are worked on side by side.
func (e *Executor) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	for _, deletes := range []bool{true, false} {
		var round sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for i, c := range cs {
			if (c.Action == planner.Delete) != deletes {
				continue
			}
			slots <- struct{}{}
			round.Go(func() {
				defer func() { <-slots }()
				errs[i] = e.one(ctx, c)
			})
		}
		round.Wait()
	}
	return errs
}

// one applies one change. A panic is an error, for it is in a goroutine of its own.
func (e *Executor) one(ctx context.Context, c planner.Change) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &executors.Error{Kind: executors.Unknown, Err: &executors.PanicError{Value: v, Stack: debug.Stack()}}
		}
	}()
	if ctx.Err() != nil {
		return executors.NotTried(ctx)
	}
	if c.New == nil {
		return e.delete(ctx, c.Old)
	}
	switch o := c.New.(type) {
	case planner.Network:
		return e.putNetwork(ctx, o)
	case planner.Volume:
		return e.putVolume(ctx, o)
	case planner.Container:
		if c.Action == planner.Update {
			return e.updateContainer(ctx, o)
		}
		return e.putContainer(ctx, o)
	case planner.Agent:
		return e.putAgent(ctx, o)
	}
	return foreignKind(c)
}

func (e *Executor) delete(ctx context.Context, o planner.Object) error {
	switch o := o.(type) {
	case planner.Network:
		return e.deleteNetwork(ctx, o)
	case planner.Volume:
		return e.deleteVolume(ctx, o)
	case planner.Container:
		return e.deleteContainer(ctx, o)
	case planner.Agent:
		return nil // it goes with its node's volume
	}
	return foreignKind(planner.Change{Old: o})
}

func foreignKind(c planner.Change) error {
	return executors.Errorf(executors.Refused, "%s: a Docker engine has no objects of kind %s", c.Ref(), c.Ref().Kind)
}

// name returns what an object is called in Docker.
func (e *Executor) name(object string) string { return object + "." + e.short() }

// short is the part of the instance id that is in names.
func (e *Executor) short() string {
	const digits = 8
	s := strings.ReplaceAll(e.o.Instance, "-", "")
	return s[:min(len(s), digits)]
}

// object returns the name in hostctl of what is called name in Docker.
func (e *Executor) object(name string) string { return strings.TrimSuffix(name, "."+e.short()) }
