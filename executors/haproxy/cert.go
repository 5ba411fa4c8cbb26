package haproxy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is the fingerprint that HAProxy shows
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// How long a certificate that is made here is good, and when the next one takes its place.
const (
	selfSignedFor = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
)

// maxPEM is the most bytes of a chain with its key: the command that brings it must fit HAProxy's buffer (tune.bufsize).
const maxPEM = 48 << 10

// certHead begins the first line of a certificate's file, which says what the file was made from. It is before the first
// block, where OpenSSL skips what there is.
const certHead = "# hostctl "

// certSource is what a certificate was made from, but for its chain, which is in the file itself.
type certSource struct {
	SelfSigned bool          `json:"selfSigned,omitempty"`
	Key        *planner.Held `json:"key,omitempty"`
}

// encodeCert returns the content of a certificate's file: the line, the chain, the key.
func encodeCert(s certSource, chain, key []byte) ([]byte, error) {
	line, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s%s\n%s%s", certHead, line, chain, key), nil
}

// certFile is what a certificate's file holds.
type certFile struct {
	source      certSource
	chain       string // PEM, one block after the other
	payload     string // chain and key, without an empty line: one would end the command
	fingerprint string // of the first certificate, SHA-1 in capital hex as HAProxy shows it
	until       time.Time
}

var errCertFile = errors.New("the file isn't one that hostctl wrote")

// parseCertFile reads what encodeCert wrote. It holds one chain and one key that belong together, and nothing else.
func parseCertFile(b []byte) (certFile, error) {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	text, ours := strings.CutPrefix(string(line), certHead)
	var f certFile
	if !ok || !ours || json.Unmarshal([]byte(text), &f.source) != nil || len(rest) > maxPEM {
		return certFile{}, errCertFile
	}
	pair, err := tls.X509KeyPair(rest, rest)
	if err != nil {
		return certFile{}, errCertFile // the reason could tell of the key
	}
	var all, chain bytes.Buffer
	for left := rest; ; {
		var block *pem.Block
		if block, left = pem.Decode(left); block == nil {
			break
		}
		block.Headers = nil // after them comes an empty line
		encoded := pem.EncodeToMemory(block)
		if block.Type == "CERTIFICATE" {
			chain.Write(encoded)
		}
		all.Write(encoded)
	}
	if !bytes.Equal(all.Bytes(), rest) {
		return certFile{}, errCertFile
	}
	sum := sha1.Sum(pair.Certificate[0]) //nolint:gosec // see above
	f.chain, f.payload = chain.String(), all.String()
	f.fingerprint, f.until = strings.ToUpper(hex.EncodeToString(sum[:])), pair.Leaf.NotAfter
	return f, nil
}

// makeCert returns the content of the file of a certificate: made here, or of what the tenant brings, once that is right.
func (e *Executor) makeCert(o planner.Cert, now time.Time) ([]byte, error) {
	if err := checkHost(o.Name); err != nil {
		return nil, err
	}
	switch {
	case o.SelfSigned && o.Chain == "" && o.Key == nil:
		return selfSigned(o.Name, now)
	case o.SelfSigned || o.Chain == "" || o.Key == nil:
		return nil, executors.Errorf(executors.Refused, "certificate %s: it is either self-signed or has a chain and a key", o.Name)
	case e.o.Key == nil:
		return nil, executors.Errorf(executors.Refused, "certificate %s: this node keeps no keys", o.Name)
	}
	key, err := e.o.Key(*o.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", o.Name, err)
	}
	key, err = schema.PrivateKey(key)
	if err != nil {
		return nil, executors.Errorf(executors.Refused, "certificate %s: secret %s: %w", o.Name, o.Key.Secret, err)
	}
	if err := fits(o.Name, []byte(o.Chain), key, now); err != nil {
		return nil, executors.Errorf(executors.Refused, "certificate %s: %w", o.Name, err)
	}
	b, err := encodeCert(certSource{Key: o.Key}, []byte(o.Chain), key)
	if err != nil {
		return nil, err
	}
	if f, err := parseCertFile(b); err != nil || f.chain != o.Chain { // an empty line in it would end HAProxy's command
		return nil, executors.Errorf(executors.Refused, "certificate %s: the chain holds more than certificates in PEM form", o.Name)
	}
	return b, nil
}

// fits reports why a chain and a key don't serve a host name. What it says is of the chain alone.
func fits(host string, chain, key []byte, now time.Time) error {
	if len(chain)+len(key) > maxPEM {
		return fmt.Errorf("chain and key have %d bytes; at most %d are allowed", len(chain)+len(key), maxPEM)
	}
	leaf, err := schema.CheckPair(chain, key)
	switch {
	case err != nil:
		return err
	case leaf.VerifyHostname(host) != nil:
		return fmt.Errorf("the first certificate of the chain isn't for %s", host)
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate has expired on %s; have it issued anew", leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	return nil
}

// selfSigned makes a key and a certificate of its own for a host name.
func selfSigned(host string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"hostctl, self-signed"}},
		DNSNames:  []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedFor), // an hour, for clocks that are behind
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encodeCert(certSource{SelfSigned: true},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
