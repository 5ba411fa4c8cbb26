package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Two public keys, whose other halves nobody has.
const (
	ed25519Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSATJUGMgFPtdwMCLFa2YRgKMkG1B42ODB1LVfMJGQa ann@laptop"
	ecdsaKey   = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNVagG7yNkh2ICMCEx8vKfBN2HPDSlsSxbdbVpqAslr4iG4+QycE0dP6TAWG/zOFY/vDVwudKI8tXQO3FuaCZw4= ec"
)

// sshTo are the options of each ssh and sftp in the node itself.
const sshTo = "-o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/root/known -o IdentitiesOnly=yes -o ConnectTimeout=10"

// newKey makes a pair of keys in the node, for ssh to use there, and returns the public one.
func (n *node) newKey(name string) string {
	n.t.Helper()
	return strings.TrimSpace(n.script("mkdir -p -m 700 /root/keys; ssh-keygen -q -t ed25519 -N '' -C " + name + " -f /root/keys/" + name + "; cat /root/keys/" + name + ".pub"))
}

// said returns what a script in the node says, and whether it succeeds.
func (n *node) said(script string) (string, bool) {
	n.t.Helper()
	out := n.script("if (" + script + "\n) 2>&1; then echo; echo well; else echo; echo failed; fi")
	text, well := strings.CutSuffix(out, "\nwell\n")
	return strings.TrimSuffix(text, "\nfailed\n"), well
}

// sftp runs a batch of commands as a login, with a key.
func (n *node) sftp(key, login, batch string) (string, bool) {
	n.t.Helper()
	return n.said("sftp " + sshTo + " -i /root/keys/" + key + " -b - " + login + "@localhost <<'EOF'\n" + batch + "\nEOF")
}

// keysNow applies a user with other keys.
func (n *node) keysNow(u *planner.User, keys ...string) {
	n.t.Helper()
	slices.Sort(keys)
	now := *u
	now.Keys = keys
	n.become(u, now)
}

func (n *node) become(u *planner.User, now planner.User) {
	n.t.Helper()
	if err := n.dial(1).Apply(n.t.Context(), []planner.Change{{Action: planner.Update, Old: *u, New: now, Expect: planner.HashOf(*u)}})[0]; err != nil {
		n.t.Fatal(err)
	}
	*u = now
}

