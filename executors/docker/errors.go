package docker

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"hostctl/executors"
	"hostctl/planner"
)

// fail says what was being done to an object, and gives the engine's error a kind.
func fail(r planner.Ref, doing string, err error) error {
	var known *executors.Error
	if errors.As(err, &known) {
		return err
	}
	return executors.Errorf(kind(err), "%s: %s: %w", r, doing, err)
}

// kind tells what kind an error of the engine's API is, by its status code (Engine API, "Errors") and, where 500 says
// everything, by its text.
func kind(err error) executors.Kind {
	var dial *net.OpError
	switch {
	case client.IsErrConnectionFailed(err), errors.As(err, &dial), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return executors.Unreachable
	case portTaken(err), cerrdefs.IsConflict(err), cerrdefs.IsNotFound(err):
		return executors.Conflict
	case cerrdefs.IsInvalidArgument(err), cerrdefs.IsPermissionDenied(err):
		return executors.Refused
	case cerrdefs.IsUnavailable(err):
		return executors.Busy
	}
	return executors.KindOf(err)
}

// portTaken reports whether a port or an address that was to be bound is in use.
func portTaken(err error) bool {
	return textHas(err, "port is already allocated", "address already in use", "Address already in use", "bind for")
}

func textHas(err error, texts ...string) bool {
	for _, t := range texts {
		if strings.Contains(err.Error(), t) {
			return true
		}
	}
	return false
}
