package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/reconciler/web/api"
)

func TestAPIIsNotShownInClear(t *testing.T) {
	t.Setenv("HOSTD_LISTEN", "127.0.0.1:9470")
	for _, tt := range []struct {
		args []string
		want string // "" for none
	}{
		{[]string{"--api"}, ""},
		{[]string{"--api", "--listen", "[::1]:9470"}, ""},
		{[]string{"--api", "--listen", "0.0.0.0:9470", "--tls-cert", "c", "--tls-key", "k"}, ""},
		{[]string{"--listen", "0.0.0.0:9470"}, ""},
		{[]string{"--api", "--listen", "0.0.0.0:9470"}, "--api without TLS answers on loopback only, and --listen is 0.0.0.0:9470: name --tls-cert and --tls-key"},
		{[]string{"--api", "--listen", ":9470"}, "--api without TLS answers on loopback only"},
		{[]string{"--api", "--listen", "localhost:9470"}, "--api without TLS answers on loopback only"}, // whatever that is on this machine
		{[]string{"--api", "--listen="}, "--api is served at --listen: name its address"},
		{[]string{"--tls-cert", "c"}, "--tls-cert and --tls-key go together"},
		{[]string{"--tls-key", "k"}, "--tls-cert and --tls-key go together"},
		{[]string{"--listen=", "--tls-cert", "c", "--tls-key", "k"}, "--tls-cert is for the listener of --listen"},
	} {
		_, err := readConfig(append([]string{"--repo", "r"}, tt.args...))
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.args, err, tt.want)
		}
	}
}

// keyPair writes a certificate for 127.0.0.1 of a name, and returns it.
func keyPair(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		replace(t, filepath.Join(dir, file), pem.EncodeToMemory(block))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// replace gives a file another content, and a time that it hasn't had.
func replace(t *testing.T, file string, content []byte) {
	t.Helper()
	later := time.Now()
	if info, err := os.Stat(file); err == nil {
		later = info.ModTime().Add(time.Second)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	keyPair(t, dir, "one")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := apiConfig{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	l, err := c.secure(plain, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveHTTP(ctx, l, http.NotFoundHandler()) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	name := func(version uint16) string {
		conn, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: version}) //nolint:gosec // it looks what is there
		if err != nil {
			return err.Error()
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if n := name(0); n != "one" {
		t.Errorf("at first it is %s", n)
	}
	keyPair(t, dir, "two")
	if n := name(0); n != "two" {
		t.Errorf("renewed it is %s", n)
	}
	replace(t, c.Cert, []byte("half of"))
	if n := name(0); n != "two" {
		t.Errorf("while it is no certificate it is %s", n)
	}
	if n := name(tls.VersionTLS12); !strings.Contains(n, "protocol version") {
		t.Errorf("TLS 1.2 gets %s", n)
	}
	another, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (apiConfig{Cert: c.Cert, Key: c.Key}).secure(another, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("one that is none was taken at the start")
	}
}

// hostd itself, over TLS: its API answers who has a token, and the one that stands by answers nobody.
func TestServesTheAPI(t *testing.T) {
	dir := folder(t)
	cert := keyPair(t, dir, "hostd")
	flags := []string{"--api", "--tls-cert", dir + "/cert.pem", "--tls-key", dir + "/key.pem"}
	leader := startUntil(t, dir, "msg=watching", flags...)
	token, err := api.OpenTokens(dir+"/state").Create("one", api.ScopePlatform, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	get := func(r running, path, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.health+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if code, body := get(leader, "/api/v1/status", token); code != http.StatusOK || !strings.Contains(body, `"converged":false`) {
		t.Errorf("/api/v1/status: %d %s", code, body)
	}
	if code, body := get(leader, "/api/v1/status", ""); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", code, body)
	}
	if code, body := get(leader, "/metrics", ""); code != http.StatusOK || !strings.Contains(body, `hostctl_api_requests_total{class="2xx",route="/status"} 1`) {
		t.Errorf("/metrics: %d %s", code, body)
	}
	standby := startUntil(t, dir, "standing by", flags...)
	if code, body := get(standby, "/api/v1/status", token); code != http.StatusServiceUnavailable || strings.Contains(body, "converged") {
		t.Errorf("one that stands by: %d %s", code, body)
	}
	for _, r := range []running{leader, standby} {
		if _, err := r.end(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	if out, err := os.ReadFile(dir + "/state/audit.log"); err != nil || strings.Contains(string(out), token) || !strings.Contains(string(out), `"token":"one"`) {
		t.Errorf("the audit is %s, %v", out, err)
	}
}
