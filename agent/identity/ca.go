// Package identity gives every node and every controller a name that can be checked: an X.509 certificate of one CA,
// with a URI in it that says which instance it belongs to and what it may be.
//
//	hostctl://<instance>/controller      may drive the agents of the instance
//	hostctl://<instance>/node/<name>     is the agent of that node, and may drive nothing
//
// The CA lives in a folder of the controller. A node gets its certificate and key when its container is made; they never
// leave it.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// How long certificates are good for. A node's is renewed whenever its container is replaced.
const (
	caValidity   = 20 * 365 * 24 * time.Hour
	leafValidity = 5 * 365 * 24 * time.Hour
	clockSkew    = time.Hour
)

// CA signs the certificates of one installation.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open returns the CA kept in dir (ca.crt, and ca.key with mode 0600) and makes one at first use. Processes that open the
// same folder at once get the same CA.
func Open(dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("open CA: lock %s: %w", dir, err)
	}
	defer unlock()
	ca, err := load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = create(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open CA in %s: %w", dir, err)
	}
	return ca, nil
}

// lock holds the folder until the function it returns is called or the process ends.
func lock(dir string) (func(), error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return func() { _ = d.Close() }, nil // closing gives the lock back
}

// load reads a CA that is there. The certificate is written last, so one without it was never used.
func load(dir string) (*CA, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		// Never made anew, not even where there is no such file: every node would be locked out.
		return nil, errors.New("there is a certificate and no key to it: " + err.Error())
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("ca.key: want an ECDSA key, have %T", pair.PrivateKey)
	}
	return &CA{cert: pair.Leaf, key: key}, nil
}

func create(dir string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "hostctl CA"},
		NotBefore:             time.Now().Add(-clockSkew),
		NotAfter:              time.Now().Add(caValidity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "ca.key"), keyPEM, 0o600); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "ca.crt"), encodeCert(der), 0o644); err != nil {
		return nil, err
	}
	return load(dir)
}

// PEM returns the CA's certificate: what a node trusts.
func (ca *CA) PEM() []byte { return encodeCert(ca.cert.Raw) }

// Node returns a new certificate and key, PEM, for the agent of a node that is reached at ips.
func (ca *CA) Node(name, role, instance string, ips []net.IP) (cert, key []byte, err error) {
	uri, err := nodeURI(instance, name)
	if err != nil {
		return nil, nil, err
	}
	return ca.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, OrganizationalUnit: []string{role}},
		DNSNames:    []string{name},
		IPAddresses: ips,
		URIs:        []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// Controller returns a new certificate that may drive the agents of an instance. It is kept in memory only.
func (ca *CA) Controller(instance string) (tls.Certificate, error) {
	uri, err := controllerURI(instance)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, key, err := ca.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "hostctl controller"},
		URIs:        []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// issue signs a certificate for a key of its own.
func (ca *CA) issue(template *x509.Certificate) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	template.SerialNumber = serial()
	template.NotBefore = time.Now().Add(-clockSkew)
	template.NotAfter = time.Now().Add(leafValidity)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &private.PublicKey, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	if key, err = encodeKey(private); err != nil {
		return nil, nil, err
	}
	return encodeCert(der), key, nil
}

// Instances and nodes are parts of a URI; neither holds what means something there.
var (
	instanceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)
	nodeForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

func controllerURI(instance string) (*url.URL, error) {
	if !instanceForm.MatchString(instance) {
		return nil, fmt.Errorf("identity: %q can't be the id of an instance", instance)
	}
	return &url.URL{Scheme: "hostctl", Host: instance, Path: "/controller"}, nil
}

func nodeURI(instance, name string) (*url.URL, error) {
	if !instanceForm.MatchString(instance) {
		return nil, fmt.Errorf("identity: %q can't be the id of an instance", instance)
	}
	if !nodeForm.MatchString(name) {
		return nil, fmt.Errorf("identity: %q can't be the name of a node", name)
	}
	return &url.URL{Scheme: "hostctl", Host: instance, Path: "/node/" + name}, nil
}

// serial returns 127 random bits (RFC 5280 4.1.2.2: positive, at most 20 bytes).
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// writeFile puts a file in place whole.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already where all went well
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
