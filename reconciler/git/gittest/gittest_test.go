package gittest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hostctl/reconciler/git/gittest"
)

// A repository is pushed to and cloned over HTTP, by those who know the token.
func TestServe(t *testing.T) {
	root := t.TempDir()
	r := gittest.New(t, root, "platform.git")
	s := gittest.Serve(t, root, gittest.Options{Username: "hostd", Token: "hunter2"})
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("hostd", "hunter2")
	r.Git("remote", "set-url", "origin", at.String()+"/platform.git")
	r.Write("a.yaml", "a")
	want := r.Commit("first")
	r.Push("HEAD:main")
	if got := r.Git("ls-remote", "origin", "refs/heads/main"); !strings.HasPrefix(got, want) {
		t.Errorf("the remote has %q, want %s", got, want)
	}
	if got := s.Requests(); len(got) < 3 {
		t.Errorf("it counts %q", got)
	}
	for _, c := range []struct {
		name  string
		fault gittest.Fault
		want  int
	}{{"no token", nil, http.StatusUnauthorized}, {"5xx", gittest.Status(503), 503}, {"redirect", gittest.Redirect("http://127.0.0.1:1"), 302}} {
		s.Break(c.fault)
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Get(s.URL + "/platform.git/info/refs?service=git-upload-pack")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, res.StatusCode, c.want)
		}
	}
}
