package haproxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/haproxy"
	"hostctl/planner"
	"hostctl/schema"
)

// withKeys is the executor of a load balancer that has the keys of an authority.
func withKeys(b *balancer, a *authority) *haproxy.Executor {
	o := b.options()
	o.Key = a.key
	return haproxy.New(o)
}

// handshake connects with TLS for a name, "" for none, and returns what the other end shows.
func (b *balancer) handshake(name string, roots *x509.CertPool, versions ...uint16) (tls.ConnectionState, error) {
	c := &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil, NextProtos: []string{"h2", "http/1.1"}} //nolint:gosec // self-signed ones are looked at by hand
	if len(versions) > 0 {
		c.MinVersion, c.MaxVersion = versions[0], versions[0]
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", b.address+":443", c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

// client is a browser for which every name is at the load balancer. It follows no redirect.
func (b *balancer) client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, InsecureSkipVerify: roots == nil}, //nolint:gosec // see above
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return (&net.Dialer{Timeout: 20 * time.Second}).DialContext(ctx, network, b.address+":"+port)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// B60: with TLS, each name is answered with its own certificate, and a connection without a name or for an unknown one is
// refused rather than answered with somebody else's.
func TestB60_SNI(t *testing.T) {
	a := newAuthority(t)
	b, _, _ := shard(t, startNode(t, "node-0"))
	e := withKeys(b, a)
	apply(t, e, create(
		ca(a, "shop.example.com"), ca(a, "www.globex.example"), planner.Cert{Meta: meta("made.example.com"), SelfSigned: true},
		routeOf("shop.example.com", "web-1"), routeOf("www.globex.example", "web-1"), routeOf("made.example.com", "web-1"),
	))
	for _, host := range []string{"shop.example.com", "www.globex.example", "SHOP.Example.com"} {
		state, err := b.handshake(host, a.pool())
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if leaf := state.PeerCertificates[0]; leaf.DNSNames[0] != strings.ToLower(host) || state.NegotiatedProtocol != "h2" || len(state.PeerCertificates) != 2 {
			t.Errorf("%s: got a chain of %d for %v, protocol %q", host, len(state.PeerCertificates), leaf.DNSNames, state.NegotiatedProtocol)
		}
	}
	state, err := b.handshake("made.example.com", nil)
	if err != nil || state.PeerCertificates[0].VerifyHostname("made.example.com") != nil {
		t.Errorf("made.example.com: %v", err)
	}
	for _, host := range []string{"", "unknown.example", "example.com", "globex.example"} {
		if state, err := b.handshake(host, nil); err == nil {
			t.Errorf("a connection for %q is answered with the certificate of %v", host, state.PeerCertificates[0].DNSNames)
		}
	}
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := b.handshake("shop.example.com", a.pool(), old); err == nil {
			t.Errorf("TLS version %x is spoken", old)
		}
	}
	another, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://shop.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	another.Host = "www.globex.example"
	resp, err := b.client(a.pool()).Do(another)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another name on a connection for shop.example.com: %d, want 421", resp.StatusCode)
	}
	remains(t, b, e, a)
}

func ca(a *authority, host string) planner.Cert { return a.cert(host, "1") }

// remains restarts HAProxy: certificates are as they were, and none but root may read their keys.
func remains(t *testing.T, b *balancer, e *haproxy.Executor, a *authority) {
	t.Helper()
	before, err := e.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	docker(t, "restart", "-t", "1", b.name)
	until(t, "HAProxy is back", func() error {
		_, err := b.handshake("shop.example.com", a.pool())
		return err
	})
	after, err := e.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[planner.Hash]bool{}
	for _, o := range before {
		hashes[planner.HashOf(o)] = true
	}
	for _, o := range after {
		if !hashes[planner.HashOf(o)] {
			t.Errorf("%s isn't what it was", o.Ref())
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d objects, %d before", len(after), len(before))
	}
	files, err := os.ReadDir(b.dir + "/certs")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || strings.HasSuffix(f.Name(), ".pem") && info.Mode() != 0o400 {
			t.Errorf("%s has mode %s", f.Name(), info.Mode())
		}
	}
}

// TestTraffic_TLS: what a route says of redirects and of HSTS is what visitors get.
func TestTraffic_TLS(t *testing.T) {
	b, e, _ := shard(t, startNode(t, "node-0"))
	made := func(host string) planner.Object { return planner.Cert{Meta: meta(host), SelfSigned: true} }
	apply(t, e, create(
		made("plain.example"), made("forced.example"), made("old.example"), made("pre.example"),
		routeOf("plain.example", "web-1"),
		planner.Route{Meta: meta("forced.example"), Backend: "web-1", ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 300}},
		planner.Route{Meta: meta("pre.example"), Backend: "web-1", ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 31536000, IncludeSubDomains: true, Preload: true}},
		planner.Route{Meta: meta("sub.example"), Redirect: "https://new.example/there?x=1", Code: 302},
		planner.Route{Meta: meta("old.example"), Redirect: "https://new.example", Code: 301, ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 60, IncludeSubDomains: true}},
	))
	const none = ""
	for _, c := range []struct {
		url        string
		status     int
		to, strict string
		says       string
	}{
		{"http://plain.example/", 200, none, none, "forwarded-proto=http"},
		{"https://plain.example/", 200, none, none, "forwarded-proto=https"},
		{"http://forced.example/a/b?c=d&e=%20", 308, "https://forced.example/a/b?c=d&e=%20", none, ""},
		{"https://forced.example/", 200, none, "max-age=300", "forwarded-proto=https"},
		{"https://pre.example/", 200, none, "max-age=31536000; includeSubDomains; preload", ""},
		{"http://sub.example/a", 302, "https://new.example/there?x=1", none, ""},
		{"http://old.example/a?b", 308, "https://old.example/a?b", none, ""},
		{"https://old.example/a?b", 301, "https://new.example/a?b", "max-age=60; includeSubDomains", ""},
		{"https://old.example//evil.example/", 301, "https://new.example//evil.example/", "max-age=60; includeSubDomains", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.client(nil).Do(req)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
		}
		if resp.StatusCode != c.status || resp.Header.Get("Location") != c.to || resp.Header.Get("Strict-Transport-Security") != c.strict || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d, location %q, HSTS %q, %q; want %v", c.url, resp.StatusCode, resp.Header.Get("Location"), resp.Header.Get("Strict-Transport-Security"), body, c)
		}
	}
}

