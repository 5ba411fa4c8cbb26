package agent_test

import (
	"fmt"
	"strings"
	"testing"
)

// sftpAttacks tries what a tenant with SFTP may try. Each is refused, for the reason that is given.
func sftpAttacks(t *testing.T, n *node) {
	t.Helper()
	const denied, missing, unlisted = "ermission denied", "o such file", "not found"
	attacks := []struct{ what, batch, because string }{
		{"another's file", "get /../victim/shop/public/secret.txt /tmp/got", unlisted},
		{"another's file, relative", "get ../victim/shop/public/secret.txt /tmp/got", unlisted},
		{"another's folder", "ls /victim", unlisted},
		{"another's folder by symlink", "ln -s ../../victim/shop /shop/v\nls /shop/v/", unlisted},
		{"the node's users", "get /etc/passwd /tmp/got", unlisted},
		{"by symlink, absolute", "ln -s /srv/tenants/victim/shop/public/secret.txt /shop/s1\nget /shop/s1 /tmp/got", missing},
		{"by symlink, to root's", "ln -s /../../../root/secret /shop/s2\nget /shop/s2 /tmp/got", missing},
		{"by symlink, through /proc", "ln -s /proc/self/root /shop/s3\nls /shop/s3/", unlisted},
		{"by hard link", "ln /../../etc/passwd /shop/h", missing},
		{"written through a symlink", "ln -s /../victim/shop/public/secret.txt /shop/s4\nput /tmp/page /shop/s4", missing},
		{"a file beside the sites", "put /tmp/page /page", denied},
		{"a folder beside the sites", "mkdir /other", denied},
		{"the site's folder, renamed", "rename /shop /shop2", denied},
		{"the site's folder, removed", "rmdir /shop", denied},
		{"a symlink beside the sites", "ln -s /etc /etc", denied},
		{"its own root, opened", "chmod 777 /", denied},
		{"given to root", "chown 0 /shop/public/page.txt", denied},
		{"given to another", "chown 20002 /shop/public/page.txt", denied},
		{"given to another's group", "chgrp 20002 /shop/public/page.txt", denied},
		{"its keys", "get /etc/hostctl/ssh/t-acme /tmp/got", unlisted},
		{"the host's key", "get /.hostctl-ssh/ssh_host_ed25519_key /tmp/got", unlisted},
		{"devices", "ls /dev", unlisted},
		{"processes", "ls /proc", unlisted},
	}
	var batch strings.Builder
	for i, a := range attacks {
		fmt.Fprintf(&batch, "!echo attack %d\n-%s\n", i, strings.ReplaceAll(a.batch, "\n", "\n-"))
	}
	batch.WriteString("!echo attack over")
	out, _ := n.sftp("first", "t-acme", batch.String())
	for i, a := range attacks {
		_, answer, began := strings.Cut(out, fmt.Sprintf("\nattack %d\n", i))
		answer, _, ended := strings.Cut(answer, "\nsftp> !echo attack ")
		if !began || !ended || !strings.Contains(answer, a.because) {
			t.Errorf("%s: want it to end with %q:\n%s", a.what, a.because, answer)
		}
	}
	if out, none := n.said("test ! -e /tmp/got"); !none {
		t.Errorf("got a file %s", out)
	}
	for _, link := range []string{"s1", "s2", "s4", "v/public/secret.txt"} {
		n.script("cp -P /srv/tenants/acme/shop/" + strings.Split(link, "/")[0] + " /srv/tenants/acme/shop/public/")
		if status, body := n.get("acme.example", "/"+link); status == 200 || strings.Contains(body, "canary") {
			t.Errorf("the symlink %s, served: %d %q", link, status, body)
		}
	}
	t.Logf("%d attacks by SFTP", len(attacks))
}

// loginAttacks tries to get more than SFTP out of sshd, or to get in as somebody else.
func loginAttacks(t *testing.T, n *node) {
	t.Helper()
	const publicKeyOnly, noWay, noPort = "Permission denied (publickey)", "administratively prohibited", "emote port forwarding failed"
	const key = sshTo + " -i /root/keys/first"
	attacks := []struct{ what, words, because string }{
		{"another's login", key + " t-victim@localhost", publicKeyOnly},
		{"root", key + " root@localhost", publicKeyOnly},
		{"www-data", key + " www-data@localhost", publicKeyOnly},
		{"a login of nobody", key + " t-nobody@localhost", publicKeyOnly},
		{"a path as a login", key + " -l t-../t-acme localhost", publicKeyOnly},
		{"a password", sshTo + " -o PreferredAuthentications=password,keyboard-interactive t-acme@localhost", publicKeyOnly},
		{"a program", key + " t-acme@localhost id", "allows sftp connections only"},
		{"a shell", key + " -tt t-acme@localhost", "PTY allocation request failed"},
		{"another subsystem", key + " -s t-acme@localhost shell", "subsystem request failed"},
		{"a way to the agent", key + " -W 127.0.0.1:9443 t-acme@localhost", noWay},
		{"a way to nginx", key + " -W 127.0.0.1:80 t-acme@localhost", noWay},
		{"a port here", key + " -o ExitOnForwardFailure=yes -N -R 8100:127.0.0.1:80 t-acme@localhost", noPort},
		{"a socket here", key + " -o ExitOnForwardFailure=yes -N -R /tmp/way:/run/hostctl/agent.sock t-acme@localhost", noPort},
	}
	n.script("cp /etc/hostctl/ssh/t-acme /etc/hostctl/ssh/root; cp /etc/hostctl/ssh/t-acme /etc/hostctl/ssh/www-data")
	var all strings.Builder
	for i, a := range attacks {
		fmt.Fprintf(&all, "(if timeout 60 ssh %s < /dev/null; then echo; echo let in; fi) > /tmp/attack.%d 2>&1 &\n", a.words, i)
	}
	n.script(all.String() + "wait; rm /etc/hostctl/ssh/root /etc/hostctl/ssh/www-data")
	for i, a := range attacks {
		out := n.script(fmt.Sprintf("cat /tmp/attack.%d", i))
		if strings.Contains(out, "let in") || !strings.Contains(out, a.because) {
			t.Errorf("%s: want it to end with %q:\n%s", a.what, a.because, out)
		}
	}
	t.Logf("%d attacks at login", len(attacks))
}
