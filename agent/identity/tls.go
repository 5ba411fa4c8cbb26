package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// ServerTLS returns the TLS of a node's agent, from PEM files. It takes TLS 1.3 only, and only clients that hold the
// certificate of this instance's controller; with nodes also those that hold that of a node of it. Caller says which one
// it is; a node's certificate drives no other node. The node's own certificate is read anew for each connection, so one that
// was renewed needs no restart.
func ServerTLS(caFile, certFile, keyFile, instance string, nodes bool) (*tls.Config, error) {
	controller, err := controllerURI(instance)
	if err != nil {
		return nil, err
	}
	pool, _, err := readPair(caFile, certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(certFile, keyFile)
			return &pair, err
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			err := isFor(s, controller)
			if err == nil || !nodes {
				return err
			}
			_, err = Caller(s, instance)
			return err
		},
	}, nil
}

// Caller returns which node of an instance is at the other end of a connection that ServerTLS has let in; "" is the
// controller.
func Caller(s tls.ConnectionState, instance string) (node string, err error) {
	controller, err := controllerURI(instance)
	if err != nil {
		return "", err
	}
	if isFor(s, controller) == nil {
		return "", nil
	}
	if len(s.PeerCertificates) == 0 {
		return "", errors.New("identity: no certificate")
	}
	node = s.PeerCertificates[0].Subject.CommonName
	uri, err := nodeURI(instance, node)
	if err != nil {
		return "", err
	}
	return node, isFor(s, uri)
}

// NodeTLS returns the TLS of a node that calls the agent or a service of another node, from PEM files: only who holds the
// certificate of that node, of the same instance, is talked to.
func NodeTLS(caFile, certFile, keyFile, instance, node string) (*tls.Config, error) {
	uri, err := nodeURI(instance, node)
	if err != nil {
		return nil, err
	}
	pool, own, err := readPair(caFile, certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		RootCAs:          pool,
		ServerName:       node,
		Certificates:     []tls.Certificate{own},
		VerifyConnection: func(s tls.ConnectionState) error { return isFor(s, uri) },
	}, nil
}

// ClientTLS returns the TLS of a controller that calls one node: only the agent with that node's certificate, of the same
// instance, is talked to.
func (ca *CA) ClientTLS(controller tls.Certificate, instance, node string) (*tls.Config, error) {
	uri, err := nodeURI(instance, node)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		RootCAs:          pool,
		ServerName:       node,
		Certificates:     []tls.Certificate{controller},
		VerifyConnection: func(s tls.ConnectionState) error { return isFor(s, uri) },
	}, nil
}

// readPair reads who vouches for certificates, and a node's own, from PEM files.
func readPair(caFile, certFile, keyFile string) (*x509.CertPool, tls.Certificate, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("read CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, tls.Certificate{}, fmt.Errorf("read CA: no certificate in %s", caFile)
	}
	own, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("read the node's certificate: %w", err)
	}
	return pool, own, nil
}

// isFor checks that the other side's certificate, whose chain is verified already, names exactly one identity: that one.
func isFor(s tls.ConnectionState, want *url.URL) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("identity: no certificate")
	}
	uris := s.PeerCertificates[0].URIs
	if len(uris) != 1 || uris[0].String() != want.String() {
		return fmt.Errorf("identity: the certificate is for %v, want %s", uris, want)
	}
	return nil
}
