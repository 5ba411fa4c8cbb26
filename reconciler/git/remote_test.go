package git

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://git.example/acme/platform.git":      "https://git.example/acme/platform.git",
		"https://git.example:8443/acme/platform/":    "https://git.example:8443/acme/platform",
		"https://git.example/a%20b/%C3%BC.git":       "", // as it is
		"http://localhost:3000/a.git":                "http://localhost:3000/a.git",
		"http://[::1]:3000/a.git":                    "http://[::1]:3000/a.git",
		"ssh://git@git.example/acme/platform.git":    "ssh://git@git.example/acme/platform.git",
		"ssh://git.example:2222/a.git":               "ssh://git@git.example:2222/a.git",
		"git@git.example:acme/platform.git":          "ssh://git@git.example/acme/platform.git",
		"git.example:/srv/platform.git":              "ssh://git@git.example/srv/platform.git",
		"git@[2001:db8::1]:acme/platform.git":        "ssh://git@[2001:db8::1]/acme/platform.git",
		"ssh://deploy_1@git.example/~ann/platform.x": "ssh://deploy_1@git.example/~ann/platform.x",
	} {
		a, err := parseURL(raw)
		if want == "" {
			want = raw
		}
		if err != nil || a.String() != want {
			t.Errorf("%s is %s, %v; want %s", raw, a, err, want)
		}
		if !IsURL(raw) {
			t.Errorf("%s is taken for a folder", raw)
		}
	}
	for _, folder := range []string{"/srv/platform.git", "platform.git", "./a:b", "../x", "", "a/b:c"} {
		if IsURL(folder) {
			t.Errorf("%s is taken for a URL", folder)
		}
	}
	for raw, want := range map[string]string{
		"https://ann:canary@git.example/a.git":     "put the token into a file and name that with --repo-token",
		"https://canary@git.example/a.git":         "put the token into a file and name that with --repo-token",
		"https://git.example/a.git?token=canary":   "behind a ?",
		"https://git.example/a.git#canary":         "behind a ?",
		"ssh://git:canary@git.example/a.git":       "log in with a key",
		"git:canary@git.example:a.git":             "log in with a key",
		"https://ann:canary%zz@git.example/a.git":  "that is no URL",
		"http://git.example/a.git":                 "isn't encrypted",
		"git://git.example/a.git":                  "isn't followed",
		"file:///srv/a.git":                        "isn't followed",
		"ext::canary":                              "isn't followed",
		"https://git.example":                      "names no repository",
		"https://git.example/":                     "names no repository",
		"https:///a.git":                           "names no host",
		"ssh://-oProxyCommand=canary/a.git":        "names no host",
		"ssh://git@git.example":                    "names no repository",
		"git@git.example:":                         "names no repository",
		"git@git.example:--upload-pack=canary":     "names no repository",
		"-canary@git.example:a":                    "no name of a user",
		"https://git.example/a b":                  "a blank",
		"https://git.example/a\nb":                 "a blank",
		"https://git.example\\@evil.example/a.git": "a blank, a backslash",
	} {
		a, err := parseURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %s, %v; want %q", raw, a, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: the error may hold a secret: %v", raw, err)
		}
	}
}

// All that is wrong with the flags is told at once.
func TestRemoteCheck(t *testing.T) {
	for _, c := range []struct {
		remote Remote
		want   []string
	}{
		{Remote{URL: "ssh://git.example/a.git", TokenFile: "t"}, []string{"--repo-ssh-key", "--repo-known-hosts", "--repo-token"}},
		{Remote{URL: "https://git.example/a.git", SSHKeyFile: "k"}, []string{"--repo-ssh-key and"}},
		{Remote{URL: "https://git.example/a.git"}, nil},
	} {
		err := c.remote.Check()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.remote, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %s", c.remote, err, want)
			}
		}
	}
}

// Whatever is taken for a URL has no secret, names one host, and is the same when it is read again.
func FuzzParseURL(f *testing.F) {
	for _, raw := range []string{"https://git.example:8443/a%20b.git", "git@git.example:a.git", "ssh://git@[::1]:22/a.git", "https://a:b@c/d", "http://127.0.0.1/a", "a:b@c:d"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseURL(raw)
		if err != nil {
			return
		}
		again, err := parseURL(a.String())
		if err != nil || again.String() != a.String() {
			t.Errorf("%q is %s, and read again %s, %v", raw, a, again, err)
		}
		if again.host != a.host || again.user != a.user || again.scheme != a.scheme {
			t.Errorf("%q is %+v, and read again %+v", raw, a, again)
		}
		if a.scheme != "ssh" && strings.Contains(a.String(), "@") && !strings.Contains(a.path, "@") {
			t.Errorf("%q: %s holds a user", raw, a)
		}
	})
}
