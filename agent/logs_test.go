package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each site has logs of its own, that its tenant may read, nobody else, and not replace; nginx goes on where it is told.
func TestLogs(t *testing.T) {
	n := startNode(t)
	acme := n.newSite("acme", 20001, true, n.files.add("public/index.php", `<?php error_log("went wrong"); echo 1;`))
	other := n.newSite("other", 20002, false)
	n.create(acme.user, other.user, acme.webroot, other.webroot, acme.runtime, acme.vhost, other.vhost)
	n.get("acme.example", "/?page=1")
	const dir = "/var/log/sites/"
	within(t, 30*time.Second, "the logs tell", func() error {
		access, wrong := n.exec("cat", dir+"acme.shop.access.log"), n.exec("cat", dir+"acme.shop.error.log")
		if !strings.Contains(access, "GET /?page=1") || !strings.Contains(wrong, "went wrong") {
			return fmt.Errorf("access %q, error %q", access, wrong)
		}
		return nil
	})
	for command, want := range map[string]bool{
		"cat " + dir + "acme.shop.access.log": true, "cat " + dir + "other.shop.access.log": false, "ls " + dir: false,
		"rm -f " + dir + "acme.shop.access.log": false, "tee " + dir + "acme.shop.access.log": false, "ln -s /etc/shadow " + dir + "x.log": false,
	} {
		out := n.script("runuser -u t-acme -- " + command + " </dev/null >/dev/null 2>&1 && echo yes || echo no")
		if (out == "yes\n") != want {
			t.Errorf("as the tenant, %s: %s", command, out)
		}
	}
	n.script("cd " + dir + "; mv acme.shop.access.log acme.shop.access.log.1; install -m 640 -g t-acme /dev/null acme.shop.access.log; s6-svc -1 /run/service/nginx")
	within(t, 30*time.Second, "nginx opens its logs anew", func() error {
		n.get("acme.example", "/?page=2")
		if out := n.script("cat " + dir + "acme.shop.access.log; stat -c '%G %a' " + dir + "acme.shop.access.log"); !strings.Contains(out, "page=2") || !strings.HasSuffix(out, "t-acme 640\n") {
			return errorString(out)
		}
		return nil
	})
}
