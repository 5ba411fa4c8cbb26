package powerdns_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/powerdns"
	"hostctl/planner"
)

// The tests speak to PowerDNS on PostgreSQL, as the images dns and servicedb have them: one pair for all of them. Only
// the API's address is another one, for the tests run outside.

const (
	dnsImage = "hostctl/dns:v1"
	dbImage  = "hostctl/servicedb:v1"
	target   = "eu-1-dns"
	instance = "3f0c9a540000400080007e57da7aba5e"
)

// server is the running PowerDNS.
var server struct {
	err     error // why there is none
	url     string
	keyFile string
	name    string // of its container
	address string
}

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "hostctl-dns-")
	if err != nil {
		panic(err)
	}
	id := "hostctl-test-" + strings.ToLower(rand.Text())
	server.err = startServer(dir, id)
	code := m.Run()
	_, err1 := tryDocker("rm", "-f", "-v", id+"-dns", id+"-db")
	_, err2 := tryDocker("network", "rm", id)
	if err := errors.Join(err1, err2, os.RemoveAll(dir)); err != nil && server.err == nil {
		fmt.Fprintln(os.Stderr, "clean up:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// needServer skips a test with -short; without it, no server is a failure.
func needServer(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Docker")
	}
	if server.err != nil {
		t.Fatalf("no PowerDNS; agent/images/build makes its images: %v", server.err)
	}
}

func tryDocker(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, err
}

func startServer(dir, id string) error {
	if err := writeCertificates(dir, id+"-db", id+"-dns"); err != nil {
		return err
	}
	open := "webserver-address=0.0.0.0\nwebserver-allow-from=0.0.0.0/0\nxfr-cycle-interval=1\n"
	if err := os.WriteFile(filepath.Join(dir, "test.conf"), []byte(open), 0o644); err != nil {
		return err
	}
	steps := [][]string{
		{"network", "create", id},
		{"create", "--name", id + "-db", "--network", id, dbImage},
		{"create", "--name", id + "-dns", "--network", id, "-e", "HOSTCTL_DB_ADDRESS=" + id + "-db", dnsImage},
		{"cp", filepath.Join(dir, "test.conf"), id + "-dns:/etc/powerdns/pdns.d/test.conf"},
	}
	for _, c := range []string{"-db", "-dns"} {
		steps = append(steps,
			[]string{"cp", filepath.Join(dir, "ca.crt"), id + c + ":/etc/hostctl/tls/ca.crt"},
			[]string{"cp", filepath.Join(dir, id+c+".crt"), id + c + ":/etc/hostctl/tls/node.crt"},
			[]string{"cp", filepath.Join(dir, id+c+".key"), id + c + ":/etc/hostctl/tls/node.key"},
			[]string{"start", id + c})
	}
	for _, args := range steps {
		if _, err := tryDocker(args...); err != nil {
			return err
		}
	}
	address, err := tryDocker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id+"-dns")
	if err != nil {
		return err
	}
	server.name, server.address = id+"-dns", address
	server.url, server.keyFile = "http://"+address+":8081", filepath.Join(dir, "api-key")
	return waitForServer()
}

// waitForServer waits until the API answers, which is after the database's first start.
func waitForServer() error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		key, err := tryDocker("exec", server.name, "cat", "/etc/powerdns/api-key")
		if err == nil {
			err = os.WriteFile(server.keyFile, []byte(key+"\n"), 0o600)
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			_, err = executor().Observe(ctx)
			cancel()
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond) // between two looks
	}
}

// writeCertificates writes a CA's certificate, and one for each node with its key.
func writeCertificates(dir, db, dns string) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	errs := []error{writePEM(filepath.Join(dir, "ca.crt"), "CERTIFICATE", der)}
	for i, n := range []struct{ file, name, role string }{{db, "eu-1-db-0", "servicedb"}, {dns, "eu-1-dns-0", "dns"}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: n.name, OrganizationalUnit: []string{n.role}},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, DNSNames: []string{n.file},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err1 := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
		keyDER, err2 := x509.MarshalPKCS8PrivateKey(key)
		errs = append(errs, err1, err2,
			writePEM(filepath.Join(dir, n.file+".crt"), "CERTIFICATE", der), writePEM(filepath.Join(dir, n.file+".key"), "PRIVATE KEY", keyDER))
	}
	return errors.Join(errs...)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func options() powerdns.Options {
	return powerdns.Options{Target: target, Instance: instance, URL: server.url, KeyFile: server.keyFile, Secret: secretOf}
}

func executor() *powerdns.Executor { return powerdns.New(options()) }

// api sends a request past the executor, and returns the status and the answer.
func api(t testing.TB, method, path, body string) (int, string) {
	t.Helper()
	key, err := os.ReadFile(server.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, server.url+"/api/v1/servers/localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

// clean removes zones, whatever is in them, now and when the test ends.
func clean(t testing.TB, zones ...string) {
	t.Helper()
	all := func() {
		for _, z := range zones {
			api(t, http.MethodDelete, "/zones/"+z+".", "")
		}
	}
	all()
	t.Cleanup(all)
}

func meta(name string) planner.Meta { return planner.Meta{Target: target, Name: name} }

func zoneOf(name string) planner.Zone {
	return planner.Zone{Meta: meta(name), Nameservers: []string{"ns1.hosting.example", "ns2.hosting.example"}, Hostmaster: "host.master@hosting.example", TTL: 3600}
}

func rrsetOf(zone, fqdn, typ string, values ...string) planner.RRset {
	return planner.RRset{Meta: meta(zone + "/" + fqdn + "/" + typ), Zone: zone, FQDN: fqdn, Type: typ, TTL: 300, Values: values}
}

func create(os ...planner.Object) []planner.Change {
	var cs []planner.Change
	for i, o := range os {
		cs = append(cs, planner.Change{ID: i, Action: planner.Create, New: o})
	}
	return cs
}

func remove(os ...planner.Object) []planner.Change {
	var cs []planner.Change
	for i, o := range os {
		cs = append(cs, planner.Change{ID: i, Action: planner.Delete, Old: o})
	}
	return cs
}

func apply(t testing.TB, e executors.Executor, cs []planner.Change) {
	t.Helper()
	for i, err := range e.Apply(t.Context(), cs) {
		if err != nil {
			t.Fatalf("%s %s: %s: %v", cs[i].Action, cs[i].Ref(), executors.KindOf(err), err)
		}
	}
}
