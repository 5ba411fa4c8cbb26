package platform

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
)

func (p Platform) sshKey() string { return filepath.Join(p.Dir, "sftp-key") }

// SSHKey returns the public key of those who log in to this platform, and makes the pair if there is none.
func (p Platform) SSHKey(ctx context.Context) (string, error) {
	if _, err := os.Stat(p.sshKey()); errors.Is(err, fs.ErrNotExist) {
		out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", p.sshKey()).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	public, err := os.ReadFile(p.sshKey() + ".pub")
	return strings.TrimSpace(string(public)), err
}

// SFTP runs a batch of sftp's commands at a node, as a tenant, and returns what it prints. All nodes must be the same host
// to it, from the first time on.
func (p Platform) SFTP(ctx context.Context, node, tenant, batch string) (string, error) {
	argv, err := p.SFTPCommand(ctx, node, tenant)
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Stdin = strings.NewReader(batch)
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("sftp to %s: %w: %s", node, err, out)
	}
	return string(out), err
}

// SFTPCommand is how a tenant logs in to a node, with a batch as standard input.
func (p Platform) SFTPCommand(ctx context.Context, node, tenant string) ([]string, error) {
	s, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range s.Endpoints {
		if e.Node != node || e.Name != "sftp" {
			continue
		}
		host, port, err := net.SplitHostPort(e.Address)
		return []string{
			"sftp", "-P", port, "-i", p.sshKey(), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "HostKeyAlias=web",
			"-o", "UserKnownHostsFile=" + filepath.Join(p.Dir, "known_hosts"), "-o", "StrictHostKeyChecking=accept-new", "-b", "-", "t-" + tenant + "@" + host,
		}, err
	}
	return nil, fmt.Errorf("node %s publishes no port for SFTP", node)
}
