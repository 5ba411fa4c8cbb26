package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/reconciler/forge"
	"hostctl/reconciler/forge/forgetest"
	"hostctl/reconciler/git/gittest"
)

func TestForgeFlagsThatAreRefused(t *testing.T) {
	file := func(text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("hunter2-hunter2\n", 0o600)
	for _, c := range []struct{ flags, want string }{
		{"--forge gitlab --forge-project acme/sub/platform --forge-token " + good, ""},
		{"--forge svn", `--forge: "svn" is no forge that is known; known are github, gitlab, gitea`},
		{"--forge gitea --forge-project acme/platform --forge-token " + good, "no URL"},
		{"--forge github --forge-project acme --forge-token " + good, "want owner/name"},
		{"--forge github --forge-project acme/platform", "name its file with --forge-token"},
		{"--forge github --forge-project acme/platform --forge-token /nowhere/token", "there is no token /nowhere/token; make one in the forge"},
		{"--forge github --forge-project acme/platform --forge-token " + file("hunter2", 0o644), "others may read the forge's token: chmod 600"},
		{"--forge github --forge-project acme/platform --forge-token " + file("hunter2\nhunter2", 0o600), "holds no token"},
		{"--forge github --forge-project acme/platform --forge-every 1ms --forge-token " + good, "want at least 1s"},
	} {
		_, err := readConfig(append([]string{"--repo", "r"}, strings.Fields(c.flags)...))
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", c.flags, err, c.want)
		}
	}
}

// TestHostdPreviewsPullRequests: what a webhook hints at is planned, and told in the forge.
func TestHostdPreviewsPullRequests(t *testing.T) {
	dir := folder(t)
	repo := gittest.At(t, dir+"/config.git")
	repo.Write("README.md", "Nothing yet.\n")
	repo.Commit("Nothing yet")
	repo.Push("HEAD:main")
	far := forgetest.Serve(t, forge.Gitea, repo)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(forgetest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hostd := startUntil(t, dir, "msg=watching", "--forge", "gitea", "--forge-url", far.URL, "--forge-project", forgetest.Project,
		"--forge-token", token, "--forge-every", "1h", "--webhook-secret", secretFile(t, newSecret, 0o600).Secret)
	repo.Write("tenants/acme/acme.yaml", "kind: Tenant\n")
	id := repo.Commit("A tenant")
	far.Open(1, id)

	body := fmt.Appendf(nil, `{"action": "opened", "number": 1, "pull_request": {"number": 1}, "repository": {"full_name": %q}}`, forgetest.Project)
	mac := hmac.New(sha256.New, []byte(newSecret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hostd.health+"/hooks/gitea", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Gitea-Event": {"pull_request"}, "X-Gitea-Signature": {hex.EncodeToString(mac.Sum(nil))}, "Content-Type": {"application/json"}}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	deadline := time.After(time.Minute)
	for {
		if all := far.Statuses(id); len(all) > 0 && all[len(all)-1].State == "failure" {
			if got := all[len(all)-1].Description; !strings.HasPrefix(got, "tenants/acme/acme.yaml:1:1: ") {
				t.Errorf("it says %q", got)
			}
			break
		}
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %v", far.Statuses(id))
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := hostd.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}
