package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// TestTLS: by pushes alone, host names get TLS with certificates of their own and with those that their tenant brings, which
// are renewed under load; what doesn't fit is refused and leaves what serves.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.edit("    - shop.acme.test\n", "    - {hostname: shop.acme.test, tls: true, forceHTTPS: true, hsts: {maxAge: 1d}}\n")
	s.edit("    - www.shop.acme.test\n", "")
	s.edit("  fqdns: [docs.acme.test]\n", "  fqdns: [{hostname: docs.acme.test, www: redirect-to-apex, tls: true}]\n")
	s.push("A platform with TLS")
	v := s.visitor()

	if state, err := v.handshake("shop.acme.test", nil); err != nil || state.PeerCertificates[0].VerifyHostname("shop.acme.test") != nil || state.NegotiatedProtocol != "h2" {
		t.Errorf("shop.acme.test: %v", err)
	}
	for _, name := range []string{"", "www.globex.test", "nobody.example", "acme.test"} {
		if state, err := v.handshake(name, nil); err == nil {
			t.Errorf("a connection for %q is answered with the certificate of %v", name, state.PeerCertificates[0].DNSNames)
		}
	}
	for url, want := range map[string]string{
		"http://shop.acme.test/?a=b":            "308 https://shop.acme.test/?a=b",
		"https://shop.acme.test/":               "200 max-age=86400",
		"https://docs.acme.test/":               "200 ",
		"http://docs.acme.test/":                "200 ",
		"https://www.docs.acme.test/index.html": "301 https://docs.acme.test/index.html",
		"http://www.docs.acme.test/x?y":         "301 https://docs.acme.test/x?y",
	} {
		if got := v.get(nil, url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	if _, err := s.at.Resolve(t.Context(), "www.docs.acme.test", 1); err != nil {
		t.Error(err)
	}
	s.wantNoChanges()
	s.brings(v)
}

// brings is a tenant who brings a certificate, renews it, and then makes a mistake.
func (s *site) brings(v visitor) {
	s.t.Helper()
	ca, err := platform.NewAuthority("test authority")
	s.must(err)
	s.write("tenants/acme/docs-cert.yaml", `apiVersion: hosting/v1
kind: Certificate
metadata: {name: docs}
spec:
  dnsNames: [docs.acme.test]
  issuer: custom
  custom:
    certRef: docs.pem
    keyRef: {secretRef: {file: docs-key.sops.yaml, key: key}}
`)
	chain, key, err := ca.Issue("docs.acme.test")
	s.must(err)
	s.bring(chain, key)
	s.push("acme: a certificate for docs.acme.test")
	first := v.serves(ca)
	if !strings.HasPrefix(chain, first) {
		s.t.Fatalf("docs.acme.test is answered with another certificate:\n%s", first)
	}
	if out := s.docker("exec", s.container("eu-1-lb-0"), "ls", "-l", "/etc/haproxy/certs/docs.acme.test.pem"); !strings.HasPrefix(out, "-r--------") {
		s.t.Errorf("the file with the key is open to others: %s", out)
	}
	s.wantNoChanges()

	stop, done := make(chan struct{}), make(chan string, 1)
	go func() {
		asked, failed := 0, ""
		for {
			select {
			case <-stop:
				done <- fmt.Sprintf("%d requests%s", asked, failed)
				return
			default:
			}
			asked++
			if got := v.get(ca.Pool(), "https://docs.acme.test/"); got != "200 " {
				failed += ", failed: " + got
			}
		}
	}()
	chain, key, err = ca.Issue("docs.acme.test")
	s.must(err)
	s.bring(chain, key)
	s.push("acme: the certificate renewed")
	close(stop)
	said := <-done
	s.t.Logf("while the certificate was renewed: %s", said)
	if strings.Contains(said, "failed") {
		s.t.Errorf("requests failed while the certificate was renewed: %s", said)
	}
	second := v.serves(ca)
	if !strings.HasPrefix(chain, second) {
		s.t.Error("the certificate before is still served")
	}

	other, _, err := ca.Issue("docs.acme.test")
	s.must(err)
	s.write("tenants/acme/docs.pem", other)
	printed := s.pushOnly("acme: a chain without its key")
	if !strings.Contains(printed, "the key isn't that of the first certificate") {
		s.t.Errorf("the push doesn't tell of the key that doesn't match:\n%s", printed)
	}
	if v.serves(ca) != second {
		s.t.Error("what served doesn't any more")
	}
	s.write("tenants/acme/docs.pem", chain)
	s.push("acme: the chain of the key")
	s.docker("restart", "-t", "2", s.container("eu-1-lb-0"))
	s.must(v.wait("docs.acme.test", ca))
	if v.serves(ca) != second {
		s.t.Error("after a restart another certificate is served")
	}
}

func (s *site) write(name, text string) {
	s.t.Helper()
	s.must(os.WriteFile(filepath.Join(s.Clone(), name), []byte(text), 0o600))
}

// bring puts a chain and its key into the clone, the key encrypted.
func (s *site) bring(chain, key string) {
	s.t.Helper()
	s.write("tenants/acme/docs.pem", chain)
	c := exec.CommandContext(s.t.Context(), s.Program("hostctl"), "--state", s.State(), "secret", "set", filepath.Join(s.Clone(), "tenants/acme/docs-key.sops.yaml"), "key")
	c.Stdin = strings.NewReader(key)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("hostctl secret set: %v: %s", err, out)
	}
}

// visitor is a browser for which every name is at the platform's load balancer.
type visitor struct {
	t           *testing.T
	http, https string // host:port
}

func (s *site) visitor() visitor {
	s.t.Helper()
	if s.at.HTTPS == "" {
		s.t.Fatal("no port named https is published")
	}
	return visitor{t: s.t, http: s.at.HTTP, https: s.at.HTTPS}
}

// handshake connects with TLS for a name, "" for none.
func (v visitor) handshake(name string, roots *x509.CertPool) (tls.ConnectionState, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", v.https,
		&tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil, NextProtos: []string{"h2", "http/1.1"}}) //nolint:gosec // self-signed ones are looked at by hand
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState(), nil
}

// serves returns the certificate that docs.acme.test is answered with, in PEM form; it must be the authority's.
func (v visitor) serves(ca *platform.Authority) string {
	v.t.Helper()
	const name = "docs.acme.test"
	state, err := v.handshake(name, ca.Pool())
	if err != nil {
		v.t.Errorf("%s: %v", name, err)
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: state.PeerCertificates[0].Raw}))
}

func (v visitor) wait(name string, ca *platform.Authority) (err error) {
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = v.handshake(name, ca.Pool()); err == nil {
			return nil
		}
		select {
		case <-deadline:
			return err
		case <-tick.C:
		}
	}
}

// get returns the status of an answer, and where it leads or its Strict-Transport-Security.
func (v visitor) get(roots *x509.CertPool, url string) string {
	c := http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, InsecureSkipVerify: roots == nil}, //nolint:gosec // see above
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				to := v.http
				if strings.HasSuffix(address, ":443") {
					to = v.https
				}
				return (&net.Dialer{}).DialContext(ctx, network, to)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get("Location")+resp.Header.Get("Strict-Transport-Security"))
}
