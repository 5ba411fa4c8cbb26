package docker

import (
	"context"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/volume"

	"hostctl/executors"
	"hostctl/planner"
)

// putVolume makes a volume and notes whether it is kept. The engine can't change the labels of a volume, so the note is
// an empty volume beside it.
func (e *Executor) putVolume(ctx context.Context, o planner.Volume) error {
	v, err := e.findVolume(ctx, o.Ref())
	switch {
	case err != nil:
		return err
	case v != nil && holdsData(*v) != o.Data:
		return executors.Errorf(executors.Refused, "%s: whether a volume holds data is settled when it is made (now %v); give it another name", o.Ref(), holdsData(*v))
	case v == nil:
		labels := e.labels(o)
		labels[labelData] = strconv.FormatBool(o.Data)
		if _, err := e.engine.VolumeCreate(ctx, volume.CreateOptions{Name: e.name(o.Name), Driver: "local", Labels: labels}); err != nil {
			return fail(o.Ref(), "create the volume", err)
		}
	}
	return e.noteKept(ctx, o.Ref(), o.Kept)
}

// deleteVolume removes a volume. One that holds data is only removed where it was kept, and is noted to be. Of one that
// somebody has removed by hand the note goes.
func (e *Executor) deleteVolume(ctx context.Context, o planner.Volume) error {
	refused := executors.Errorf(executors.Refused, "%s holds data, and nobody has said that it may go: it wasn't kept before; remove it by hand if it is surely not needed: docker volume rm %s", o.Ref(), e.name(o.Name))
	v, err := e.findVolume(ctx, o.Ref())
	switch {
	case err != nil:
		return err
	case v == nil:
		return e.noteKept(ctx, o.Ref(), false)
	}
	if o.Data || holdsData(*v) {
		kept, err := e.isKept(ctx, o.Ref())
		if err != nil {
			return err
		}
		if !kept || !o.Kept {
			return refused
		}
	}
	if err := e.engine.VolumeRemove(ctx, v.Name, false); err != nil && !cerrdefs.IsNotFound(err) {
		return fail(o.Ref(), "remove the volume", err)
	}
	return e.noteKept(ctx, o.Ref(), false) // last: without it nobody could try again
}

// findVolume returns the volume of that name, nil if there is none, and a Conflict if it is someone else's.
func (e *Executor) findVolume(ctx context.Context, r planner.Ref) (*volume.Volume, error) {
	v, err := e.engine.VolumeInspect(ctx, e.name(r.Name))
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(r, "inspect the volume", err)
	}
	return &v, e.mine(r, v.Labels)
}

// noteKept makes or removes the note that a volume is kept. Making what is there, and removing what is gone, succeeds.
func (e *Executor) noteKept(ctx context.Context, r planner.Ref, kept bool) error {
	note := e.name(r.Name) + ".kept"
	if kept {
		labels := map[string]string{labelInstance: e.o.Instance, labelKept: r.String()}
		if _, err := e.engine.VolumeCreate(ctx, volume.CreateOptions{Name: note, Driver: "local", Labels: labels}); err != nil {
			return fail(r, "note that the volume is kept", err)
		}
		return nil
	}
	if err := e.engine.VolumeRemove(ctx, note, false); err != nil && !cerrdefs.IsNotFound(err) {
		return fail(r, "note that the volume isn't kept any more", err)
	}
	return nil
}

// isKept reports whether the note that a volume is kept is there.
func (e *Executor) isKept(ctx context.Context, r planner.Ref) (bool, error) {
	_, err := e.engine.VolumeInspect(ctx, e.name(r.Name)+".kept")
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fail(r, "inspect the note that the volume is kept", err)
	}
	return true, nil
}

func holdsData(v volume.Volume) bool { return v.Labels[labelData] == "true" }
