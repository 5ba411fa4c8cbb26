package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hostctl/cmd/internal/wire"
	"hostctl/examples"
	"hostctl/reconciler/web"
	"hostctl/schema/sops"
)

// TestG11_NotificationSecrets has hostd tell somebody whose URL and key are secrets: they get it, signed, and neither is in
// anything that hostd writes or answers.
func TestG11_NotificationSecrets(t *testing.T) {
	const canary, key = "canary-5d0c1f8e77", "key-canary-81b2e0aa93"
	var got, signed atomic.Int32
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+canary {
			got.Add(1)
		}
		if strings.HasPrefix(r.Header.Get("X-Hostctl-Signature"), "sha256=") {
			signed.Add(1)
		}
	}))
	defer far.Close()

	dir := folder(t)
	if err := os.MkdirAll(dir+"/state", 0o700); err != nil {
		t.Fatal(err)
	}
	recipient, err := wire.Config{State: dir + "/state"}.MakeAgeKey()
	if err != nil {
		t.Fatal(err)
	}
	pushNotified(t, dir, recipient, map[string]string{"url": far.URL + "/" + canary, "down": "http://127.0.0.1:1/" + canary, "key": key})

	log, err := os.Create(dir + "/state/log")
	if err != nil {
		t.Fatal(err)
	}
	c := command(dir)
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	var said strings.Builder
	told := func(name string) bool {
		hostd, err := web.Dial(t.Context(), filepath.Join(dir, "state", web.SocketName))
		if err != nil {
			return false
		}
		err = hostd.NotifyTest(t.Context(), name)
		if err != nil {
			said.WriteString(err.Error())
		}
		return err == nil
	}
	for deadline := time.Now().Add(time.Minute); !told("ops"); { // first a run must have been tried: there is no engine
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("nobody was told: %s\n%s", said.String(), text)
		}
		<-time.After(50 * time.Millisecond)
	}
	if told("down") || !strings.Contains(said.String(), "connection refused") {
		t.Errorf("one who doesn't answer: %s", said.String())
	}
	if got.Load() != 1 || signed.Load() != 1 {
		t.Errorf("%d messages, %d of them signed", got.Load(), signed.Load())
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	leaks(t, dir, said.String(), canary, key)
}

// pushNotified pushes examples/minimal, on an engine that isn't there, with two who are told what happens.
func pushNotified(t *testing.T, dir, recipient string, values map[string]string) {
	t.Helper()
	work := dir + "/work"
	if err := os.CopyFS(work, examples.Minimal()); err != nil {
		t.Fatal(err)
	}
	edit(t, work+"/clusters/eu-1/cluster.yaml", "/var/run/docker.sock", "/nonexistent/docker.sock")
	edit(t, work+"/platform/platform.yaml", "  hostmaster:", `  notifications:
    - {name: ops, type: webhook, url: {secretRef: {file: notify.sops.yaml, key: url}}, signingKey: {secretRef: {file: notify.sops.yaml, key: key}}}
    - {name: down, type: slack, url: {secretRef: {file: notify.sops.yaml, key: down}}}
  hostmaster:`)
	file, err := sops.New(recipient)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range values {
		if err := file.Set(key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := file.Encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(work+"/platform/notify.sops.yaml", text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "-qm", "first"},
		{"push", "-q", "--no-verify", dir + "/config.git", "main"},
	} {
		cmd := exec.Command("git", append([]string{"-C", work}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
}

func edit(t *testing.T, file, old, now string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s doesn't hold %q: %v", file, old, err)
	}
	if err := os.Chmod(file, 0o600); err != nil { // an embedded file is read-only
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(now), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// leaks looks for secrets in all that hostd has written and said.
func leaks(t *testing.T, dir, said string, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(f)
		files++
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return errors.Join(err, f.Close())
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files: %v", files, err)
	}
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			t.Errorf("it said %s", said)
		}
	}
}
