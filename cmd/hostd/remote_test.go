package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/git/gittest"
	"hostctl/reconciler/web"
)

func TestReadConfigRemote(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--repo", "https://ann:canary@git.example/a.git"}, "put the token into a file and name that with --repo-token"},
		{[]string{"--repo", "git@git.example:a.git"}, "--repo-ssh-key: no key to log in with"},
		{[]string{"--repo", "/srv/a.git", "--poll", "1m"}, "--repo is a folder of this machine"},
		{[]string{"--repo", "https://git.example/a.git", "--poll", "1ms"}, "--poll 1ms: want at least 1s"},
	} {
		_, err := readConfig(c.args)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
	t.Setenv("HOSTD_REPO_TOKEN", "/etc/hostctl/token")
	c, err := readConfig([]string{"--repo", "https://git.example/a.git"})
	if err != nil || c.Remote.Token != "/etc/hostctl/token" {
		t.Errorf("%+v, %v", c.Remote, err)
	}
}

// hostd itself follows a repository that is served over HTTP: it applies what is pushed there, says what it follows, goes
// on from what it read last where the repository can't be read, and follows again.
func TestFollowsRemote(t *testing.T) {
	dir, root := folder(t), t.TempDir()
	r := gittest.New(t, root, "platform.git")
	s := gittest.Serve(t, root, gittest.Options{Token: "hunter2hunter2"})
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("hunter2hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	push := func(hostmaster string) string {
		r.Write("platform/platform.yaml", "apiVersion: hosting/v1\nkind: Platform\nmetadata: {name: hosting}\nspec:\n  domain: hosting.test\n"+
			"  nameservers: [ns1.hosting.test, ns2.hosting.test]\n  hostmaster: "+hostmaster+"@hosting.test\n")
		commit := r.Commit(hostmaster)
		r.Push("HEAD:main")
		return commit
	}
	first := push("ann")
	flags := []string{"--repo", s.URL + "/platform.git", "--repo-token", filepath.Join(dir, "token"), "--poll", "1s"}
	hostd := startUntil(t, dir, "msg=watching", flags...)
	status := awaitStatus(t, dir, func(s reconciler.Status) bool { return s.Applied == first })
	if status.Remote == nil || status.Remote.URL != s.URL+"/platform.git" || status.Remote.Branch != "main" || status.Remote.Read.IsZero() {
		t.Errorf("it says that it follows %+v", status.Remote)
	}
	second := push("bob")
	awaitStatus(t, dir, func(s reconciler.Status) bool { return s.Applied == second })

	if _, err := hostd.end(os.Interrupt); err != nil {
		t.Error(err)
	}
	third := push("cid")
	s.Break(gittest.Status(503))
	hostd = startUntil(t, dir, "msg=watching", flags...)
	awaitStatus(t, dir, func(s reconciler.Status) bool {
		return s.Applied == second && s.Remote != nil && strings.Contains(s.Remote.Error, "503")
	})
	if page := metrics(t, hostd); !strings.Contains(page, "hostctl_remote_failing 1\n") || !strings.Contains(page, "hostctl_remote_read_timestamp_seconds 0\n") {
		t.Errorf("the metrics don't say that it fails:\n%s", page)
	}
	s.Break(nil)
	awaitStatus(t, dir, func(s reconciler.Status) bool { return s.Applied == third && s.Remote.Error == "" })
}

func metrics(t *testing.T, r running) string {
	t.Helper()
	res, err := http.Get("http://" + r.health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// awaitStatus waits until hostd says that something is so.
func awaitStatus(t *testing.T, dir string, so func(reconciler.Status) bool) reconciler.Status {
	t.Helper()
	client, err := web.Dial(t.Context(), filepath.Join(dir, "state", web.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	for {
		status, err := client.Status(t.Context())
		if err == nil && so(status) {
			return status
		}
		select {
		case <-deadline:
			t.Fatalf("it says %+v of %+v, %v", status, status.Remote, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
