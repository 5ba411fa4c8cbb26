package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"hostctl/reconciler"
)

var _ reconciler.Watcher = (*Store)(nil)

// watchPause is how long is waited until a connection that was lost is made again.
const watchPause = 2 * time.Second

// Watch implements reconciler.Watcher. It listens on a connection of its own, and makes that again where it is lost.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	first := true
	for {
		err := s.listen(ctx, func() {
			if !first {
				changed() // what happened meanwhile wasn't told
			}
			first = false
		}, changed)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		if first {
			return fmt.Errorf("listen for changes of inventory %s: %w", s.name, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

// listen calls ready once it listens, and changed whenever another one has changed the inventory.
func (s *Store) listen(ctx context.Context, ready, changed func()) (err error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		return err
	}
	ready()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		if n.Payload != s.self {
			changed()
		}
	}
}
