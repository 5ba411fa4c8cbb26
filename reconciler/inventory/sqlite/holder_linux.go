package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Beside the inventory lies a file of locks: byte N is locked by the process that holds run N, byte 0 by the one that
// sets up the tables. The kernel drops the locks of a process that dies, so its successor need not wait for the lease to
// be over. The locks are those of open file descriptions (fcntl(2), F_OFD_SETLK): closing another descriptor of the file
// leaves them alone.
const locksSuffix = "-locks"

// holdRun locks a run's byte. It returns what releases it.
func holdRun(file string, run int64) (release func(), err error) {
	f, err := lockByte(file, run)
	if err != nil {
		return nil, fmt.Errorf("lock run %d: %w", run, err)
	}
	return func() { _ = f.Close() }, nil
}

// holderDead reports whether no process holds a run any more.
func holderDead(file string, run int64) bool {
	f, err := lockByte(file, run)
	if err != nil {
		return false // somebody holds it; or we can't tell, and the lease decides
	}
	_ = f.Close()
	return true
}

// lockSetup waits until no other process sets up the tables.
func lockSetup(ctx context.Context, file string) (unlock func(), err error) {
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		f, err := lockByte(file, 0)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("lock tables: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-retry.C:
		}
	}
}

func lockByte(file string, n int64) (*os.File, error) {
	f, err := os.OpenFile(file+locksSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: n, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
