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
	"strings"
	"time"

	"hostctl/tests/platform"
)

// Where the tenant's key is declared, and below which line.
const (
	tenantFile = "tenants/initech/initech.yaml"
	aboveKey   = "  plan: large\n"
)

// byKey lets the tenant in by SFTP with a key of its own, and shows what it uploads on its site.
func (d demo) byKey(ctx context.Context, at platform.Endpoints) error {
	key := filepath.Join(d.Dir, "initech_key")
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		if err := d.declareKey(ctx, key); err != nil {
			return err
		}
	} else {
		say("The key of %s was declared by an earlier demo", tenant)
	}
	page := filepath.Join(d.Dir, "hello.html")
	commands := filepath.Join(d.Dir, "sftp-commands")
	for name, text := range map[string]string{
		page:     "<p>uploaded by SFTP at " + time.Now().Format(time.TimeOnly) + "\n",
		commands: "put " + page + " www/hello.html\nls -l www\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	host, port, err := net.SplitHostPort(at.SFTP)
	if err != nil {
		return fmt.Errorf("no node publishes SFTP: %w", err)
	}
	known := "UserKnownHostsFile=" + filepath.Join(d.Dir, "known_hosts")
	if err := d.client(ctx, holding("sftp>", "hello.html"), "sftp", "-q", "-b", commands, "-i", key, "-P", port,
		"-o", known, "-o", "StrictHostKeyChecking=accept-new", "t-"+tenant+"@"+host); err != nil {
		return err
	}
	return d.client(ctx, words, "curl", "-sS", "-H", "Host: www.initech.test", "http://"+at.HTTP+"/hello.html")
}

// declareKey makes a key and gives its public half to the tenant.
func (d demo) declareKey(ctx context.Context, key string) error {
	say("A key for the tenant %s, which lets it in by SFTP", tenant)
	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", key).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return err
	}
	file := filepath.Join(d.Clone(), tenantFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	with := aboveKey + "  shell: sftp\n  sshKeys:\n    - " + strings.TrimSpace(string(public)) + "\n"
	declared := strings.Replace(string(text), aboveKey, with, 1)
	if declared == string(text) {
		return fmt.Errorf("%s: no line says %q", tenantFile, strings.TrimSpace(aboveKey))
	}
	if err := os.WriteFile(file, []byte(declared), 0o644); err != nil {
		return err
	}
	return d.Push(ctx, tenant+": a key for SFTP")
}
