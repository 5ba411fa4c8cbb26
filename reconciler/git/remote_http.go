package git

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// overHTTP speaks the smart protocol over HTTP (gitprotocol-http(5)).
type overHTTP struct {
	ctx      context.Context // of the conversation
	patience *patience
	client   *http.Client
	base     string // URL of the repository
	username string
	token    string // "" for none
}

// newHTTPClient makes what speaks to one server. The proxy is that of the environment, as for git.
func newHTTPClient(caFile string) (*http.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("--repo-ca: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--repo-ca: %s holds no certificate in PEM", caFile)
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{CheckRedirect: sameHost, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: trust,
		TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}}, nil
}

// sameHost follows a redirect within the server, as to the repository's new name; to another one the token would go along.
// A request that carries a body isn't redirected at all: it would lose it.
func sameHost(to *http.Request, via []*http.Request) error {
	from := via[0]
	switch {
	case from.Method != http.MethodGet:
		return http.ErrUseLastResponse
	case to.URL.Scheme != from.URL.Scheme || to.URL.Host != from.URL.Host || to.URL.User != nil:
		return &redirectError{scheme: to.URL.Scheme, host: to.URL.Host}
	case len(via) > 3:
		return errors.New("it redirects without end")
	}
	return nil
}

type redirectError struct{ scheme, host string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("it redirects to %q, which isn't followed, for the token would go there; if the repository has moved, name its new URL with --repo", e.scheme+"://"+e.host)
}

// references implements uploadPack.
func (h *overHTTP) references() (refs *packp.AdvRefs, err error) {
	res, err := h.do(http.MethodGet, h.base+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.Header.Get("Content-Type") != "application/x-git-upload-pack-advertisement" {
		return nil, errNotGit
	}
	if base, ok := strings.CutSuffix(res.Request.URL.Path, "/info/refs"); ok { // it may have been redirected
		at := *res.Request.URL
		at.Path, at.RawPath, at.RawQuery = base, "", ""
		h.base = at.String()
	}
	return advertised(&watched{ReadCloser: res.Body, patience: h.patience, left: maxReferences})
}

// send implements uploadPack.
func (h *overHTTP) send(request []byte) (io.ReadCloser, error) {
	res, err := h.do(http.MethodPost, h.base+"/git-upload-pack", request)
	if err != nil {
		return nil, err
	}
	if res.Header.Get("Content-Type") != "application/x-git-upload-pack-result" {
		return nil, errors.Join(errNotGit, res.Body.Close())
	}
	return &watched{ReadCloser: res.Body, patience: h.patience, left: maxPack}, nil
}

// close implements uploadPack.
func (h *overHTTP) close(failed bool) error {
	if failed {
		h.client.CloseIdleConnections()
	}
	return nil
}

// do sends a request and returns a response of status 200.
func (h *overHTTP) do(method, at string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(h.ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "git/hostctl") // some forges answer to git alone
	if body != nil {
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		req.Header.Set("Accept", "application/x-git-upload-pack-result")
	}
	if h.token != "" {
		req.SetBasicAuth(h.username, h.token)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	h.patience.moved()
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	return nil, errors.Join(statusError(res, h.token != ""), res.Body.Close())
}

// withoutURL takes the URL out of an error of package http: after a redirect it is one that the other machine chose.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// busyError says that the remote asks to be left alone for some time.
type busyError struct {
	status string
	after  time.Duration
}

func (e *busyError) Error() string { return "it answers " + e.status }

// statusError says what a status means for whoever reads a repository. What the server says beside it isn't told: it may
// be a page, or quote the token.
func statusError(res *http.Response, withToken bool) error {
	status := fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	switch code := res.StatusCode; {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && !withToken:
		return fmt.Errorf("it answers %s; name a file that holds a token with --repo-token", status)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("it answers %s: the token isn't valid, or may not read the repository; put another one into the file of --repo-token", status)
	case code == http.StatusNotFound:
		return fmt.Errorf("it answers %s: there is no repository of that name, or the token may not see it", status)
	case code >= 300 && code < 400:
		return fmt.Errorf("it answers %s where the objects should come; name the repository's own URL with --repo", status)
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return &busyError{status: status, after: retryAfter(res.Header.Get("Retry-After"))}
	}
	return fmt.Errorf("it answers %s", status)
}

// maxRetryAfter is the longest that a server can have us wait.
const maxRetryAfter = time.Hour

// retryAfter reads the header (RFC 9110, 10.2.3); 0 where it says nothing.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(0, seconds), int(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(0, time.Until(at)), maxRetryAfter)
}
