package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	atOnce      = 4               // deliveries of a kind side by side
	patience    = time.Minute     // how long one may take
	firstRetry  = 2 * time.Second // after a failure, doubled up to lastRetry
	lastRetry   = 10 * time.Minute
	longestWait = time.Hour // that a far side may ask for
)

// entry is what is known of the message that waits under an id. Its body is in its file.
type entry struct {
	id       id
	seq      int64
	expires  time.Time
	after    time.Time // it isn't tried before
	failures int       // one after the other
	asked    bool      // the far side named the time of after
	sending  bool
}

// replace makes the entry that of a newer message. A far side that asked for time gets it all the same.
func (e *entry) replace(seq int64, expires time.Time) {
	e.seq, e.expires, e.failures = seq, expires, 0
	if !e.asked {
		e.after = time.Time{}
	}
}

// Deliver delivers the messages of the given kinds until ctx is done, and returns when the last delivery has ended. The
// messages of a key are sent one after the other, those of several keys side by side. It fails where this process no
// longer leads.
func (b *Box) Deliver(ctx context.Context, kinds map[string]Deliver) error {
	var sending sync.WaitGroup
	defer sending.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for {
		if err := b.Leads(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("deliver what is in the outbox: %w", err)
		}
		due, next := b.take(ctx, kinds)
		for _, d := range due {
			sending.Go(func() { b.send(ctx, kinds[d.kind], d) })
		}
		if !b.pause(ctx, next) {
			return nil
		}
	}
}

// pause waits until there may be something to do, at next at the latest, unless that is zero. It is false when ctx is done.
func (b *Box) pause(ctx context.Context, next time.Time) bool {
	var clock <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		clock = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-b.moved:
	case <-clock:
	}
	return ctx.Err() == nil
}

// take marks what is due as being sent, oldest first, and returns when the next one will be; zero where a message that
// comes or ends has to be waited for.
func (b *Box) take(ctx context.Context, kinds map[string]Deliver) (due []id, next time.Time) {
	if ctx.Err() != nil {
		return nil, next
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	busy := map[string]int{}
	var ready []*entry
	for _, e := range b.entries {
		switch {
		case kinds[e.id.kind] == nil:
		case e.sending:
			busy[e.id.kind]++
		case e.after.After(now):
			if next.IsZero() || e.after.Before(next) {
				next = e.after
			}
		default:
			ready = append(ready, e)
		}
	}
	slices.SortFunc(ready, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range ready {
		if busy[e.id.kind] == atOnce {
			continue // one that ends makes room
		}
		busy[e.id.kind]++
		e.sending = true
		due = append(due, e.id)
	}
	return due, next
}

// send tries to deliver the message that waits under an id, and notes what came of it.
func (b *Box) send(ctx context.Context, deliver Deliver, i id) {
	s, err := b.newest(i)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = &Never{fmt.Errorf("somebody has removed it: %w", err)}
	case err != nil:
		err = fmt.Errorf("read it: %w", err)
	case !s.Expires.IsZero() && time.Now().After(s.Expires):
		err = &Never{errors.New("it is too old to be of use")}
	default:
		err = try(ctx, deliver, s.Message)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.wake()
	b.entries[i].sending = false
	if ctx.Err() != nil && err != nil {
		return // it was told to stop
	}
	b.sentLocked(s, b.entries[i], err)
}

// newest reads the message that waits under an id.
func (b *Box) newest(i id) (stored, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := read(b.path(i))
	s.Seq = b.entries[i].seq // also of one that can't be read
	return s, err
}

// try delivers one message within its time. A panic is an error like another.
func try(ctx context.Context, deliver Deliver, m Message) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a fault of hostctl's: %v", p)
		}
	}()
	return deliver(ctx, m.Key, m.Body)
}

// sentLocked notes how a delivery has ended: what was taken, or never will be, goes, unless a newer message has come.
func (b *Box) sentLocked(s stored, e *entry, err error) {
	var never *Never
	switch {
	case errors.As(err, &never):
		b.log.Error("message dropped", "kind", e.id.kind, "key", e.id.key, "error", err)
	case err != nil:
		b.retryLocked(s, e, err)
		return
	case e.failures > 0:
		b.log.Info("message delivered", "kind", e.id.kind, "key", e.id.key, "attempts", e.failures+1)
	}
	if e.seq != s.Seq {
		e.failures, e.asked = 0, false
		return
	}
	if b.Leads() != nil {
		return // the file is the successor's
	}
	if err := b.remove(e.id); err != nil {
		b.retryLocked(s, e, fmt.Errorf("note that it was delivered: %w", err))
		return
	}
	delete(b.entries, e.id)
}

// retryLocked decides when a message is tried again.
func (b *Box) retryLocked(s stored, e *entry, err error) {
	var later *Later
	asked := errors.As(err, &later)
	if e.seq != s.Seq && !asked {
		return // the newer one has its own first try
	}
	wait := min(firstRetry<<min(e.failures, 20), lastRetry)
	if asked {
		wait = min(max(later.After, time.Second), longestWait)
	}
	wait += rand.N(wait/5 + 1) // several messages don't come back in step
	e.after, e.asked = time.Now().Add(wait), asked
	if e.seq == s.Seq {
		e.failures++
	}
	b.log.Warn("message not delivered", "kind", e.id.kind, "key", e.id.key, "attempt", e.failures, "next", wait.Round(time.Second), "error", err)
}
