// Package outbox keeps what is to be told to others until they have taken it. A message is on the disk before anything of
// it is sent, so that a far side that is down, and a process that is killed, lose nothing. Each message is about a key (a
// pull request's status, a channel's news): the newest one of a key is what counts, and takes the place of one that waits.
//
// A message arrives at least once: what is killed between the far side's answer and the note of it sends again.
package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Message is something to be told. It lies in clear in a file of mode 0600: no password or token belongs in it, who
// delivers it adds them.
type Message struct {
	Kind    string          `json:"kind"` // who delivers it
	Key     string          `json:"key"`  // what it is about, of its kind
	Body    json.RawMessage `json:"body"`
	Expires time.Time       `json:"expires,omitzero"` // it isn't worth sending from then on; zero: it always is
}

// maxBody bounds a message, in bytes.
const maxBody = 4 << 20

func (m Message) check() error {
	switch {
	case m.Kind == "" || m.Key == "":
		return errors.New("a message needs a kind and a key")
	case len(m.Body) > maxBody:
		return fmt.Errorf("a message of %d bytes; at most %d", len(m.Body), maxBody)
	case !json.Valid(m.Body):
		return errors.New("a message's body must be JSON")
	}
	return nil
}

func (m Message) id() id { return id{m.Kind, m.Key} }

type id struct{ kind, key string }

// Deliver sends a message's body. It must end when ctx is done, and must be able to send the same again. An error means
// that it is tried again later; *Later says when, *Never that it isn't.
type Deliver func(ctx context.Context, key string, body json.RawMessage) error

// Later is the error of a far side that says when it wants to be asked again (RFC 9110, 10.2.3: Retry-After).
type Later struct {
	After time.Duration
	Err   error // what it said; may be nil
}

// Error implements error.
func (l *Later) Error() string {
	if l.Err == nil {
		return fmt.Sprintf("asked to come back in %s", l.After)
	}
	return fmt.Sprintf("%v; asked to come back in %s", l.Err, l.After)
}

// Unwrap returns what the far side said.
func (l *Later) Unwrap() error { return l.Err }

// Never is the error of a message that no other try would bring across. It is logged, and the message is dropped.
type Never struct{ Err error }

// Error implements error.
func (n *Never) Error() string { return n.Err.Error() }

// Unwrap returns why.
func (n *Never) Unwrap() error { return n.Err }

// Box holds the messages of one folder.
type Box struct {
	// Check, where set, says whether this process still leads. A process that doesn't writes and sends nothing.
	Check func() error

	dir    string
	log    *slog.Logger
	rename func(from, to string) error

	mu      sync.Mutex
	entries map[id]*entry
	seq     int64         // of the latest message
	moved   chan struct{} // takes a value when there may be something to do
}

// Open opens the box in a folder, which is made where it isn't there. A file that isn't a message is logged and left.
func Open(dir string, log *slog.Logger) (*Box, error) {
	b := &Box{dir: dir, log: log, rename: os.Rename, entries: map[id]*entry{}, moved: make(chan struct{}, 1)}
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	return b, nil
}

// Put stores a message to be delivered, in the place of one that waits under its key. It is durable when Put returns. A
// message without a time to wait for is sent at once, also where the one before it was to be tried later.
func (b *Box) Put(ctx context.Context, m Message) error {
	if err := cmp.Or(ctx.Err(), m.check()); err != nil {
		return fmt.Errorf("put %s into the outbox: %w", m.Kind, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.putLocked(m); err != nil {
		return fmt.Errorf("put %s into the outbox: %w", m.Kind, err)
	}
	b.wake()
	return nil
}

func (b *Box) putLocked(m Message) error {
	if err := b.Leads(); err != nil {
		return err
	}
	if err := b.write(stored{Message: m, Seq: b.seq + 1}); err != nil {
		return err
	}
	b.seq++
	e := b.entries[m.id()]
	if e == nil {
		e = &entry{id: m.id()}
		b.entries[m.id()] = e
	}
	e.replace(b.seq, m.Expires)
	return nil
}

// Waiting returns how many messages of a kind haven't been taken yet.
func (b *Box) Waiting(kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for id := range b.entries {
		if id.kind == kind {
			n++
		}
	}
	return n
}

// Leads fails where this process no longer leads.
func (b *Box) Leads() error {
	if b.Check == nil {
		return nil
	}
	return b.Check()
}

// wake tells Deliver to look again. It never blocks.
func (b *Box) wake() {
	select {
	case b.moved <- struct{}{}:
	default:
	}
}
