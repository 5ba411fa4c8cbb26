package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hostctl/reconciler/outbox"
)

const (
	requestTime = 20 * time.Second
	maxAnswer   = 16 << 20 // bytes
	maxPages    = 100      // of a list, of 100 entries each
	maxMessage  = 200      // characters of what a forge says is wrong
)

// client speaks JSON to a forge's API. No error of it holds the token.
type client struct {
	base      string // without a slash at its end
	http      *http.Client
	authorize func(h http.Header, token string)
	token     func() (string, error)
}

func newClient(o Options, authorize func(http.Header, string)) *client {
	c := &client{base: strings.TrimSuffix(o.URL, "/"), authorize: authorize, token: o.Token}
	own := http.Client{}
	if o.HTTP != nil {
		own = *o.HTTP
	}
	own.Timeout = requestTime
	own.CheckRedirect = func(to *http.Request, _ []*http.Request) error {
		return fmt.Errorf("the forge has moved the project to %s; say so with --forge-url or --forge-project", to.URL.Host+to.URL.Path)
	}
	c.http = &own
	return c
}

// answerError is an answer that isn't what was asked for.
type answerError struct {
	Code    int
	Message string
}

func (e *answerError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("answered %d", e.Code)
	}
	return fmt.Sprintf("answered %d: %s", e.Code, e.Message)
}

// Is makes a 404 an ErrNotFound.
func (e *answerError) Is(target error) bool {
	return target == ErrNotFound && e.Code == http.StatusNotFound
}

// do asks, and decodes the answer; in or out may be nil. It returns the address of the next page, "" where this is the last.
func (c *client) do(ctx context.Context, method, path string, in, out any) (next string, err error) {
	next, err = c.ask(ctx, method, c.base+path, in, out)
	if err != nil {
		what, _, _ := strings.Cut(path, "?")
		return "", fmt.Errorf("%s %s: %w", method, what, err)
	}
	return next, nil
}

func (c *client) ask(ctx context.Context, method, address string, in, out any) (next string, err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return "", errors.New("its address can't be read") // the cause repeats all of it
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "hostctl")
	token, err := c.token()
	if err != nil {
		return "", err
	}
	c.authorize(req.Header, token)
	defer func() { err = without(err, token) }()
	res, err := c.http.Do(req)
	if err != nil {
		var bare *url.Error
		if errors.As(err, &bare) { // which repeats the whole address
			err = bare.Err
		}
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the answer: %w", err)
	case res.StatusCode/100 != 2:
		return "", refused(res, answer)
	case len(answer) > maxAnswer:
		return "", fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	case out == nil:
		return "", nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return nextPage(res.Header), nil
}

// refused returns the error of an answer. One that says when to come back is an *outbox.Later.
func refused(res *http.Response, body []byte) error {
	var said struct {
		Message json.RawMessage `json:"message"` // GitLab's may be an object
		Error   string          `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // a page of a proxy says nothing
	text := said.Error
	if len(said.Message) > 0 && json.Unmarshal(said.Message, &text) != nil {
		text = string(said.Message)
	}
	err := &answerError{Code: res.StatusCode, Message: shortened(oneLine(text), maxMessage)}
	if after, ok := comeBack(res.Header, time.Now()); ok && (res.StatusCode == http.StatusTooManyRequests ||
		res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusServiceUnavailable) {
		return &outbox.Later{After: after, Err: err}
	}
	return err
}

// comeBack reads when a forge wants to be asked again (RFC 9110, 10.2.3; GitHub, "Rate limits for the REST API"; GitLab,
// "Rate limits": RateLimit-Remaining and RateLimit-Reset).
func comeBack(h http.Header, now time.Time) (time.Duration, bool) {
	if v := h.Get("Retry-After"); v != "" {
		if s, err := strconv.Atoi(v); err == nil && s >= 0 {
			return time.Duration(s) * time.Second, true
		}
		if t, err := http.ParseTime(v); err == nil {
			return max(t.Sub(now), 0), true
		}
	}
	for _, prefix := range []string{"X-Ratelimit-", "Ratelimit-"} {
		if h.Get(prefix+"Remaining") != "0" {
			continue
		}
		if s, err := strconv.ParseInt(h.Get(prefix+"Reset"), 10, 64); err == nil {
			return max(time.Unix(s, 0).Sub(now), 0), true
		}
	}
	return 0, false
}

// nextPage returns what a Link header says is next (RFC 8288).
func nextPage(h http.Header) string {
	for _, link := range strings.Split(strings.Join(h.Values("Link"), ","), ",") {
		parts := strings.Split(link, ";")
		address := strings.TrimSpace(parts[0])
		isNext := slices.ContainsFunc(parts[1:], func(p string) bool { return strings.TrimSpace(p) == `rel="next"` })
		if isNext && strings.HasPrefix(address, "<") && strings.HasSuffix(address, ">") {
			return address[1 : len(address)-1]
		}
	}
	return ""
}

// list asks for each page of a list, until each has been called with all entries, or returns false.
func list[T any](ctx context.Context, c *client, path string, each func(T) bool) error {
	for range maxPages {
		var page []T
		next, err := c.do(ctx, http.MethodGet, path, nil, &page)
		if err != nil {
			return err
		}
		for _, v := range page {
			if !each(v) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		if path, err = c.within(next); err != nil {
			return err
		}
	}
	return fmt.Errorf("a list of more than %d pages", maxPages)
}

// within returns the part of an address that is below the API's. What names another place gets no token. A forge behind a
// proxy may name itself by another address, so only the query counts where the path is known.
func (c *client) within(address string) (string, error) {
	if path, ok := strings.CutPrefix(address, c.base+"/"); ok {
		return "/" + path, nil
	}
	base, err := url.Parse(c.base)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("the forge's link to the next page can't be read")
	}
	path, ok := strings.CutPrefix(u.EscapedPath(), base.EscapedPath()+"/")
	if !ok {
		return "", errors.New("the forge's link to the next page leads elsewhere")
	}
	return "/" + path + "?" + u.RawQuery, nil
}

// without returns an error that doesn't hold the token, as one could that repeats what it was asked.
func without(err error, token string) error {
	if err == nil || token == "" || !strings.Contains(err.Error(), token) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), token, "…"))
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
}

// shortened cuts a text to a number of characters.
func shortened(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-2]) + " …"
}
