package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hostctl/reconciler"
)

// What came to the branch past the hook isn't applied by hostd either, with the hook's words; what was applied last stays
// true. An approval that comes later lets it through.
func TestHostdAsksForSignatures(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, who := range []string{"anna", "bert"} {
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", p.key(who)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	p.mustGit("config", "gpg.format", "ssh")
	p.mustGit("config", "user.signingKey", p.key("anna"))
	platform := p.read(filepath.Join(p.repo, "platform/platform.yaml"))
	p.edit("platform/platform.yaml", platform+
		"  signing: {rules: [{paths: [\"platform/**\", \"tenants/**\"], signers: [\"*@hosting.test\"]}]}\n"+
		"  approvals: {rules: [{paths: [\"platform/**\"], approvers: [\"*@hosting.test\"]}]}\n")
	p.edit("platform/allowed_signers", "anna@hosting.test "+p.read(p.key("anna.pub"))+"bert@hosting.test "+p.read(p.key("bert.pub")))
	p.commit("Rules")
	p.applied()
	first := strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))

	hostd := p.answering()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = hostd.loop.Run(ctx) // it ends when it is told to
	}()
	defer func() { stop(); <-ended }()

	p.edit("platform/notes.txt", "a note")
	p.commit("Unsigned")
	p.pastTheHook()
	waitFor(t, "it is refused", func() bool { return hostd.loop.Status().Message != "" })
	message := hostd.loop.Status().Message
	for _, want := range []string{
		`"Unsigned" changes "platform/notes.txt": it isn't signed; wanted: a signature of *@hosting.test`,
		`not applied: 1 commit without the signature that is asked for`, "git rebase --exec",
	} {
		if !strings.Contains(message, want) {
			t.Errorf("hostd says\n%s\nand not %q", message, want)
		}
	}

	p.mustGit("commit", "--quiet", "--amend", "-S", "-m", "Signed")
	signed := strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))
	p.pastTheHook()
	waitFor(t, "an approval is missing", func() bool {
		m := hostd.loop.Status().Message
		return strings.Contains(m, `"Signed" changes "platform/notes.txt": it has 0 of 1 approvals`) && strings.Contains(m, "hostctl approve "+signed[:12])
	})
	if runs := p.runs(); runs[0].Commit != first {
		t.Errorf("commit %s was run", runs[0].Commit)
	}

	p.mustGit("-c", "user.signingKey="+p.key("bert"), "tag", "--sign", "--message", "approved", "approve/"+signed+"/bert", signed)
	p.mustGit("push", "--quiet", "origin", "approve/"+signed+"/bert") // the hook tells hostd
	waitFor(t, "it is applied", func() bool {
		s := hostd.loop.Status()
		return s.Applied == signed && s.Converged && p.runs()[0].State == reconciler.Succeeded
	})
}

func (p place) key(name string) string { return filepath.Join(filepath.Dir(p.repo), name) }

func (p place) read(file string) string {
	p.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func (p place) commit(message string) {
	p.t.Helper()
	p.mustGit("add", "--all")
	p.mustGit("commit", "--quiet", "--message", message)
}

// pastTheHook has the bare repository take the newest commit without its hooks, as who can write to its folder may.
func (p place) pastTheHook() {
	p.t.Helper()
	p.mustGit("--git-dir", p.repo+".git", "fetch", "--quiet", "--force", p.repo, "HEAD:refs/heads/main")
}

// The last lines of a push say that all is applied, and when it isn't, what failed and what to do.
func TestPushTellsTheOutcome(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.applied()
	hostd := p.answering()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = hostd.loop.Run(ctx) // it ends when it is told to
	}()
	defer func() { stop(); <-ended }()

	p.edit("tenants/t1/t.yaml", tenantFile("t1", 1))
	p.commit("A tenant")
	if out, err := p.git("push", "--quiet", "origin", "HEAD:main"); err != nil || !strings.Contains(out, "remote: Plan: ") || !regexp.MustCompile(`remote: success: Applied [0-9]+ changes in [0-9.]+m?s\.`).MatchString(out) {
		t.Errorf("%v\n%s", err, out)
	}
	p.edit("notes.txt", "nothing that is read")
	p.commit("Nothing")
	if out, err := p.git("push", "--quiet", "origin", "HEAD:main"); err != nil || !strings.Contains(out, "remote: success: Applied; nothing had to be changed.") {
		t.Errorf("%v\n%s", err, out)
	}
	p.write("web-1-0.fails", "the disk is full")
	p.edit("tenants/t2/t.yaml", tenantFile("t2", 1))
	p.commit("Another tenant")
	out, err := p.git("push", "--quiet", "origin", "HEAD:main")
	if err != nil {
		t.Errorf("git takes the push, whatever becomes of it: %v", err)
	}
	for _, want := range []string{"remote: error: ", "changes failed", "user/web-1-0/t2", "the disk is full", "next attempt in", "remote: hint: hostd tries again by itself"} {
		if !strings.Contains(out, want) {
			t.Errorf("the push doesn't say %q:\n%s", want, out)
		}
	}
}
