package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"hostctl/reconciler/web/api"
)

// Whatever route there is, who has no token, a wrong one, an expired or a revoked one, gets nothing; and what is another
// tenant's isn't there.
func TestEveryRouteRefusesWhoMayNotRead(t *testing.T) {
	w := two(t)
	revoked, err := w.api.Tokens.Create("revoked", api.ScopePlatform, time.Time{})
	must(t, err)
	must(t, w.api.Tokens.Revoke("revoked"))
	expires, err := w.api.Tokens.Create("expires", api.ScopePlatform, time.Now().Add(time.Hour))
	must(t, err)
	bad := map[string]string{
		"no": "", "a wrong": "hctl_" + strings.Repeat("A", 43), "a revoked": revoked, "an expired": expires, "an empty": " ",
		"a cut": w.token("platform")[:20], "the hash of a": strings.Repeat("0", 64),
	}
	platform, acme, stranger := w.token("platform"), w.token("tenant:acme"), w.token("tenant:initech")
	now := time.Now()
	for _, path := range append(w.paths(), "/no-such-route", "/", "/openapi.json/x", "/events", "/runs/1/events") {
		w.api.Now = func() time.Time { return now.Add(2 * time.Hour) }
		for what, token := range bad {
			out := w.get(token, path)
			if out.Code != http.StatusUnauthorized || out.Header().Get("WWW-Authenticate") == "" || out.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s with %s token: %d %s", path, what, out.Code, out.Body)
			}
		}
		w.api.Now = nil
		if strings.HasSuffix(path, "events") {
			continue
		}
		mine := strings.Contains(path, "tenant=acme")
		theirs := strings.Contains(path, "globex")
		code := w.get(acme, path).Code
		if strings.HasPrefix(path, "/nodes") || theirs || path == "/no-such-route" {
			if code != http.StatusNotFound {
				t.Errorf("%s with acme's token: %d", path, code)
			}
		} else if mine && code != http.StatusOK {
			t.Errorf("%s with acme's token: %d", path, code)
		}
		if mine || theirs {
			if code := w.get(stranger, path).Code; code != http.StatusNotFound {
				t.Errorf("%s with the token of one who has nothing: %d", path, code)
			}
		}
		if strings.HasPrefix(path, "/no") && path != "/nodes" || path == "/" || strings.HasPrefix(path, "/openapi") {
			continue
		}
		if out := w.get(platform, path); out.Code != http.StatusOK {
			t.Errorf("%s with the platform's token: %d %s", path, out.Code, out.Body)
		}
	}
	if out := w.get("", "/openapi.json"); out.Code != http.StatusOK {
		t.Errorf("the description: %d", out.Code)
	}
	w.api.Now = func() time.Time { return now.Add(time.Minute) }
	if out := w.get(expires, "/status"); out.Code != http.StatusOK {
		t.Errorf("a token that hasn't expired yet: %d", out.Code)
	}
}

func TestEveryRouteSaysForWhomItIs(t *testing.T) {
	for _, r := range api.Routes() {
		if !r.Said {
			t.Errorf("%s says for nobody: nobody can read it", r.Path)
		}
		if r.Public && r.Path != "/openapi.json" {
			t.Errorf("%s is for who has no token", r.Path)
		}
	}
}

