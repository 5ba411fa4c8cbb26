package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hostctl/reconciler/outbox"
	"hostctl/schema"
)

const patience = 20 * time.Second // for a far side, in all

// The headers of a webhook. The signature is the HMAC-SHA256 of the timestamp, a dot and the body, in hex.
const (
	headerID        = "X-Hostctl-Delivery"
	headerTimestamp = "X-Hostctl-Timestamp" // seconds since 1970
	headerSignature = "X-Hostctl-Signature" // sha256=…
)

// post posts a message as JSON.
func (t *Teller) post(ctx context.Context, commit string, n schema.Notification, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return &outbox.Never{Err: err}
	}
	key, err := t.reveal(ctx, commit, n.SigningKey)
	if err != nil {
		return err
	}
	header := http.Header{headerID: {m.ID}, headerTimestamp: {strconv.FormatInt(time.Now().Unix(), 10)}}
	if key != "" {
		header.Set(headerSignature, "sha256="+sign(key, header.Get(headerTimestamp), body))
	}
	return t.request(ctx, commit, n, header, body)
}

func sign(key, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// slack posts a message as Slack's incoming webhooks take it ("Sending messages using incoming webhooks").
func (t *Teller) slack(ctx context.Context, commit string, n schema.Notification, m Message) error {
	body, err := json.Marshal(map[string]any{"text": slackText(m), "link_names": false, "unfurl_links": false, "unfurl_media": false})
	if err != nil {
		return &outbox.Never{Err: err}
	}
	return t.request(ctx, commit, n, http.Header{}, body)
}

// slackText is a message with all that others have written between fences, where nothing of it is a link, a mention or the
// fence's end ("Formatting text for app surfaces": &, < and > are escaped everywhere).
func slackText(m Message) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'")
	return "*" + escape.Replace(line(m.Title, 300)) + "*\n```\n" + escape.Replace(m.Text()) + "```"
}

// request posts a body to where a notification's URL leads. No error of it tells the URL, which is a secret.
func (t *Teller) request(ctx context.Context, commit string, n schema.Notification, header http.Header, body []byte) error {
	raw, err := t.reveal(ctx, commit, n.URL)
	if err != nil {
		return err
	}
	to, here, err := parseURL(raw)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", n.URL.Ref.Path, n.URL.Ref.Key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL can't be asked")
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hostctl")
	resp, err := t.client(here).Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return fmt.Errorf("post to %s: %w", n.Name, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	return answered(n.Name, resp)
}

// answered makes an error of an answer that isn't one of success (RFC 9110, 15).
func answered(name string, resp *http.Response) error {
	err := fmt.Errorf("post to %s: answered %d %s", name, resp.StatusCode, http.StatusText(resp.StatusCode))
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode/100 == 3:
		return fmt.Errorf("%w: it leads elsewhere, and nobody goes there", err)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		if after := retryAfter(resp.Header.Get("Retry-After")); after > 0 {
			return &outbox.Later{After: after, Err: err}
		}
	case resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusGone || resp.StatusCode == http.StatusRequestEntityTooLarge || resp.StatusCode == http.StatusUnprocessableEntity:
		return &outbox.Never{Err: err}
	}
	return err // also where the URL is wrong: somebody may mend it
}

// retryAfter reads a Retry-After (RFC 9110, 10.2.3); 0 where it says nothing.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(max(0, min(n, 1<<20))) * time.Second
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return time.Until(at)
}

// parseURL reads where to post: over https, or to this machine where the URL names it so.
func parseURL(raw string) (u *url.URL, here bool, err error) {
	u, err = url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return nil, false, errors.New("its value isn't a URL; write such as https://chat.example.com/hooks/…")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	here = u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return nil, false, errors.New("its value isn't a URL with https; others could read what is posted")
	}
	return u, here, nil
}

// client goes where a URL leads and no further: it follows no redirect, and a name that leads to this machine, or to its
// neighbour that gives out the cloud's credentials (169.254.169.254), is refused.
func (t *Teller) client(here bool) *http.Client {
	dialer := &net.Dialer{Timeout: patience / 2, Control: func(_, address string, _ syscall.RawConn) error { return reachable(address, here) }}
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: patience / 2,
			TLSClientConfig: &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12},
		},
	}
}

func reachable(address string, here bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	addr := at.Addr().Unmap()
	switch {
	case here && !addr.IsLoopback():
		return errors.New("its name is this machine's, and leads elsewhere")
	case !here && (addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast()):
		return errors.New("its name leads to this machine, or its link; write localhost where that is meant")
	}
	return nil
}
