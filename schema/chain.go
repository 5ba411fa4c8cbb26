package schema

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of a chain.
const (
	maxChain        = 32 << 10 // bytes
	maxCertificates = 10
	minRSA, maxRSA  = 2048, 8192 // bits
)

// chain is a server's certificate with those that vouch for it.
type chain struct {
	pem  string // one block after the other, nothing between them, the server's first
	leaf *x509.Certificate
}

// parseChain reads a PEM file as certificate authorities hand it out (RFC 5246 7.4.2 for the order). Text between the
// blocks and line ends of any kind don't matter. A private key must not be in it. Dates are not looked at: what a commit
// means must not depend on when it is read.
func parseChain(b []byte) (chain, error) {
	if len(b) > maxChain {
		return chain{}, fmt.Errorf("has %d bytes; a chain has at most %d: put the server's certificate and the intermediate ones in it only", len(b), maxChain)
	}
	if bytes.Contains(b, []byte("PRIVATE KEY-----")) {
		return chain{}, errors.New("holds a private key in clear; take it out, have the certificate issued for another key, and put that one into an encrypted file (hostctl secret set)")
	}
	var out bytes.Buffer
	var certs []*x509.Certificate
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return chain{}, fmt.Errorf("holds a block %s; it is for certificates only", shorten(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return chain{}, fmt.Errorf("certificate %d can't be read: it is damaged or of a kind that isn't known", len(certs)+1)
		}
		if certs = append(certs, cert); len(certs) > maxCertificates {
			return chain{}, fmt.Errorf("holds more than %d certificates", maxCertificates)
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	switch begun := bytes.Count(b, []byte("-----BEGIN ")); {
	case len(certs) == 0:
		return chain{}, errors.New("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
	case begun != len(certs):
		return chain{}, fmt.Errorf("begins %d blocks and %d of them can be read; it was cut off or damaged", begun, len(certs))
	}
	return chain{out.String(), certs[0]}, checkChain(certs)
}

// checkChain checks that each certificate is vouched for by the next one.
func checkChain(certs []*x509.Certificate) error {
	for i, c := range certs {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && (key.N.BitLen() < minRSA || key.N.BitLen() > maxRSA) {
			return fmt.Errorf("the key of certificate %d has %d bits; RSA keys have %d to %d", i+1, key.N.BitLen(), minRSA, maxRSA)
		}
	}
	leaf := certs[0]
	if leaf.IsCA && len(certs) > 1 {
		return errors.New("begins with the certificate of an authority; put the server's own first, then the intermediate ones, each followed by the one that vouches for it")
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return errors.New("the first certificate isn't for servers (RFC 5280 4.2.1.12, serverAuth)")
	}
	for i := range len(certs) - 1 {
		if err := certs[i].CheckSignatureFrom(certs[i+1]); err != nil {
			return fmt.Errorf("certificate %d (%s) isn't vouched for by certificate %d (%s); each must be followed by the one that issued it, and others left out",
				i+1, subject(certs[i]), i+2, subject(certs[i+1]))
		}
	}
	return nil
}

// subject names a certificate in an error.
func subject(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" && len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	return shorten(strings.ToValidUTF8(name, "?"))
}
