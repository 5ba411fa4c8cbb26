package docker

import (
	"context"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"hostctl/executors"
)

// ImageIDs returns the ids of image tags on this engine. A tag that isn't there is left out.
func (e *Executor) ImageIDs(ctx context.Context, tags []string) (map[string]string, error) {
	ids := make(map[string]string, len(tags))
	for _, tag := range tags {
		img, err := e.engine.ImageInspect(ctx, tag)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, executors.Errorf(kind(err), "image %s on %s: %w", tag, e.o.Target, err)
		}
		ids[tag] = img.ID
	}
	return ids, nil
}

// Watch calls changed when a container of the instance died, was removed or became unhealthy, until ctx is done; also
// those that Apply stops, and each time after the engine couldn't be asked for a while, for anything may have happened
// then. Its error is that of ctx.
func (e *Executor) Watch(ctx context.Context, changed func()) error {
	const again = time.Second
	for missed := false; ; missed = true {
		messages, errs := e.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("label", labelInstance+"="+e.o.Instance),
			filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", string(events.ActionDestroy)),
			filters.Arg("event", string(events.ActionHealthStatus)),
		)})
		if missed {
			changed()
		}
		e.follow(messages, errs, changed)
		if !pause(ctx, again) {
			return context.Cause(ctx)
		}
	}
}

// follow passes events on until their stream ends.
func (e *Executor) follow(messages <-chan events.Message, errs <-chan error, changed func()) {
	for {
		select {
		case m := <-messages:
			if m.Action != events.ActionHealthStatusHealthy && m.Action != events.ActionHealthStatusRunning {
				changed()
			}
		case <-errs: //nolint:errcheck // whatever ended the stream, it is opened again
			return
		}
	}
}
