package schema

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

func (d *decoder) shell(n *yaml.Node) Shell {
	if s := Shell(d.plain(n)); s != "" {
		return s
	}
	return ShellNone
}

func (d *decoder) sshKeys(n *yaml.Node) []string {
	keys := list(d, n, ParseSSHKey)
	for i, key := range keys {
		if key != "" && slices.ContainsFunc(keys[:i], func(k string) bool { return sameSSHKey(k, key) }) {
			d.fail(n.Content[i], "is the same key as one before it; keep one")
		}
	}
	slices.Sort(keys)
	return keys
}

// sftpPort is the name of the port that a NodeProfile publishes for SFTP.
const sftpPort = "sftp"

// checkShells tells of tenants that were meant to log in and can't.
func (c *catalog) checkShells() {
	for _, t := range c.tenants.sound() {
		switch {
		case t.v.Shell == ShellNone && len(t.v.SSHKeys) > 0:
			c.warn(&t.origin, "spec.sshKeys", "log nobody in while spec.shell is none; set it to sftp")
		case t.v.Shell == ShellNone:
		case t.v.WebShard == "":
			c.fail(&t.origin, "spec.shell", "is sftp, and there is nothing to log in to; add spec.shards.web, or take it out")
		case len(t.v.SSHKeys) == 0:
			c.warn(&t.origin, "spec.shell", "is sftp, and nobody can log in; add sshKeys")
		case !c.publishesSFTP(t.v.WebShard):
			c.warn(&t.origin, "spec.shell", "is sftp, and the nodes of shard %s publish no port for it; add {name: %s, container: 22} to the ports of its NodeProfile", t.v.WebShard, sftpPort)
		}
	}
}

// publishesSFTP reports whether the nodes of a shard publish sshd's port; what can't be known is taken for yes.
func (c *catalog) publishesSFTP(shard string) bool {
	s := c.shards.get("", shard)
	if s == nil || s.broken {
		return true
	}
	p := c.profiles.get("", s.v.Profile)
	return p == nil || p.broken || slices.ContainsFunc(p.v.Ports, func(p Port) bool { return p.Container == 22 && strings.EqualFold(p.Protocol, "tcp") })
}
