package schema_test

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/crypto/ssh"

	"hostctl/schema"
)

// FuzzParseSSHKey: what is accepted is one line that sshd reads as one key without options, and is read as itself again. No
// error holds the key.
func FuzzParseSSHKey(f *testing.F) {
	seed(f)
	for _, s := range []string{
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSATJUGMgFPtdwMCLFa2YRgKMkG1B42ODB1LVfMJGQa ann@laptop",
		"  ssh-ed25519   AAAAC3NzaC1lZDI1NTE5AAAAIFSATJUGMgFPtdwMCLFa2YRgKMkG1B42ODB1LVfMJGQa  two  words ",
		"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNVagG7yNkh2ICMCEx8vKfBN2HPDSlsSxbdbVpqAslr4iG4+QycE0dP6TAWG/zOFY/vDVwudKI8tXQO3FuaCZw4= ec",
		`command="id" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSATJUGMgFPtdwMCLFa2YRgKMkG1B42ODB1LVfMJGQa x`,
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSATJUGMgFPtdwMCLFa2YRgKMkG1B42ODB1LVfMJGQa\nssh-rsa AAAA", "# x", "-----BEGIN OPENSSH PRIVATE KEY-----",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, err := schema.ParseSSHKey(s)
		if err != nil {
			checkMessage(t, err)
			if len(s) > 70 && strings.Contains(err.Error(), s) {
				t.Fatalf("the error holds the key: %v", err)
			}
			return
		}
		key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(rest) > 0 || strings.ContainsFunc(line, unicode.IsControl) {
			t.Fatalf("%q is read as %q: options %v, rest %q, %v", s, line, options, rest, err)
		}
		if !strings.HasPrefix(line, key.Type()+" ") || strings.Contains(key.Type(), "cert") {
			t.Fatalf("%q is a %s", line, key.Type())
		}
		if again, err := schema.ParseSSHKey(line); err != nil || again != line {
			t.Fatalf("%q is read as %q, and that as %q, %v", s, line, again, err)
		}
		if name := schema.SSHKeyName(line); !strings.HasPrefix(name, key.Type()+" SHA256:") || !strings.HasSuffix(name, comment) {
			t.Fatalf("%q is called %q", line, name)
		}
	})
}
