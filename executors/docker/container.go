package docker

import (
	"context"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"hostctl/executors"
	"hostctl/planner"
)

// stopSeconds is how long a container may take to stop before it is killed.
const stopSeconds = 5

// putContainer makes a container and waits until it is healthy; also a replacement of one that differs, and one that was
// left half made: created but never started, stopped, or unhealthy. One that runs as it should is only waited for.
func (e *Executor) putContainer(ctx context.Context, o planner.Container) error {
	if o.ImageID == "" {
		return e.noImage(o)
	}
	found, err := e.findContainer(ctx, o.Ref())
	if err != nil {
		return err
	}
	if found != nil {
		same, err := e.runsAs(ctx, *found, o)
		if err != nil {
			return err
		}
		if same {
			return e.waitHealthy(ctx, found.ID, o)
		}
		if err := e.removeContainer(ctx, o.Ref(), found.ID); err != nil {
			return err
		}
	}
	id, err := e.create(ctx, o)
	if err != nil {
		return err
	}
	if err := e.copyFiles(ctx, id, o); err != nil {
		return err
	}
	if err := e.start(ctx, id, o); err != nil {
		return err
	}
	return e.waitHealthy(ctx, id, o)
}

// updateContainer changes limits of a running container. Any other difference is a Conflict: the plan saw another one.
func (e *Executor) updateContainer(ctx context.Context, o planner.Container) error {
	found, err := e.findContainer(ctx, o.Ref())
	if err != nil {
		return err
	}
	if found == nil || !isUp(*found) {
		return e.putContainer(ctx, o)
	}
	now, err := e.observeContainer(ctx, *found)
	if err != nil {
		return fail(o.Ref(), "read the container", err)
	}
	is, ok := now.(planner.Container)
	if !ok || planner.HashOf(withLimits(is, o)) != planner.HashOf(o) {
		return executors.Errorf(executors.Conflict, "%s: what runs differs in more than its limits from what the plan was made against; plan again", o.Ref())
	}
	if is.NanoCPUs != 0 && o.NanoCPUs == 0 || is.Memory != 0 && o.Memory == 0 {
		return executors.Errorf(executors.Conflict, "%s: what runs has a limit that the plan knows nothing of, and Docker takes no memory or CPU limit away from a running container; plan again", o.Ref())
	}
	if _, err := e.engine.ContainerUpdate(ctx, found.ID, container.UpdateConfig{Resources: newLimits(o)}); err != nil {
		return fail(o.Ref(), "change the limits", err)
	}
	return nil
}

// withLimits returns c with the limits of o.
func withLimits(c, o planner.Container) planner.Container {
	c.Memory, c.NanoCPUs, c.Pids = o.Memory, o.NanoCPUs, o.Pids
	return c
}

// deleteContainer stops and removes a container. Named volumes stay.
func (e *Executor) deleteContainer(ctx context.Context, o planner.Container) error {
	found, err := e.findContainer(ctx, o.Ref())
	if err != nil || found == nil {
		return err
	}
	return e.removeContainer(ctx, o.Ref(), found.ID)
}

// findContainer returns the container of that name, nil if there is none, and a Conflict if it is someone else's.
func (e *Executor) findContainer(ctx context.Context, r planner.Ref) (*container.InspectResponse, error) {
	c, err := e.engine.ContainerInspect(ctx, e.name(r.Name))
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(r, "inspect the container", err)
	}
	return &c, e.mine(r, c.Config.Labels)
}

// runsAs reports whether a container runs, isn't unhealthy, and is what it should be.
func (e *Executor) runsAs(ctx context.Context, c container.InspectResponse, o planner.Container) (bool, error) {
	if !isUp(c) {
		return false, nil
	}
	now, err := e.observeContainer(ctx, c)
	if err != nil {
		return false, fail(o.Ref(), "read the container", err)
	}
	return planner.HashOf(now) == planner.HashOf(o), nil
}

