package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hostctl/tests/platform"
)

// The tenant that has all that there is.
const (
	tenant   = "initech"
	crmHost  = "crm.initech.test"
	certFile = "tenants/initech/crm-cert.yaml"
)

// everything shows what a tenant has by the clients that people use: curl, mysql, dig, openssl.
func (d demo) everything(ctx context.Context, at platform.Endpoints) error {
	say("What the tenant %s has: a site in each runtime", tenant)
	for _, site := range []string{"crm", "live", "api", "blog", "www"} {
		if err := d.client(ctx, words, "curl", "-sS", "-H", "Host: "+site+".initech.test", "http://"+at.HTTP+"/"); err != nil {
			return err
		}
	}
	say("Its database, which the PHP site writes to")
	node, err := d.container(ctx, "db-1-0")
	if err != nil {
		return err
	}
	if err := d.client(ctx, all, "docker", "exec", node, "mysql", "-t", "-e", "SELECT COUNT(*) AS visits FROM initech_crm.visits"); err != nil {
		return err
	}
	say("Its Valkey, which the Node site counts in")
	if node, err = d.container(ctx, "valkey-1-0"); err != nil {
		return err
	}
	if err := d.client(ctx, all, "docker", "exec", "--env", "REDISCLI_AUTH=look, but do not touch", node,
		"valkey-cli", "--tls", "--cacert", "/etc/hostctl/tls/ca.crt", "-h", "valkey-1-0", "-p", "6400", "--user", "guest", "GET", "visits"); err != nil {
		return err
	}
	say("Its signed zone, and what its registrar needs")
	host, port, err := net.SplitHostPort(at.DNS)
	if err != nil {
		return err
	}
	if err := d.client(ctx, all, "dig", "@"+host, "-p", port, "+dnssec", "+noall", "+answer", crmHost, "A"); err != nil {
		return err
	}
	if err := d.client(ctx, all, d.Program("hostctl"), "--state", d.State(), "ds", "initech.test"); err != nil {
		return err
	}
	if err := d.ownCertificate(ctx, at); err != nil {
		return err
	}
	return d.byKey(ctx, at)
}

// ownCertificate brings a certificate of the tenant's own, and shows that visitors get it by the name they ask for.
func (d demo) ownCertificate(ctx context.Context, at platform.Endpoints) error {
	authority := filepath.Join(d.Dir, "authority.pem")
	if _, err := os.Stat(filepath.Join(d.Clone(), certFile)); errors.Is(err, fs.ErrNotExist) {
		if err := d.bringCertificate(ctx, authority); err != nil {
			return err
		}
	} else {
		say("The certificate of %s was brought by an earlier demo", crmHost)
	}
	return platform.Until(ctx, time.Minute, func() error {
		return d.client(ctx, holding("issuer=", "Verify return code"),
			"openssl", "s_client", "-connect", at.HTTPS, "-servername", crmHost, "-verify_hostname", crmHost, "-CAfile", authority, "-verify_return_error")
	})
}

func (d demo) bringCertificate(ctx context.Context, authority string) error {
	say("A certificate of its own for %s, its key encrypted", crmHost)
	ca, err := platform.NewAuthority("An authority of the demo")
	if err != nil {
		return err
	}
	chain, key, err := ca.Issue(crmHost)
	if err != nil {
		return err
	}
	folder := filepath.Join(d.Clone(), filepath.Dir(certFile))
	for name, text := range map[string]string{
		authority:                        ca.Root(),
		filepath.Join(folder, "crm.pem"): chain,
		filepath.Join(d.Clone(), certFile): `apiVersion: hosting/v1
kind: Certificate
metadata:
  name: crm
spec:
  dnsNames: [` + crmHost + `]
  issuer: custom
  custom:
    certRef: crm.pem
    keyRef: {secretRef: {file: crm-key.sops.yaml, key: key}}
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	set := exec.CommandContext(ctx, d.Program("hostctl"), "--state", d.State(), "secret", "set", filepath.Join(folder, "crm-key.sops.yaml"), "key")
	set.Stdin = strings.NewReader(key)
	if out, err := set.CombinedOutput(); err != nil {
		return fmt.Errorf("hostctl secret set: %w: %s", err, out)
	}
	return d.Push(ctx, tenant+": a certificate for "+crmHost)
}

// container returns the engine's name of a node.
func (d demo) container(ctx context.Context, node string) (string, error) {
	s, err := d.Status(ctx)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "docker", "ps", "--format", "{{.Names}}",
		"--filter", "label=hostctl.instance="+s.Instance, "--filter", "name="+node+".").Output()
	if name := strings.TrimSpace(string(out)); err == nil && name != "" {
		return name, nil
	}
	return "", fmt.Errorf("no container of the node %s runs (%w)", node, err)
}

// client runs a program as a person would, and prints the lines of its output that pass.
func (d demo) client(ctx context.Context, passes func([]string) []string, argv ...string) error {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := c.CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	command := strings.Join(append([]string{filepath.Base(argv[0])}, argv[1:]...), " ")
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, text)
	}
	fmt.Printf("    $ %s\n", command)
	for _, line := range passes(strings.Split(text, "\n")) {
		fmt.Printf("      %s\n", line)
	}
	return nil
}

func all(lines []string) []string { return lines }

// words passes what a page says.
func words(lines []string) []string { return []string{firstWords(strings.Join(lines, "\n"))} }

// holding passes the lines that hold one of some words.
func holding(some ...string) func([]string) []string {
	return func(lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool {
			return !slices.ContainsFunc(some, func(s string) bool { return strings.Contains(line, s) })
		})
	}
}
