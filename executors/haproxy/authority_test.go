package haproxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"hostctl/planner"
)

// authority issues certificates for tests, and keeps their keys as a node's secrets.
type authority struct {
	t      testing.TB
	root   *x509.Certificate
	issuer *ecdsa.PrivateKey
	keys   map[planner.Held][]byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, keys: map[planner.Held][]byte{}}
	a.issuer = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.issuer.Public(), a.issuer)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// cert issues a certificate for a host name; version is that of its key.
func (a *authority) cert(host, version string) planner.Cert {
	return a.certUntil(host, version, time.Now().Add(time.Hour))
}

func (a *authority) certUntil(host, version string, until time.Time) planner.Cert {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key.Public(), a.issuer)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	held := planner.Held{Secret: "acme/certificate/" + host + "/custom.keyRef", Version: version}
	a.keys[held] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	chain := append(block(der), block(a.root.Raw)...)
	return planner.Cert{Meta: meta(host), Chain: string(chain), Key: &held}
}

func block(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }

// key is Options.Key.
func (a *authority) key(s planner.Held) ([]byte, error) {
	if k, ok := a.keys[s]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("no secret %s", s.Secret)
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.root)
	return p
}

// pem is a certificate for a host name with its key, as HAProxy's owner has it in a file.
func (a *authority) pem(host string) string {
	c := a.cert(host, "1")
	return c.Chain + string(a.keys[*c.Key])
}
