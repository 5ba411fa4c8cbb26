package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// maxSocketPath is the longest path of a unix socket on Linux (unix(7), sun_path without its final zero).
const maxSocketPath = 107

// listenLocal listens on a unix socket that only its owner may open. The caller leads: what other hostds have listened on
// is replaced, and the socket's file stays when it is closed, for it may be a successor's by then.
func listenLocal(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen for hostctl: the path of a socket has at most %d characters, and %s has %d; name a shorter --state",
			maxSocketPath, path, len(path))
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("listen for hostctl: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("listen for hostctl: %s is there and not a socket; move it away", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the old socket: %w", err)
		}
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen for hostctl: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, nil
}

// listenPublic listens for health checks; nil where none are wanted.
func listenPublic(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for health checks: %w; name another address with --listen, or none: --listen=", err)
	}
	return l, nil
}
