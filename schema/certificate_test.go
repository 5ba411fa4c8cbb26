package schema_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"hostctl/schema"
)

// issuer issues certificates for tests.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

func newIssuer(t *testing.T, name string, by *issuer) *issuer {
	i := &issuer{t: t, key: newKey(t)}
	i.cert = i.sign(by, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, i.key.Public())
	return i
}

func newKey(t *testing.T) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (i *issuer) sign(by *issuer, c *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	i.t.Helper()
	c.SerialNumber, c.NotBefore = big.NewInt(7), time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(1000 * time.Hour)
	}
	parent, signer := c, i.key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, signer)
	if err != nil {
		i.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return cert
}

func (i *issuer) leaf(names ...string) *x509.Certificate {
	return i.sign(i, &x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, newKey(i.t).Public())
}

func pemOf(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String()
}

// certificateTree is a repository in which acme has a Certificate, with a chain and names.
func certificateTree(t *testing.T, chain string, names ...string) schema.MapTree {
	t.Helper()
	secret, err := os.ReadFile("sops/testdata/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tree := treeOf(mustArchive(t, "testdata/base.txtar"))
	maps.Copy(tree, schema.MapTree{
		"tenants/acme/tls/chain.pem":     chain,
		"tenants/acme/tls/key.sops.yaml": string(secret),
		"tenants/acme/tls/cert.yaml": `apiVersion: hosting/v1
kind: Certificate
metadata: {name: site}
spec:
  dnsNames: [` + strings.Join(names, ", ") + `]
  issuer: custom
  custom:
    certRef: chain.pem
    keyRef: {secretRef: {file: key.sops.yaml, key: database.password}}
---
apiVersion: hosting/v1
kind: Webroot
metadata: {name: secure}
spec:
  runtime: {type: static}
  fqdns: [one.acme.test, {hostname: two.acme.test, tls: true, forceHTTPS: true}, three.acme.test]
`,
	})
	return tree
}

func TestCertificate(t *testing.T) {
	root := newIssuer(t, "root", nil)
	middle := newIssuer(t, "intermediate", root)
	leaf := middle.leaf("one.acme.test", "*.acme.test")
	chain := pemOf(leaf, middle.cert)
	for name, text := range map[string]string{
		"as it is":                  chain,
		"with CRLF":                 strings.ReplaceAll(chain, "\n", "\r\n"),
		"with empty lines":          strings.ReplaceAll(chain, "-----BEGIN", "\n\n-----BEGIN"),
		"with text (openssl -text)": "Certificate:\n    Data:\n        Version: 3\n" + chain + "\n",
	} {
		m, err := schema.Load(certificateTree(t, text, "ONE.acme.test", "two.acme.test"), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c := m.Certificates[0]
		if c.Chain != chain || c.Key.Ref == nil || c.Key.Ref.Cipher == "" || !c.NotAfter.Equal(leaf.NotAfter) {
			t.Errorf("%s: %+v", name, c)
		}
		for _, f := range m.FQDNs {
			if covered := f.Hostname == "one.acme.test" || f.Hostname == "two.acme.test"; covered != (f.Certificate == "site") || covered && !f.TLS {
				t.Errorf("%s: %s has certificate %q, TLS %v", name, f.Hostname, f.Certificate, f.TLS)
			}
		}
		if w := m.Expiring(leaf.NotAfter.Add(-15 * 24 * time.Hour)); len(w) > 0 {
			t.Errorf("15 days before: %v", w)
		}
		if w := m.Expiring(leaf.NotAfter.Add(-13 * 24 * time.Hour)); len(w) != 1 || !strings.Contains(w[0].Text, "expires on") {
			t.Errorf("13 days before: %v", w)
		}
		if w := m.Expiring(leaf.NotAfter.Add(time.Hour)); len(w) != 1 || !strings.Contains(w[0].Text, "has expired") {
			t.Errorf("after: %v", w)
		}
	}
}

// B48: what is in the PEM file.
func TestB48_Chain(t *testing.T) {
	root := newIssuer(t, "root", nil)
	middle, other := newIssuer(t, "intermediate", root), newIssuer(t, "other", root)
	leaf := middle.leaf("one.acme.test")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	chain := pemOf(leaf, middle.cert)
	forClients := middle.sign(middle, &x509.Certificate{DNSNames: []string{"one.acme.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, newKey(t).Public())
	for name, c := range map[string]struct{ text, want string }{
		"authority first":   {pemOf(middle.cert, leaf), "begins with the certificate of an authority"},
		"wrong order":       {pemOf(leaf, root.cert, middle.cert), `certificate 1 (one.acme.test) isn't vouched for by certificate 2 (root)`},
		"another authority": {pemOf(leaf, other.cert), "isn't vouched for by certificate 2 (other)"},
		"a private key":     {chain + key, "holds a private key in clear"},
		"an encrypted key":  {chain + strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "holds a private key in clear"},
		"nothing":           {"", "holds no certificate"},
		"not PEM":           {"\x30\x82\x01\x0a" + chain[40:90], "holds no certificate"},
		"damaged":           {strings.Replace(chain, chain[60:64], "!!!!", 1), "it was cut off or damaged"},
		"cut off":           {chain[:len(chain)-20], "it was cut off or damaged"},
		"not a certificate": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 can't be read"},
		"another block":     {chain + string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{1}})), "holds a block X509 CRL"},
		"2 MB":              {chain + strings.Repeat("#\n", 1<<20), "at most"},
		"too many":          {strings.Repeat(pemOf(root.cert), 11), "more than 10 certificates"},
		"a weak key":        {pemOf(middle.sign(middle, &x509.Certificate{DNSNames: []string{"one.acme.test"}}, weak.Public())), "RSA keys have 2048 to 8192"},
		"for clients":       {pemOf(forClients, middle.cert), "isn't for servers"},
	} {
		_, err := schema.Load(certificateTree(t, c.text, "one.acme.test"), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "tenants/acme/tls/cert.yaml:") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		} else if strings.Contains(err.Error(), key[40:80]) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

// B49: the names of a certificate.
func TestB49_Names(t *testing.T) {
	i := newIssuer(t, "root", nil)
	chain := pemOf(i.leaf("one.acme.test", "www.globex.test", "*.two.acme.test", "nobody.acme.test"), i.cert)
	var many []string
	for n := range 101 {
		many = append(many, fmt.Sprintf("n%d.acme.test", n))
	}
	for name, c := range map[string]struct {
		names []string
		want  string
	}{
		"another tenant's":   {[]string{"www.globex.test"}, "www.globex.test is no host name of tenant acme"},
		"nobody's":           {[]string{"nobody.acme.test"}, "nobody.acme.test is no host name of tenant acme"},
		"not in it":          {[]string{"three.acme.test"}, "three.acme.test isn't in the certificate, which is for one.acme.test, www.globex.test"},
		"below the wildcard": {[]string{"two.acme.test"}, "two.acme.test isn't in the certificate"},
		"a wildcard":         {[]string{`"*.two.acme.test"`}, "is a wildcard; name each host name"},
		"an address":         {[]string{"192.0.2.1"}, "192.0.2.1"},
		"101 names":          {many, "100"},
		"none":               {nil, "dnsNames"},
		"twice":              {[]string{"one.acme.test", "ONE.acme.test."}, "twice"},
		"a command":          {[]string{`"one.acme.test;disable frontend fe_http"`}, "spec.dnsNames[0]"},
	} {
		_, err := schema.Load(certificateTree(t, chain, c.names...), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	tree := certificateTree(t, chain, "one.acme.test")
	text := tree["tenants/acme/tls/cert.yaml"]
	for name, c := range map[string]struct{ old, with, want string }{
		"generated key":    {"{secretRef: {file: key.sops.yaml, key: database.password}}", "{generate: true}", "can't be generated"},
		"no file":          {"chain.pem", "chains.pem", "there is no file tenants/acme/tls/chains.pem"},
		"another's file":   {"chain.pem", "../../globex/chain.pem", "spec.custom.certRef"},
		"a key that isn't": {"database.password", "database.passwort", "did you mean"},
		"key in clear":     {"{secretRef: {file: key.sops.yaml, key: database.password}}", `"-----BEGIN"`, "spec.custom.keyRef"},
		"two for one name": {"---\n", "---\n" + strings.Replace(strings.SplitN(text, "---\n", 2)[0], "name: site", "name: again", 1) + "---\n", "has the Certificate site"},
		"another issuer":   {"issuer: custom", "issuer: acme", "allowed: custom"},
	} {
		tree["tenants/acme/tls/cert.yaml"] = strings.Replace(text, c.old, c.with, 1)
		_, err := schema.Load(tree, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
