package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"hostctl/reconciler"
)

// SocketName is the unix socket in hostd's state folder.
const SocketName = "hostd.sock"

// Client talks to a hostd on the same machine.
type Client struct{ http *http.Client }

// Dial connects to the socket of a hostd. It fails at once where none is there.
func Dial(ctx context.Context, socket string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("no hostd answers at %s: %w", socket, err)
	}
	_ = conn.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// Status asks where hostd stands.
func (c *Client) Status(ctx context.Context) (reconciler.Status, error) {
	var s reconciler.Status
	body, err := c.do(ctx, http.MethodGet, "/local/v1/status", nil)
	if err != nil {
		return s, err
	}
	defer func() { _ = body.Close() }()
	return s, json.NewDecoder(body).Decode(&s)
}

// Wake asks hostd to look at the far sides and reconcile now.
func (c *Client) Wake(ctx context.Context) error {
	body, err := c.do(ctx, http.MethodPost, "/local/v1/wake", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Follow calls fn with every event of a commit, given by its full id, until a final one.
func (c *Client) Follow(ctx context.Context, commit string, fn func(reconciler.Event)) error {
	body, err := c.do(ctx, http.MethodGet, "/local/v1/follow/"+commit, nil)
	if err != nil {
		return err
	}
	return events(body, fn)
}

// Apply hands over a saved plan and calls fn with every event, until a final one.
func (c *Client) Apply(ctx context.Context, plan []byte, fn func(reconciler.Event)) error {
	body, err := c.do(ctx, http.MethodPost, "/local/v1/apply", plan)
	if err != nil {
		return err
	}
	return events(body, fn)
}

// BreakGlass is Apply of a plan whose commit lacks signatures or approvals. The reason is journaled.
func (c *Client) BreakGlass(ctx context.Context, plan []byte, reason string, fn func(reconciler.Event)) error {
	body, err := c.do(ctx, http.MethodPost, "/local/v1/apply?break-glass="+url.QueryEscape(reason), plan)
	if err != nil {
		return err
	}
	return events(body, fn)
}

// events reads to the end of r and closes it. An end without a final event is an error: hostd has stopped.
func events(r io.ReadCloser, fn func(reconciler.Event)) error {
	defer func() { _ = r.Close() }()
	d := json.NewDecoder(bufio.NewReader(r))
	for final := false; ; {
		var e reconciler.Event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF) && final:
			return nil
		case err != nil:
			return fmt.Errorf("hostd stopped answering: %w", err)
		}
		final = e.Kind.Final()
		fn(e)
	}
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://hostd"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask hostd: %w", err)
	}
	if resp.StatusCode < 400 {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return nil, errors.Join(fmt.Errorf("hostd: %s", strings.TrimSpace(string(text))), err)
}