// TestTraffic_CertRenewed: a certificate is replaced under load, and no request fails.
func TestTraffic_CertRenewed(t *testing.T) {
	a := newAuthority(t)
	b, _, _ := shard(t, startNode(t, "node-0"))
	e := withKeys(b, a)
	last := a.cert("shop.example.com", "0")
	apply(t, e, create(last, routeOf("shop.example.com", "web-1")))
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var visitors sync.WaitGroup
	for range 3 {
		visitors.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := b.client(a.pool()) // a new connection each time
				resp, err := c.Get("https://shop.example.com/")
				asked.Add(1)
				if err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Logf("%v %v", resp, err)
				}
				if err == nil {
					resp.Body.Close()
				}
				c.CloseIdleConnections()
			}
		})
	}
	for i := range 10 {
		next := a.cert("shop.example.com", fmt.Sprint(i+1))
		apply(t, e, []planner.Change{{Action: planner.Update, Old: last, New: next}})
		state, err := b.handshake("shop.example.com", a.pool())
		if err != nil {
			t.Fatal(err)
		}
		if served := string(block(state.PeerCertificates[0].Raw)); !strings.HasPrefix(next.Chain, served) {
			t.Error("the certificate before is still served")
		}
		last = next
		seen := asked.Load()
		until(t, "visitors have come", func() error {
			if asked.Load() < seen+5 {
				return fmt.Errorf("%d", asked.Load()-seen)
			}
			return nil
		})
	}
	close(stop)
	visitors.Wait()
	t.Logf("%d requests, %d failed, while the certificate was replaced 10 times", asked.Load(), failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

// B48: a certificate that doesn't fit its key or its name is that change's error alone, says nothing of the key, and leaves
// what serves.
func TestB48_Cert(t *testing.T) {
	a := newAuthority(t)
	b := start(t)
	e := withKeys(b, a)
	good := a.cert("shop.example.com", "1")
	apply(t, e, create(good))
	other := a.cert("other.example.com", "1")
	expired := a.certUntil("shop.example.com", "expired", time.Now().Add(-time.Hour))
	twoKeys, noKey, encrypted := a.cert("shop.example.com", "two"), a.cert("shop.example.com", "none"), a.cert("shop.example.com", "encrypted")
	a.keys[*twoKeys.Key] = append(a.keys[*twoKeys.Key], a.keys[*good.Key]...)
	a.keys[*noKey.Key] = []byte("no key at all")
	a.keys[*encrypted.Key] = []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	absent := a.cert("shop.example.com", "absent")
	delete(a.keys, *absent.Key)
	chain, _, _ := strings.Cut(good.Chain, "-----END")
	for name, bad := range map[string]planner.Cert{
		"key of another":       {Meta: good.Meta, Chain: good.Chain, Key: other.Key},
		"for another name":     {Meta: good.Meta, Chain: other.Chain, Key: other.Key},
		"expired":              expired,
		"two keys":             twoKeys,
		"no key":               noKey,
		"encrypted key":        encrypted,
		"no secret":            absent,
		"cut off":              {Meta: good.Meta, Chain: chain, Key: good.Key},
		"an empty line":        {Meta: good.Meta, Chain: strings.Replace(good.Chain, "\n", "\n\n", 1), Key: good.Key},
		"a command":            {Meta: good.Meta, Chain: good.Chain + "\n\ndisable frontend fe_http\n", Key: good.Key},
		"larger than a buffer": {Meta: good.Meta, Chain: strings.Repeat(good.Chain, 60), Key: good.Key},
		"a name with a path":   {Meta: meta("../shop.example.com"), SelfSigned: true},
		"two at once":          {Meta: good.Meta, Chain: good.Chain, Key: good.Key, SelfSigned: true},
	} {
		cs := []planner.Change{{Action: planner.Update, Old: good, New: bad}, {Action: planner.Create, New: backendOf("web-1")}}
		errs := e.Apply(t.Context(), cs)
		if executors.KindOf(errs[0]) != executors.Refused && name != "no secret" || errs[0] == nil || errs[1] != nil {
			t.Errorf("%s: %v, and the other change: %v", name, errs[0], errs[1])
		}
		if errs[0] != nil && strings.Contains(errs[0].Error(), "PRIVATE KEY-----") {
			t.Errorf("%s: the error shows the key: %v", name, errs[0])
		}
	}
	if _, err := b.handshake("shop.example.com", a.pool()); err != nil {
		t.Errorf("what served before doesn't any more: %v", err)
	}
}
