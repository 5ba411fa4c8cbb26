package schema_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/schema"
)

// publicKey is the public half of a key as openssl prints it, and as DKIM has it.
func publicKey(t *testing.T, key any) (armored, bare string) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), base64.StdEncoding.EncodeToString(der)
}

func rsaKey(t *testing.T, bits int) *rsa.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func TestParseDKIMKey(t *testing.T) {
	armored, bare := publicKey(t, rsaKey(t, 2048))
	for _, in := range []string{armored, bare, strings.ReplaceAll(armored, "\n", "\r\n"), " " + bare[:70] + "\n " + bare[70:]} {
		got, err := schema.ParseDKIMKey(in)
		if d := cmp.Diff(schema.DKIMKey{Type: "rsa", Public: bare}, got); d != "" || err != nil {
			t.Errorf("ParseDKIMKey(%q): %v\n%s", in, err, d)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, _ := publicKey(t, &other.PublicKey)
	for _, in := range []string{"", "AAAA", bare[:len(bare)-8], bare + "AAAA", ec, "-----BEGIN RSA PRIVATE KEY-----\n" + bare, bare + "; k=x", bare[:40] + "*" + bare[41:]} {
		if got, err := schema.ParseDKIMKey(in); err == nil {
			t.Errorf("ParseDKIMKey(%q) = %v; want an error", in, got)
		} else if in != "" && strings.Contains(err.Error(), in) {
			t.Errorf("the error holds the key: %v", err)
		}
	}
}

// A long key is split into strings that a TXT record may have (RFC 1035 3.3.14).
func TestMailRecords(t *testing.T) {
	_, bare := publicKey(t, rsaKey(t, 2048))
	e := schema.EmailDomain{
		Domain: "acme.test", Servers: []string{"mx1.acme.test", "mx2.acme.test"}, SPF: schema.SPF{Include: []string{"_spf.news.example"}, All: "fail"},
		DKIM: []schema.DKIMKey{{Selector: "mail2026", Type: "rsa", Public: bare}}, DMARC: schema.DMARC{Policy: "reject", Reports: []string{"a@acme.test", "b@acme.test"}},
	}
	text := "v=DKIM1; k=rsa; p=" + bare
	want := []schema.MailRecord{
		{FQDN: "acme.test", Type: "MX", Values: []string{"10 mx1.acme.test.", "20 mx2.acme.test."}},
		{FQDN: "acme.test", Type: "TXT", Values: []string{`"v=spf1 mx include:_spf.news.example -all"`}, SPF: true},
		{FQDN: "_dmarc.acme.test", Type: "TXT", Values: []string{`"v=DMARC1; p=reject; rua=mailto:a@acme.test,mailto:b@acme.test"`}},
		{FQDN: "mail2026._domainkey.acme.test", Type: "TXT", Values: []string{`"` + text[:255] + `" "` + text[255:] + `"`}},
	}
	if d := cmp.Diff(want, e.Records()); d != "" {
		t.Error(d)
	}
}
