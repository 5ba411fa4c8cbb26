package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockState makes the state folder where it isn't there, and takes the lock of the one hostd that may work on it. The
// kernel releases the lock of a process that is gone, however it went (flock(2)).
func lockState(state string) (release func(), err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(state, "hostd.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		pid, _ := io.ReadAll(io.LimitReader(f, 20)) // only to tell it
		_ = f.Close()
		return nil, fmt.Errorf("another hostd works on %s: process %s; stop it first, or name another folder with --state", state, strings.TrimSpace(string(pid)))
	case err != nil:
		_ = f.Close()
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

// maxSocketPath is the longest path of a unix socket on Linux (unix(7), sun_path without its final zero).
const maxSocketPath = 107

// listenLocal listens on a unix socket that only its owner may open. The socket of a hostd that is gone is replaced:
// the caller holds the lock.
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
