package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// hold is the sign that the holder of a run lives: an advisory lock with the number of the run, on a connection of the
// run's own. The server drops the locks of a connection that is gone, and the connection of a process that dies is gone
// at once, so its successor need not wait for the lease to be over.
type hold struct {
	s *Store

	mu   sync.Mutex
	run  int64 // 0 before take
	conn *pgx.Conn
}

// connectTimeout is how long the server may take to accept the connection of a run.
const connectTimeout = 10 * time.Second

func (h *hold) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if h.conn, err = pgx.ConnectConfig(ctx, h.s.pool.Config().ConnConfig); err != nil {
		return fmt.Errorf("connect for the run's lock: %w", err)
	}
	return nil
}

// take locks a run's number. It may be called again with another one.
func (h *hold) take(ctx context.Context, run int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.run = run
	return h.lock(ctx)
}

func (h *hold) lock(ctx context.Context) error {
	var ok bool
	if err := h.conn.QueryRow(ctx, sqlHold, h.s.locks, int32(h.run)).Scan(&ok); err != nil { //nolint:gosec // only runs far apart would meet
		return fmt.Errorf("lock run %d: %w", h.run, err)
	}
	if !ok {
		return fmt.Errorf("lock run %d: another process holds that lock", h.run)
	}
	return nil
}

const sqlHold = `SELECT pg_try_advisory_lock($1::int4, $2::int4)`

// keep makes the connection and the lock again if they are lost: the server was restarted, or the network was away. As
// long as they can't be had, the lease alone tells that the holder lives; a lock that was given to a successor meanwhile
// is found out by the journal.
func (h *hold) keep(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil || h.conn.Ping(ctx) == nil {
		return
	}
	old := h.conn
	if err := h.connect(ctx); err != nil {
		h.conn = old
		return
	}
	closeConn(old)
	_ = h.lock(ctx)
}

// release gives the lock back.
func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		closeConn(h.conn)
		h.conn = nil
	}
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // closed it is anyhow
}

// holderDead reports whether no process holds a run any more. What it locks to find out is free when tx ends.
func (s *Store) holderDead(ctx context.Context, tx pgx.Tx, run int64) (dead bool, err error) {
	if err := tx.QueryRow(ctx, sqlHolderDead, s.locks, int32(run)).Scan(&dead); err != nil { //nolint:gosec // as above
		return false, fmt.Errorf("look for the holder of run %d: %w", run, err)
	}
	return dead, nil
}

const sqlHolderDead = `SELECT pg_try_advisory_xact_lock($1::int4, $2::int4)`
