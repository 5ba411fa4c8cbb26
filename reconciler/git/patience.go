package git

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// patience ends an exchange with another machine when nothing has moved for some time.
type patience struct {
	stall time.Duration
	timer *time.Timer
}

// withPatience returns a context that is done when nothing has moved for stall, or when limit is over. Its cause says
// which.
func withPatience(ctx context.Context, stall, limit time.Duration) (context.Context, *patience, context.CancelFunc) {
	ctx, end := context.WithTimeoutCause(ctx, limit, fmt.Errorf("cut, for it took longer than %s", limit))
	ctx, cut := context.WithCancelCause(ctx)
	p := &patience{stall: stall}
	p.timer = time.AfterFunc(stall, func() { cut(fmt.Errorf("cut, for nothing came for %s", stall)) })
	return ctx, p, func() {
		p.timer.Stop()
		cut(nil)
		end()
	}
}

func (p *patience) moved() { p.timer.Reset(p.stall) }

// cause returns why an exchange ended: the cause of its context where that is done, else the error.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watched is what is read from another machine: each byte is a sign of life, and there are no more than a limit.
type watched struct {
	io.ReadCloser
	patience *patience
	left     int64 // bytes that may still come
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if n > 0 {
		w.patience.moved()
	}
	if w.left -= int64(n); w.left < 0 {
		return 0, errTooMuch
	}
	return n, err
}

// watchedConn is a connection each byte of which is a sign of life.
type watchedConn struct {
	net.Conn
	patience *patience
}

// Read implements net.Conn.
func (c watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.patience.moved()
	}
	return n, err
}