// A tenant uploads a site by SFTP, and reaches nothing but its own folder that way: neither what is another's, nor the node.
func TestSFTP(t *testing.T) {
	n := startNode(t)
	acme := n.newSite("acme", 20001, true)
	victim := n.newSite("victim", 20002, false, n.files.add("public/secret.txt", "canary"))
	first, second, third := n.newKey("first"), n.newKey("second"), n.newKey("victim")
	acme.user.Keys, victim.user.Keys = []string{first}, []string{third}
	n.create(acme.objects()...)
	n.create(victim.objects()...)
	n.script("echo uploaded > /tmp/page; echo '<?php echo \"run \", posix_geteuid();' > /tmp/code.php; echo canary > /root/secret")

	out, ok := n.sftp("first", "t-acme", "cd /shop/public\nput /tmp/page page.txt\nput /tmp/code.php\nmkdir below\nput /tmp/page below/page.txt\nls -1 /")
	if !ok || !strings.HasSuffix(strings.TrimSpace(out), "/shop") || strings.Contains(out, "victim") {
		t.Fatalf("an upload: %v\n%s", ok, out)
	}
	for path, want := range map[string]string{"/page.txt": "uploaded\n", "/code.php": "run 20001", "/below/page.txt": "uploaded\n"} {
		if status, body := n.get("acme.example", path); status != 200 || body != want {
			t.Errorf("%s, uploaded: %d %q", path, status, body)
		}
	}
	if out := n.script("stat -c '%U:%G %a' /srv/tenants/acme /srv/tenants/acme/shop/public/page.txt /srv/tenants/acme/shop/public/below /etc/hostctl/ssh /etc/hostctl/ssh/t-acme"); out != "root:t-acme 750\nt-acme:www-data 640\nt-acme:www-data 2750\nroot:root 711\nroot:t-acme 640\n" {
		t.Errorf("owners and modes:\n%s", out)
	}
	sftpAttacks(t, n)
	loginAttacks(t, n)
	if status, body := n.get("victim.example", "/secret.txt"); status != 200 || body != "canary" {
		t.Errorf("the victim's site says %d %q", status, body)
	}

	t.Run("another key", func(t *testing.T) {
		n.keysNow(&acme.user, first, second)
		n.opens("second", "t-acme")
		session := n.session("first")
		n.keysNow(&acme.user, second)
		n.refuses("first")
		n.opens("second", "t-acme")
		n.ended(session)
	})
	t.Run("locked", func(t *testing.T) {
		session := n.session("second")
		now := acme.user
		now.Locked = true
		n.become(&acme.user, now)
		n.ended(session)
		n.refuses("second")
		now.Locked = false
		n.become(&acme.user, now)
		n.opens("second", "t-acme")
	})
	t.Run("as many as it may", func(t *testing.T) {
		if out := n.script("prlimit --noheadings --nproc -o SOFT,HARD -p $(pgrep -o -x sshd)"); strings.Join(strings.Fields(out), " ") != "512 512" {
			t.Errorf("sshd lets each user have %s", out)
		}
		n.script("prlimit --nproc=1:512 -p $(pgrep -o -x sshd)")
		if out, ok := n.sftp("second", "t-acme", "ls"); ok {
			t.Errorf("one process more than it may have: %s", out)
		}
		n.script("prlimit --nproc=512:512 -p $(pgrep -o -x sshd)")
		n.opens("second", "t-acme")
	})
	t.Run("no shell", func(t *testing.T) {
		n.keysNow(&acme.user)
		n.refuses("second")
		n.opens("victim", "t-victim")
	})
	t.Run("sent by nobody", func(t *testing.T) {
		for name, key := range map[string]string{
			"options": `command="/bin/true" ` + first, "two lines": first + "\n" + second, "comment ends the line": first + "\r" + second,
			"weak":                 "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC9ZMup2YWPy3lxCumSCTi1ca+s+Q1563E8cdAHZYKHd7mQdZR+FRzza7Hh3o5C1fpWKDrmzoquYAcnQsLJzmtXJ6KqXn8uB9Od57OcUf1TqSYSMrBV4/PSstIEAsXEdHLZYgnkiu/n3NL98KqmdHAAF/DXT1oCRZ6fdJ/yXTbVJQ==",
			"not as it is written": "  " + first, "nothing": "",
		} {
			u := acme.user
			u.Keys = []string{key}
			if err := n.tryCreate(u)[0]; executors.KindOf(err) != executors.Refused {
				t.Errorf("%s: %v, want it refused", name, err)
			}
		}
		u := acme.user
		u.Keys = []string{second, first}
		slices.Sort(u.Keys)
		slices.Reverse(u.Keys)
		if err := n.tryCreate(u)[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("out of order: %v, want it refused", err)
		}
		n.refuses("first")
	})
	t.Run("host key", func(t *testing.T) {
		const file = "/srv/tenants/.hostctl-ssh/ssh_host_ed25519_key"
		before := n.script("cat " + file)
		n.script("/opt/hostctl/host-key")
		if after := n.script("cat " + file); after != before {
			t.Error("a node that comes makes another host key")
		}
		n.script("rm " + file + "; for i in 1 2 3 4 5 6; do /opt/hostctl/host-key & done; wait; test -s " + file)
		if out := n.script("ls -A " + file + "/.. 2>/dev/null || ls -A /srv/tenants/.hostctl-ssh; stat -c '%U %a' /srv/tenants/.hostctl-ssh " + file); out != "ssh_host_ed25519_key\nroot 700\nroot 600\n" {
			t.Errorf("six nodes at a time leave\n%s", out)
		}
	})
}

func (n *node) opens(key, login string) {
	n.t.Helper()
	if out, ok := n.sftp(key, login, "ls"); !ok {
		n.t.Errorf("%s with key %s: %s", login, key, out)
	}
}

func (n *node) refuses(key string) {
	n.t.Helper()
	if out, ok := n.sftp(key, "t-acme", "ls"); ok || !strings.Contains(out, "Permission denied (publickey)") {
		n.t.Errorf("t-acme with key %s is let in, or refused for another reason: %s", key, out)
	}
}

// session opens a session that stays, and returns the process of its client.
func (n *node) session(key string) string {
	n.t.Helper()
	pid := strings.TrimSpace(n.script("sleep 600 2> /dev/null | ssh " + sshTo + " -i /root/keys/" + key + " -s t-acme@localhost sftp > /dev/null 2>&1 & echo $!"))
	within(n.t, 30*time.Second, "a session is open", func() error {
		if out, ok := n.said("pgrep -U t-acme -x sshd-session"); !ok {
			return fmt.Errorf("no session: %s", out)
		}
		return nil
	})
	return pid
}

// ended waits until a session has ended.
func (n *node) ended(pid string) {
	n.t.Helper()
	within(n.t, 30*time.Second, "the session ends", func() error {
		if out, gone := n.said("test ! -d /proc/" + pid + " || grep '^State:.Z' /proc/" + pid + "/status"); !gone {
			return fmt.Errorf("it is still there: %s", out)
		}
		return nil
	})
}
