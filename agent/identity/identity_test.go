package identity_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hostctl/agent/identity"
)

const instance = "3f1c9a4e-0000-4000-8000-000000000001"

func open(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// node writes what is put into a node's container, and returns its TLS.
func node(t *testing.T, ca *identity.CA, name, of string, nodes ...string) *tls.Config {
	t.Helper()
	cert, key, err := ca.Node(name, "web", of, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	c, err := identity.ServerTLS(path("ca.crt", ca.PEM()), path("node.crt", cert), path("node.key", key), of, len(nodes) > 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func controller(t *testing.T, ca *identity.CA, of, to string) *tls.Config {
	t.Helper()
	cert, err := ca.Controller(of)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.ClientTLS(cert, of, to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shake returns what each side says of the handshake.
func shake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan error)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		_ = a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr == nil { // in TLS 1.3 the client learns with the first byte whether it was accepted
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = b.Close()
	return <-done, clientErr
}

func TestMutualTLS(t *testing.T) {
	ca, other := open(t), open(t)
	nodeAsClient := controller(t, ca, instance, "web-1-0")
	certPEM, keyPEM, err := ca.Node("web-1-1", "web", instance, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	nodeAsClient.Certificates = []tls.Certificate{pair}
	old := controller(t, ca, instance, "web-1-0")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	none := controller(t, ca, instance, "web-1-0")
	none.Certificates = nil

	for name, c := range map[string]struct {
		client *tls.Config
		ok     bool
	}{
		"the controller":                   {controller(t, ca, instance, "web-1-0"), true},
		"another CA's controller":          {controller(t, other, instance, "web-1-0"), false},
		"a node":                           {nodeAsClient, false},
		"another instance's controller":    {controller(t, ca, "another", "web-1-0"), false},
		"a controller that wants web-1-1":  {controller(t, ca, instance, "web-1-1"), false},
		"a controller without certificate": {none, false},
		"TLS 1.2":                          {old, false},
	} {
		serverErr, clientErr := shake(t, node(t, ca, "web-1-0", instance), c.client)
		if ok := serverErr == nil && clientErr == nil; ok != c.ok {
			t.Errorf("%s: server: %v, client: %v; want accepted: %t", name, serverErr, clientErr, c.ok)
		}
	}
}

// Where nodes are let in, those of the same instance are, and no others; each is known by its own name.
func TestNodesAmongThemselves(t *testing.T) {
	ca := open(t)
	as := func(ca *identity.CA, name, of string) *tls.Config {
		certPEM, keyPEM, err := ca.Node(name, "web", of, nil)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for file, data := range map[string][]byte{"ca": ca.PEM(), "crt": certPEM, "key": keyPEM} {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := identity.NodeTLS(filepath.Join(dir, "ca"), filepath.Join(dir, "crt"), filepath.Join(dir, "key"), of, "web-1-0")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]struct {
		client *tls.Config
		caller string
		ok     bool
	}{
		"a node":                {as(ca, "web-2-0", instance), "web-2-0", true},
		"the controller":        {controller(t, ca, instance, "web-1-0"), "", true},
		"another CA's node":     {as(open(t), "web-2-0", instance), "", false},
		"another instance's":    {as(ca, "web-2-0", "another"), "", false},
		"a controller of other": {controller(t, ca, "another", "web-1-0"), "", false},
	} {
		server := node(t, ca, "web-1-0", instance, "and nodes")
		caller := "nobody"
		verify := server.VerifyConnection
		server.VerifyConnection = func(s tls.ConnectionState) (err error) {
			if err = verify(s); err == nil {
				caller, err = identity.Caller(s, instance)
			}
			return err
		}
		serverErr, clientErr := shake(t, server, c.client)
		if ok := serverErr == nil && clientErr == nil; ok != c.ok || ok && caller != c.caller {
			t.Errorf("%s: server: %v, client: %v, caller %q; want accepted: %t, caller %q", name, serverErr, clientErr, caller, c.ok, c.caller)
		}
	}
}

// A node of another instance that has the name is not the node.
func TestServerOfAnotherInstance(t *testing.T) {
	ca := open(t)
	server := node(t, ca, "web-1-0", "another")
	_, err := shake(t, server, controller(t, ca, instance, "web-1-0"))
	if err == nil || !strings.Contains(err.Error(), "identity: the certificate is for") {
		t.Errorf("client: %v, want it to refuse the certificate", err)
	}
}

func TestOpenAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	got := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			ca, err := identity.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = ca.PEM()
		})
	}
	wg.Wait()
	for _, pem := range got {
		if !bytes.Equal(pem, got[0]) {
			t.Fatal("two CAs were made")
		}
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode of ca.key: %v", info.Mode())
	}
}

// A lost key is never replaced silently: every node would be locked out.
func TestOpenWithoutKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := identity.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(dir); err == nil {
		t.Error("a CA was made anew")
	}
}

func TestNames(t *testing.T) {
	ca := open(t)
	for _, name := range []string{"", "a/b", "../x", "A", "a b", "a\n"} {
		if _, _, err := ca.Node(name, "web", instance, nil); err == nil {
			t.Errorf("node %q was given a certificate", name)
		}
	}
	for _, instance := range []string{"", "a/b", "a@b", "a?b"} {
		if _, err := ca.Controller(instance); err == nil {
			t.Errorf("a controller of instance %q was given a certificate", instance)
		}
	}
}
