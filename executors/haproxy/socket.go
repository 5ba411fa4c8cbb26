package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"hostctl/executors"
)

// socket is one of HAProxy's command sockets. Each command has a connection of its own, so where its reply ends is never
// in doubt: the connection's end (management guide 9.3).
type socket struct {
	path string
	wait time.Duration // for one command
}

// maxReply bounds what is read of one reply: a map of a million names is some 60 MB.
const maxReply = 256 << 20

// ask sends one command and returns its reply without the empty line that ends it. Errors that HAProxy reports come back
// as replies, for each command has texts of its own.
func (s socket) ask(ctx context.Context, words ...string) (string, error) {
	return s.send(ctx, words, "")
}

// send is ask with a payload: lines, each with its newline, none of them empty.
func (s socket) send(ctx context.Context, words []string, payload string) (string, error) {
	for _, w := range words {
		if !isWord(w) {
			return "", executors.Errorf(executors.Refused, "haproxy command %q: %s isn't a word", words[0], quote(w))
		}
	}
	what := strings.Join(words[:min(2, len(words))], " ")
	text := strings.Join(words, " ") + "\n"
	if payload != "" {
		text = strings.Join(words, " ") + " <<\n" + payload + "\n"
	}
	reply, err := s.exchange(ctx, text)
	if err != nil {
		return "", err.in("haproxy: " + what)
	}
	return reply, nil
}

// failure is a failed exchange, with its kind.
type failure struct {
	kind executors.Kind
	err  error
}

func (f *failure) in(what string) error {
	return executors.Errorf(f.kind, "%s: %w", what, f.err)
}

func (s socket) exchange(ctx context.Context, text string) (string, *failure) {
	if ctx.Err() != nil {
		return "", &failure{executors.Canceled, ctx.Err()}
	}
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", s.path)
	if err != nil {
		return "", &failure{executors.Unreachable, err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // fails only where it is closed

	if _, err := io.WriteString(conn, text); err != nil {
		return "", ioFailure(ctx, err)
	}
	b, err := io.ReadAll(io.LimitReader(conn, maxReply))
	if err != nil {
		return "", ioFailure(ctx, err)
	}
	reply := string(b)
	if !strings.HasSuffix(reply, "\n") {
		return "", &failure{executors.Busy, fmt.Errorf("the reply ends after %d bytes in the middle of a line", len(b))}
	}
	return strings.TrimRight(reply, "\n"), nil
}

func ioFailure(ctx context.Context, err error) *failure {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &failure{executors.Canceled, ctx.Err()}
	case ctx.Err() != nil:
		return &failure{executors.Busy, fmt.Errorf("no reply in time: %w", ctx.Err())}
	}
	return &failure{executors.Busy, err} // it is restarting
}

// expect turns a reply that isn't one of the wanted ones into an error.
func expect(reply string, err error, what string, want ...string) error {
	if err != nil {
		return err
	}
	for _, w := range want {
		if reply == w {
			return nil
		}
	}
	return unexpected(what, reply)
}

// unexpected is the error of a command whose reply says that it wasn't done.
func unexpected(what, reply string) error {
	return executors.Errorf(executors.Unknown, "haproxy: %s: it answers %s", what, quote(reply))
}
