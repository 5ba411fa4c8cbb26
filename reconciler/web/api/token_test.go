package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/web/api"
)

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	tokens, hostd := api.OpenTokens(dir), api.OpenTokens(dir)
	if _, ok, err := hostd.Find("", time.Now()); ok || err != nil {
		t.Errorf("where there are no tokens nobody is %v, %v", ok, err)
	}
	a, err := tokens.Create("aa", api.ScopePlatform, time.Time{})
	must(t, err)
	b, err := tokens.Create("bb", "tenant:acme", time.Now().Add(time.Hour))
	must(t, err)
	if !regexp.MustCompile(`^hctl_[A-Za-z0-9_-]{43}$`).MatchString(a) || a == b {
		t.Errorf("tokens are %s and %s", a, b)
	}
	who, ok, err := hostd.Find(b, time.Now())
	if who != (api.Identity{Token: "bb", Scope: "tenant:acme"}) || !ok || err != nil || who.Scope.Whose() != (reconciler.Whose{Tenant: "acme"}) {
		t.Errorf("%+v, %v, %v", who, ok, err)
	}
	if _, ok, _ := hostd.Find(b, time.Now().Add(time.Hour)); ok {
		t.Error("an expired token lets in")
	}
	for _, wrong := range []string{"", a[:len(a)-1], a + "x", strings.ToUpper(a), strings.TrimPrefix(a, "hctl_")} {
		if who, ok, _ := hostd.Find(wrong, time.Now()); ok || who != (api.Identity{}) {
			t.Errorf("%q is %+v", wrong, who)
		}
	}
	for _, name := range []string{"tokens.json", "tokens-used.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if strings.Contains(string(text), a) || strings.Contains(string(text), a[5:]) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s and holds %s", name, info.Mode(), text)
		}
	}
	list, used, err := tokens.List()
	if err != nil || len(list) != 2 || used["bb"].IsZero() || !used["aa"].IsZero() {
		t.Errorf("%+v, %v, %v", list, used, err)
	}
	must(t, tokens.Revoke("aa"))
	if _, ok, _ := hostd.Find(a, time.Now()); ok {
		t.Error("a revoked token lets in")
	}
	must(t, os.WriteFile(filepath.Join(dir, "tokens.json"), []byte("{"), 0o600))
	if _, ok, err := hostd.Find(b, time.Now()); ok || err == nil {
		t.Errorf("with a file that can't be read: %v, %v", ok, err)
	}
}

func TestTokensRefuse(t *testing.T) {
	tokens := api.OpenTokens(t.TempDir())
	_, err := tokens.Create("taken", api.ScopePlatform, time.Time{})
	must(t, err)
	for _, tt := range []struct {
		name    string
		scope   api.Scope
		expires time.Time
		want    string
	}{
		{"taken", api.ScopePlatform, time.Time{}, "there is a token taken already"},
		{"no name", api.ScopePlatform, time.Time{}, "isn't a valid name"},
		{"x1", "", time.Time{}, "want platform, or tenant:NAME"},
		{"x2", "tenant:", time.Time{}, "want platform, or tenant:NAME"},
		{"x3", "tenant:../x", time.Time{}, "want platform, or tenant:NAME"},
		{"x4", "Platform", time.Time{}, "want platform, or tenant:NAME"},
		{"x5", api.ScopePlatform, time.Now(), "would have expired"},
	} {
		if _, err := tokens.Create(tt.name, tt.scope, tt.expires); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %s", tt.name, tt.scope, err, tt.want)
		}
	}
	if err := tokens.Revoke("none"); err == nil || !strings.Contains(err.Error(), "'hostctl token list' lists them") {
		t.Errorf("revoke none: %v", err)
	}
	for _, scope := range []api.Scope{"", "tenant:", "nobody", "tenant"} {
		if w := scope.Whose(); w.All || w.Sees("") || w.Sees("acme") {
			t.Errorf("scope %q sees %+v", scope, w)
		}
	}
}

func TestAudit(t *testing.T) {
	dir := t.TempDir()
	a := api.Rotated(dir, 2000)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entry := func(token string, i int) api.Entry {
		return api.Entry{Time: now, Token: token, From: "192.0.2.1", Method: "GET", Path: "/api/v1/status", Query: "x=hctl_" + strings.Repeat("s3cret", 7), Status: i}
	}
	for range 5 { // one is written, four are counted
		must(t, a.Write(entry("", 401)))
	}
	now = now.Add(time.Second)
	must(t, a.Write(entry("", 401)))
	const written = 40
	for i := range written {
		must(t, a.Write(entry("one", i)))
	}
	must(t, a.Close())
	var all []api.Entry
	must(t, api.ReadAudit(dir, func(e api.Entry) error { all = append(all, e); return nil }))
	if len(all) < written || all[len(all)-1].Status != written-1 {
		t.Fatalf("%d entries, the last one %+v", len(all), all[len(all)-1])
	}
	files, err := filepath.Glob(filepath.Join(dir, "audit.log*"))
	must(t, err)
	if len(files) < 3 || len(files) > 8 {
		t.Errorf("files are %v", files)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(t, err)
		if strings.Contains(string(text), "s3cret") || len(text) > 2000 {
			t.Errorf("%s has %d bytes: %s", f, len(text), text)
		}
	}
	if all[0].Unlogged != 0 || all[1].Unlogged != 4 || all[2].Token != "one" {
		t.Errorf("of nobody there is %+v, %+v", all[0], all[1])
	}
}

// What can't be audited isn't answered; what is answered is in the audit, with who has asked.
func TestWhatIsAnsweredIsAudited(t *testing.T) {
	w := two(t)
	token := w.token("tenant:acme")
	w.get(token, "/objects?limit=3")
	w.get(token, "/nodes")
	w.get("hctl_wrong", "/status")
	var all []string
	must(t, api.ReadAudit(w.dir, func(e api.Entry) error {
		if strings.Contains(e.Path, token) {
			t.Errorf("the token is in %+v", e)
		}
		all = append(all, strings.Join([]string{e.Token, string(e.Scope), e.From, e.Path, e.Query, time.Duration(e.Status).String()}, " "))
		return nil
	}))
	want := []string{
		"for-tenant-acme tenant:acme 192.0.2.1 /api/v1/objects limit=3 200ns", "for-tenant-acme tenant:acme 192.0.2.1 /api/v1/nodes  404ns", "  192.0.2.1 /api/v1/status  401ns",
	}
	if strings.Join(all, "\n") != strings.Join(want, "\n") {
		t.Errorf("the audit is\n%s", strings.Join(all, "\n"))
	}
	must(t, w.api.Audit.Close())
	must(t, os.Remove(filepath.Join(w.dir, "audit.log")))
	must(t, os.Mkdir(filepath.Join(w.dir, "audit.log"), 0o700))
	if out := w.get(token, "/objects"); out.Code != 503 || strings.Contains(out.Body.String(), "acme") {
		t.Errorf("without an audit: %d %s", out.Code, out.Body)
	}
	must(t, os.Remove(filepath.Join(w.dir, "audit.log")))
}
