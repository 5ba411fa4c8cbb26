package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"hostctl/executors"
)

// requestTimeout bounds one request that changes something.
const requestTimeout = time.Minute

// steady is an engine whose changing requests are not cut off once they are under way: the engine goes on with a request
// whose client has left, and what comes of it would appear behind the back of the next one. With a context that is done
// none begins.
type steady struct{ Engine }

func (s steady) whole(ctx context.Context, request func(context.Context) error) error {
	if ctx.Err() != nil {
		return executors.NotTried(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return request(ctx)
}

func (s steady) NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (r network.CreateResponse, err error) {
	err = s.whole(ctx, func(ctx context.Context) (err error) { r, err = s.Engine.NetworkCreate(ctx, name, o); return })
	return r, err
}

func (s steady) NetworkRemove(ctx context.Context, id string) error {
	return s.whole(ctx, func(ctx context.Context) error { return s.Engine.NetworkRemove(ctx, id) })
}

func (s steady) VolumeCreate(ctx context.Context, o volume.CreateOptions) (v volume.Volume, err error) {
	err = s.whole(ctx, func(ctx context.Context) (err error) { v, err = s.Engine.VolumeCreate(ctx, o); return })
	return v, err
}

func (s steady) VolumeRemove(ctx context.Context, id string, force bool) error {
	return s.whole(ctx, func(ctx context.Context) error { return s.Engine.VolumeRemove(ctx, id, force) })
}

func (s steady) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (r container.CreateResponse, err error) {
	err = s.whole(ctx, func(ctx context.Context) (err error) {
		r, err = s.Engine.ContainerCreate(ctx, c, h, n, p, name)
		return
	})
	return r, err
}

func (s steady) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	return s.whole(ctx, func(ctx context.Context) error { return s.Engine.ContainerRemove(ctx, id, o) })
}

func (s steady) ContainerStart(ctx context.Context, id string, o container.StartOptions) error {
	return s.whole(ctx, func(ctx context.Context) error { return s.Engine.ContainerStart(ctx, id, o) })
}

func (s steady) ContainerStop(ctx context.Context, id string, o container.StopOptions) error {
	return s.whole(ctx, func(ctx context.Context) error { return s.Engine.ContainerStop(ctx, id, o) })
}

func (s steady) ContainerUpdate(ctx context.Context, id string, u container.UpdateConfig) (r container.UpdateResponse, err error) {
	err = s.whole(ctx, func(ctx context.Context) (err error) { r, err = s.Engine.ContainerUpdate(ctx, id, u); return })
	return r, err
}
