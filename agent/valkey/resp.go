package valkey

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Bounds of one reply: the server is a tenant's neighbour, and what it says is not trusted to be short.
const (
	maxBulk  = 1 << 20 // bytes of one string
	maxItems = 1 << 16 // of one array
	maxDepth = 4
	maxLine  = 1 << 16 // bytes
)

// patience is how long an instance may take over one command, but for those that write a snapshot.
const patience = 10 * time.Second

// conn is a connection to an instance, in the protocol RESP2 (https://valkey.io/topics/protocol/).
type conn struct {
	net.Conn
	r *bufio.Reader
}

// refusal is an error that the server answers. Its first word says what it is: NOPERM, LOADING.
type refusal string

func (e refusal) Error() string { return "Valkey: " + string(e) }

// dial connects to a unix socket.
func dial(ctx context.Context, path string) (*conn, error) {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReader(c)}, nil
}

// do sends a command and returns what is answered: nil, string, int64 or []any. A refusal is an error; the connection can be
// used on after it, and after no other error.
func (c *conn) do(ctx context.Context, words ...string) (any, error) {
	return c.doWithin(ctx, patience, words...)
}

func (c *conn) doWithin(ctx context.Context, d time.Duration, words ...string) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	end := time.Now().Add(d)
	if by, ok := ctx.Deadline(); ok && by.Before(end) {
		end = by
	}
	if err := c.SetDeadline(end); err != nil {
		return nil, err
	}
	if _, err := c.Write(command(words)); err != nil {
		return nil, err
	}
	return read(c.r, maxDepth)
}

// command writes a command as an array of strings, in which nothing has to be quoted.
func command(words []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

var errReply = errors.New("what the server answers is no reply")

// read reads one reply.
func read(r *bufio.Reader, depth int) (any, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	if line == "" {
		return nil, errReply
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, refusal(rest)
	case ':':
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return nil, errReply
		}
		return n, nil
	case '$':
		return readBulk(r, rest)
	case '*':
		return readArray(r, rest, depth)
	}
	return nil, errReply
}

// readLine reads to the end of a line and returns it without that.
func readLine(r *bufio.Reader) (string, error) {
	var b []byte
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > maxLine:
			return "", errReply
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return "", err
		}
		line, ok := strings.CutSuffix(string(b), "\r\n")
		if !ok {
			return "", errReply
		}
		return line, nil
	}
}

// length reads the length of a string or an array; -1 stands for nothing.
func length(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < -1 || n > most {
		return 0, errReply
	}
	return n, nil
}

func readBulk(r *bufio.Reader, size string) (any, error) {
	n, err := length(size, maxBulk)
	if err != nil || n < 0 {
		return nil, err
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if b[n] != '\r' || b[n+1] != '\n' {
		return nil, errReply
	}
	return string(b[:n]), nil
}

// readArray reads an array. An error within it is an error of the whole.
func readArray(r *bufio.Reader, size string, depth int) (any, error) {
	n, err := length(size, maxItems)
	switch {
	case err != nil || n < 0:
		return nil, err
	case depth == 0:
		return nil, errReply
	}
	out := []any{}
	for range n {
		v, err := read(r, depth-1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// texts returns a reply that is an array of strings.
func texts(reply any) ([]string, error) {
	items, ok := reply.([]any)
	if !ok {
		return nil, errReply
	}
	out := make([]string, len(items))
	for i, v := range items {
		if out[i], ok = v.(string); !ok {
			return nil, errReply
		}
	}
	return out, nil
}