func TestRequestsAreStrict(t *testing.T) {
	w := two(t)
	token := w.token("platform")
	for path, want := range map[string]string{
		"/objects?limit=0":                             "limit: want a number from 1 to 1000",
		"/objects?limit=9999":                          "limit: want a number from 1 to 1000",
		"/objects?limt=1":                              "known: kind, tenant, dirty, limit, cursor",
		"/objects?limit=1&limit=2":                     "limit is there more than once",
		"/objects?kind=Webroot":                        "kind: there is no such kind of objects",
		"/objects?cursor=%25":                          "cursor: want the next of a page",
		"/objects?dirty=yes":                           "dirty: want true or false",
		"/objects?tenant=../x":                         "tenant: ",
		"/runs?cursor=eHg":                             "cursor: want the next of a page of this list",
		"/why":                                         "name: want a host name",
		"/status?x=%zz":                                "the query can't be read",
		"/resources/Zone/zone":                         "2 tenants have one of this name",
		"/resources/Zone/zone/history":                 "2 tenants have one of this name",
		"/resources/Tenant/acme/history?cursor=bWFpbg": "cursor: want the next",
	} {
		out := w.get(token, path)
		var p api.Problem
		must(t, json.Unmarshal(out.Body.Bytes(), &p))
		if out.Code != http.StatusBadRequest || !strings.Contains(p.Detail, want) || p.Status != out.Code {
			t.Errorf("%s: %d %s, want %s", path, out.Code, out.Body, want)
		}
	}
	for _, path := range []string{"/runs/0", "/runs/99", "/runs/x", "/runs/99/plan", "/objects/x", "/objects/vhost/a/b", "/resources/Webroot/none", "/why?name=no.example"} {
		if out := w.get(token, path); out.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, out.Code, out.Body)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if out := w.ask(method, token, "/status", ""); out.Code != http.StatusMethodNotAllowed || out.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, out.Code)
		}
	}
	if out := w.ask(http.MethodGet, token, "/status", "body"); out.Code != http.StatusBadRequest {
		t.Errorf("with a body: %d", out.Code)
	}
	if out := w.get(token, "/status?"+strings.Repeat("x", 5000)); out.Code != http.StatusRequestURITooLong {
		t.Errorf("a long query: %d", out.Code)
	}
	if out := w.ask(http.MethodHead, token, "/status", ""); out.Code != http.StatusOK || out.Body.Len() > 0 || out.Header().Get("ETag") == "" {
		t.Errorf("HEAD: %d, %d bytes", out.Code, out.Body.Len())
	}
}

func TestPagesAndETags(t *testing.T) {
	w := two(t)
	for _, token := range []string{w.token("platform"), w.token("tenant:acme")} {
		wantPages(w, token, "/objects", func(o api.Object) string { return o.Ref.String() })
		wantPages(w, token, "/resources", func(r api.Resource) string { return string(r.Kind) + "/" + r.Tenant + "/" + r.Name })
		wantPages(w, token, "/runs", func(r api.Run) string { return r.Started.String() })
		wantPages(w, token, "/runs/1/changes", func(c api.Change) string { return c.Ref.String() })
		wantPages(w, token, "/resources/Webroot/site-0/history?tenant=acme", func(c api.Commit) string { return c.Commit })
		first := w.get(token, "/objects")
		tag := first.Header().Get("ETag")
		if again := w.get(token, "/objects", "If-None-Match", `"x", W/`+tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("what is known already: %d", again.Code)
		}
		if again := w.get(token, "/objects", "If-None-Match", `"x"`); again.Code != http.StatusOK {
			t.Errorf("what is not known: %d", again.Code)
		}
	}
}

// wantPages reads a list at once and two by two, and wants the same, each item once.
func wantPages[T any](w *world, token, path string, id func(T) string) {
	w.Helper()
	if !strings.Contains(path, "?") {
		path += "?"
	}
	var whole, parts []string
	for _, x := range read[api.Page[T]](w, token, path+"&limit=1000").Items {
		whole = append(whole, id(x))
	}
	for cursor := ""; ; {
		p := read[api.Page[T]](w, token, path+"&limit=2"+cursor)
		for _, x := range p.Items {
			parts = append(parts, id(x))
		}
		if p.Next == "" {
			break
		}
		if cursor = "&cursor=" + p.Next; len(p.Items) == 0 || len(parts) > 10_000 {
			w.Fatalf("%s: no end of pages", path)
		}
	}
	if len(whole) == 0 || strings.Join(whole, " ") != strings.Join(parts, " ") {
		w.Errorf("%s: %q at once, and %q in pages", path, whole, parts)
	}
}
