package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Endpoints is where the platform answers: host:port of HAProxy, of PowerDNS, and of a web node's SFTP. HTTPS and SFTP are
// "" where they aren't published.
type Endpoints struct{ HTTP, HTTPS, DNS, SFTP string }

// Endpoints asks hostctl where the platform answers.
func (p Platform) Endpoints(ctx context.Context) (Endpoints, error) {
	var at Endpoints
	s, err := p.Status(ctx)
	if err != nil {
		return at, err
	}
	for _, e := range s.Endpoints {
		switch {
		case e.Role == "lb" && e.Name == "http" && at.HTTP == "":
			at.HTTP = e.Address
		case e.Role == "lb" && e.Name == "https" && at.HTTPS == "":
			at.HTTPS = e.Address
		case e.Role == "web" && e.Name == "sftp" && at.SFTP == "":
			at.SFTP = e.Address
		case e.Role == "dns" && e.Protocol == "udp" && at.DNS == "":
			at.DNS = e.Address
		}
	}
	if at.HTTP == "" || at.DNS == "" {
		return at, errors.New("no load balancer or no name server is published")
	}
	return at, nil
}

// client opens a connection for each request, as different visitors do.
var client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Fetch gets the front page of a host name through HAProxy.
func (at Endpoints) Fetch(ctx context.Context, host string) (code int, body string, err error) {
	return at.FetchPath(ctx, host, "/")
}

// FetchPath gets a page of a host name through HAProxy.
func (at Endpoints) FetchPath(ctx context.Context, host, path string) (code int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.HTTP+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("fetch %s: %w", host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

// ErrNoName says that a name doesn't exist: NXDOMAIN.
var ErrNoName = errors.New("no such name")

// Resolve asks PowerDNS for the RRset of a name and returns it as text, a record a line. Like any resolver it asks again
// where no answer comes (RFC 1035, 4.2.1): a datagram may get lost on the way.
func (at Endpoints) Resolve(ctx context.Context, name string, qtype uint16) (string, error) {
	return at.resolve(ctx, "udp", name, qtype)
}

// ResolveTCP is Resolve over TCP.
func (at Endpoints) ResolveTCP(ctx context.Context, name string, qtype uint16) (string, error) {
	return at.resolve(ctx, "tcp", name, qtype)
}

func (at Endpoints) resolve(ctx context.Context, network, name string, qtype uint16) (string, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), qtype)
	r, err := exchange(ctx, network, q, at.DNS)
	switch {
	case err != nil:
		return "", fmt.Errorf("ask for %s: %w", name, err)
	case r.Rcode == dns.RcodeNameError:
		return "", fmt.Errorf("ask for %s: %w", name, ErrNoName)
	case r.Rcode != dns.RcodeSuccess:
		return "", fmt.Errorf("ask for %s: %s", name, dns.RcodeToString[r.Rcode])
	case len(r.Answer) == 0:
		return "", fmt.Errorf("ask for %s: no answer", name)
	}
	lines := make([]string, len(r.Answer))
	for i, rr := range r.Answer {
		lines[i] = strings.ReplaceAll(rr.String(), "\t", " ")
	}
	return strings.Join(lines, "\n"), nil
}

// How often a question is asked, and how long an answer is waited for.
const (
	asks   = 5
	answer = 2 * time.Second
)

func exchange(ctx context.Context, network string, q *dns.Msg, server string) (r *dns.Msg, err error) {
	c := dns.Client{Net: network, Timeout: answer}
	for range asks {
		var late net.Error
		if r, _, err = c.ExchangeContext(ctx, q, server); !errors.As(err, &late) || !late.Timeout() || ctx.Err() != nil {
			break
		}
	}
	return r, err
}

// Live is how long it took until a host name was live.
type Live struct{ HTTP, DNS time.Duration }

// WaitLive waits until a host name is served by HAProxy and known to DNS, counting from began.
func (at Endpoints) WaitLive(ctx context.Context, name string, began time.Time) (Live, error) {
	var l Live
	err := Until(ctx, time.Minute, func() error {
		if l.HTTP == 0 {
			if code, _, err := at.Fetch(ctx, name); err == nil && code == http.StatusOK {
				l.HTTP = time.Since(began)
			}
		}
		if l.DNS == 0 {
			if _, err := at.Resolve(ctx, name, dns.TypeA); err == nil {
				l.DNS = time.Since(began)
			}
		}
		if l.HTTP == 0 || l.DNS == 0 {
			return fmt.Errorf("%s isn't live", name)
		}
		return nil
	})
	return l, err
}