// isUp reports whether a container runs, isn't called unhealthy by its health check, and is in a network: one that was
// taken out of its own can't be reached, and putting it back would give it another address.
func isUp(c container.InspectResponse) bool {
	s := c.State
	cut := c.NetworkSettings != nil && len(c.NetworkSettings.Networks) == 0
	return s != nil && !cut && s.Running && !s.Paused && !s.Restarting && !s.Dead &&
		(s.Health == nil || s.Health.Status != container.Unhealthy)
}

// create creates a container and checks before that the engine would not make up what is missing: it creates volumes
// that aren't there, without labels.
func (e *Executor) create(ctx context.Context, o planner.Container) (id string, err error) {
	for _, m := range o.Mounts {
		r := planner.Ref{Kind: planner.KindVolume, Target: o.Target, Name: m.Volume}
		if v, err := e.findVolume(ctx, r); err != nil {
			return "", err
		} else if v == nil {
			return "", executors.Errorf(executors.Conflict, "%s: the volume %s that it mounts isn't there; plan again", o.Ref(), m.Volume)
		}
	}
	config, host, net, err := e.spec(o)
	if err != nil {
		return "", err
	}
	r, err := e.engine.ContainerCreate(ctx, config, host, net, nil, e.name(o.Name))
	switch {
	case err != nil && cerrdefs.IsNotFound(err) && textHas(err, "No such image", "no such image"):
		return "", e.noImage(o)
	case err != nil && cerrdefs.IsConflict(err): // the name is taken since it was looked for: by a request of a run that was killed
		return "", executors.Errorf(executors.Busy, "%s: create the container: %w", o.Ref(), err)
	case err != nil:
		return "", fail(o.Ref(), "create the container", err)
	}
	return r.ID, nil
}

func (e *Executor) noImage(o planner.Container) error {
	return executors.Errorf(executors.Refused, "%s: image %s isn't on %s: build or pull it there, then plan again", o.Ref(), o.Image, o.Target)
}

// start starts a container. One that can't be started is removed: the error says all that is to be known.
func (e *Executor) start(ctx context.Context, id string, o planner.Container) error {
	err := e.engine.ContainerStart(ctx, id, container.StartOptions{})
	if err == nil {
		return nil
	}
	if kind(err) != executors.Unreachable && ctx.Err() == nil {
		if rerr := e.removeContainer(ctx, o.Ref(), id); rerr != nil {
			return rerr
		}
	}
	switch {
	case portTaken(err):
		return executors.Errorf(executors.Conflict, "%s: an address or port that it was given is in use on %s; free it, then plan again: %w", o.Ref(), o.Target, err)
	case cerrdefs.IsNotFound(err) && textHas(err, "network"):
		return executors.Errorf(executors.Conflict, "%s: the network %s isn't there; plan again: %w", o.Ref(), o.Network, err)
	}
	return fail(o.Ref(), "start the container", err)
}

// removeContainer stops and removes a container, with the anonymous volumes that its image may have asked for.
func (e *Executor) removeContainer(ctx context.Context, r planner.Ref, id string) error {
	seconds := stopSeconds
	if err := e.engine.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); err != nil && !cerrdefs.IsNotFound(err) {
		if kind(err) == executors.Unreachable {
			return fail(r, "stop the container", err)
		}
		// What can't be stopped is removed by force.
	}
	err := e.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case err == nil, cerrdefs.IsNotFound(err):
		return nil
	case cerrdefs.IsConflict(err) && textHas(err, "in progress"):
		return e.waitGone(ctx, r, id)
	}
	return fail(r, "remove the container", err)
}

// waitGone waits until a removal that someone else began has ended.
func (e *Executor) waitGone(ctx context.Context, r planner.Ref, id string) error {
	const enough = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	for {
		_, err := e.engine.ContainerInspect(ctx, id)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if !pause(ctx, pollInterval) {
			return executors.Errorf(executors.Busy, "%s: the container is being removed and doesn't go", r)
		}
	}
}
