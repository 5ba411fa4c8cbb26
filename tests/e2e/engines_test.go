package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// engine is a second Docker engine: with a network namespace, a data folder and a socket of its own, reached from outside
// over TCP with TLS only, as one on another machine is. It is stopped, and all of it removed, when the test ends.
type engine struct {
	t       *testing.T
	dir     string
	name    string            // of the namespace
	address string            // of the machine that it stands for
	socket  string            // unix://…, for the test itself
	tls     map[string]string // files of the client, by what the Host calls them
}

// newEngine starts a second engine. The slot is a number of 0 to 249 that nobody else on this machine has.
func newEngine(t *testing.T, slot int) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-engine")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir, name: fmt.Sprintf("hostctl-e2e-%d", slot), address: fmt.Sprintf("10.79.%d.2", slot), socket: "unix://" + filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e.makeNamespace(fmt.Sprintf("10.79.%d.1", slot))
	e.makeCertificates()
	e.start()
	return e
}

// run runs a program; it must succeed.
func (e *engine) run(words ...string) {
	e.t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		e.t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// makeNamespace makes a network namespace that is joined to this machine by a pair of interfaces, see ip-netns(8).
func (e *engine) makeNamespace(gateway string) {
	e.t.Helper()
	_ = exec.Command("ip", "netns", "delete", e.name).Run() // of a test that was killed
	e.run("ip", "netns", "add", e.name)
	e.t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", e.name).Run() })
	here, there := "he"+e.name[12:], "ht"+e.name[12:]
	_ = exec.Command("ip", "link", "delete", here).Run()
	e.run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", e.name)
	e.t.Cleanup(func() { _ = exec.Command("ip", "link", "delete", here).Run() })
	e.run("ip", "address", "add", gateway+"/24", "dev", here)
	e.run("ip", "link", "set", here, "up")
	inside := func(words ...string) { e.run(append([]string{"ip", "-n", e.name}, words...)...) }
	inside("address", "add", e.address+"/24", "dev", there)
	inside("link", "set", there, "up")
	inside("link", "set", "lo", "up")
	inside("route", "add", "default", "via", gateway)
}

// makeCertificates makes an authority, and certificates of the engine and of its client.
func (e *engine) makeCertificates() {
	e.t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			e.t.Fatal(err)
		}
		return k
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey := key()
	write := func(name, kind string, der []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(e.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			e.t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	write("ca.pem", "CERTIFICATE", der, err)
	for i, who := range []string{"server", "client"} {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: who}, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
			IPAddresses: []net.IP{net.ParseIP(e.address)},
		}
		k := key()
		der, err := x509.CreateCertificate(rand.Reader, c, ca, k.Public(), caKey)
		write(who+".pem", "CERTIFICATE", der, err)
		der, err = x509.MarshalPKCS8PrivateKey(k)
		write(who+"-key.pem", "PRIVATE KEY", der, err)
	}
	e.tls = map[string]string{"ca": filepath.Join(e.dir, "ca.pem"), "cert": filepath.Join(e.dir, "client.pem"), "key": filepath.Join(e.dir, "client-key.pem")}
}

// start starts the engine, and stops it when the test ends: its containers first, then itself, then what it has mounted.
func (e *engine) start() {
	e.t.Helper()
	log, err := os.Create(filepath.Join(e.dir, "dockerd.log"))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	in := func(name string) string { return filepath.Join(e.dir, name) }
	c := exec.Command("nsenter", "--net=/run/netns/"+e.name, "dockerd",
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"),
		"--host", e.socket, "--host", "tcp://"+e.address+":2376", "--tlsverify",
		"--tlscacert", in("ca.pem"), "--tlscert", in("server.pem"), "--tlskey", in("server-key.pem"))
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		e.t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = c.Wait() // it ends when it is told to
	}()
	e.t.Cleanup(func() {
		if e.t.Failed() {
			out, _ := exec.Command("tail", "-n", "30", in("dockerd.log")).Output()
			e.t.Logf("the second engine's log:\n%s", out)
		}
		if ids := strings.Fields(e.docker("ps", "-aq")); len(ids) > 0 {
			e.docker(append([]string{"rm", "--force", "--volumes"}, ids...)...)
		}
		_ = c.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-gone
		}
		_ = exec.Command("umount", "--recursive", "--lazy", in("data")).Run()
	})
	err = platform.Until(e.t.Context(), time.Minute, func() error {
		select {
		case <-gone:
			return platform.Fatal{Err: errors.New("dockerd has ended")}
		default:
		}
		return exec.Command("docker", "--host", e.socket, "version").Run()
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// docker runs the docker command on this engine and returns what it printed.
func (e *engine) docker(words ...string) string {
	e.t.Helper()
	out, err := exec.Command("docker", append([]string{"--host", e.socket}, words...)...).CombinedOutput()
	if err != nil {
		e.t.Errorf("docker %s: %v: %s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// bring brings an image from this machine's engine.
func (e *engine) bring(ctx context.Context, image string) {
	e.t.Helper()
	save := exec.CommandContext(ctx, "docker", "save", image)
	load := exec.CommandContext(ctx, "docker", "--host", e.socket, "load")
	pipe, err := save.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	load.Stdin = pipe
	if err := errors.Join(save.Start(), load.Run(), save.Wait()); err != nil {
		e.t.Fatalf("bring image %s: %v", image, err)
	}
}

// host is the engine as a Host of a repository.
func (e *engine) host(name string) string {
	return fmt.Sprintf(`---
apiVersion: hosting/v1
kind: Host
metadata:
  name: %s
spec:
  address: %s
  docker:
    endpoint: tcp://%s:2376
    tls: {ca: %s, cert: %s, key: %s}
  portRange: {first: 30000, last: 30099}
  roles: [web]
`, name, e.address, e.address, e.tls["ca"], e.tls["cert"], e.tls["key"])
}
