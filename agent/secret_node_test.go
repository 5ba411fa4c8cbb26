package agent_test

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// revealed gives every secret the same value.
type revealed string

func (r revealed) Reveal(context.Context, planner.Secret) ([]byte, error) { return []byte(r), nil }

// G11 on a node: a site reads its secret, and nothing else on the node has it in clear: the file of the secret and that of
// the pool, which only root may read.
func TestG11_SecretOfASite(t *testing.T) {
	n := startNode(t)
	page := n.files.add("public/index.php", `<?php echo getenv("DB_PASSWORD");`)
	acme := n.newSite("acme", 20001, true, page)
	other := n.newSite("other", 20002, true, page)
	secret := planner.Secret{
		Meta:   planner.Meta{Target: nodeName, Name: planner.SecretName("acme", schema.KindWebroot, "shop", "env.DB_PASSWORD"), From: acme.user.From},
		Tenant: "acme", Cipher: strings.Repeat("ab", 32),
	}
	acme.runtime.Secrets = map[string]planner.Held{"DB_PASSWORD": {Secret: secret.Name, Version: secret.Version()}}
	const first, second = "canary-1 'it\"s' \\ %x", "canary-2-other"
	near := n.dial(1)
	near.Secrets = revealed(first)
	apply := func(cs ...planner.Change) {
		t.Helper()
		for i, err := range near.Apply(t.Context(), cs) {
			if err != nil {
				t.Fatalf("%s: %v", cs[i].Ref(), err)
			}
		}
	}
	var cs []planner.Change
	for i, o := range slices.Concat([]planner.Object{secret}, acme.objects()[:2], other.objects()[:2], []planner.Object{acme.runtime, other.runtime, acme.vhost, other.vhost}) {
		cs = append(cs, planner.Change{ID: i + 1, Action: planner.Create, New: o})
	}
	apply(cs...)
	if _, body := n.get("acme.example", "/"); body != first {
		t.Errorf("the site reads %q", body)
	}
	if _, body := n.get("other.example", "/"); body != "" {
		t.Errorf("another site reads %q", body)
	}
	n.clean("canary-1")

	// Another value: the secret first, then what uses it. Until then the old one serves, and is what is there.
	rotated, runtime := secret, acme.runtime
	rotated.Cipher = strings.Repeat("cd", 32)
	runtime.Secrets = map[string]planner.Held{"DB_PASSWORD": {Secret: secret.Name, Version: rotated.Version()}}
	near.Secrets = revealed(second)
	apply(planner.Change{ID: 1, Action: planner.Update, Old: secret, New: rotated, Expect: planner.HashOf(secret)})
	if _, body := n.get("acme.example", "/"); body != first {
		t.Errorf("between the two changes the site reads %q", body)
	}
	apply(planner.Change{ID: 2, Action: planner.Update, Old: acme.runtime, New: runtime, Expect: planner.HashOf(acme.runtime)})
	if _, body := n.get("acme.example", "/"); body != second {
		t.Errorf("after the change the site reads %q", body)
	}
	n.clean("canary-2")

	// A pool isn't made with another version of its secret than the node holds.
	wrong := runtime
	wrong.Secrets = map[string]planner.Held{"DB_PASSWORD": {Secret: secret.Name, Version: "ef"}}
	err := near.Apply(t.Context(), []planner.Change{{ID: 3, Action: planner.Update, Old: runtime, New: wrong, Expect: planner.HashOf(runtime)}})[0]
	if executors.KindOf(err) != executors.Refused || strings.Contains(err.Error(), "canary") {
		t.Errorf("with another version: %v", err)
	}
	apply(planner.Change{ID: 4, Action: planner.Delete, Old: acme.vhost, Expect: planner.HashOf(acme.vhost)},
		planner.Change{ID: 5, Action: planner.Delete, Old: runtime, Expect: planner.HashOf(runtime)},
		planner.Change{ID: 6, Action: planner.Delete, Old: rotated, Expect: planner.HashOf(rotated)})
	if out := n.script("find /var/lib/hostctl/secrets -type f"); out != "" {
		t.Errorf("deleted, and there is still %s", out)
	}
}

// clean looks for a marker in every place of a node where it mustn't be.
func (n *node) clean(marker string) {
	n.t.Helper()
	files := strings.Fields(n.script(`grep -rlsa ` + marker + ` /etc /run /var /srv /tmp /home /root /opt || true`))
	inSecret, inPool := 0, 0
	for _, f := range files {
		switch {
		case strings.HasPrefix(f, "/var/lib/hostctl/secrets/"):
			inSecret++
		case strings.HasPrefix(f, "/etc/php/hostctl/"):
			inPool++
		default:
			n.t.Errorf("%s has it in clear", f)
		}
	}
	if inSecret != 1 || inPool == 0 {
		n.t.Errorf("the marker is in %v: the test looks for nothing", files)
	}
	if out := n.script(`find /var/lib/hostctl/secrets -type f -printf '%m %U\n'`); out != "400 0\n" {
		n.t.Errorf("the secret's file: %s", out)
	}
	for _, f := range files {
		if out := n.script(`runuser -u t-other -- cat ` + f + ` 2>&1 || true`); !strings.Contains(out, "Permission denied") {
			n.t.Errorf("another tenant reads %s: %s", f, out)
		}
	}
	if out := n.script(`for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline; tr '\0' '\n' < $p/environ; done 2>/dev/null | grep -a ` + marker + ` | grep -v grep || true`); out != "" {
		n.t.Errorf("a process has it in its arguments or environment: %s", out)
	}
	log, err := exec.Command("docker", "logs", n.container).CombinedOutput()
	if err != nil || len(log) == 0 || strings.Contains(string(log), marker) {
		n.t.Errorf("the node's log has it, or there is none: %v", err)
	}
}
