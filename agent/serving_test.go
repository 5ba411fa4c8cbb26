package agent_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// request asks nginx for a page as an address and a user, and returns status, headers and body.
func (n *node) request(host, path, from, user string, body string) (int, http.Header, string) {
	n.t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequest(method, "http://"+n.address+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("X-Forwarded-For", from)
	if user != "" {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user)))
	}
	resp, err := client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// Each option of a site does what it says, and they do so together.
func TestServing(t *testing.T) {
	n := startNode(t)
	hashOf := func(password, salt string) schema.HTTPUser {
		return schema.HTTPUser{PasswordHash: n.exec("php", "-r", `echo crypt($argv[1], $argv[2]);`, "--", password, salt)}
	}
	s := n.newSite("acme", 20001, false,
		n.files.add("public/index.html", "index"), n.files.add("public/errors/404.html", "not here"), n.files.add("public/wait.html", "back soon"),
		n.files.add("public/list/a.txt", "a"), n.files.add("public/list/.hidden", "x"))
	n.create(s.objects()...)
	host := s.vhost.Hostnames[1]
	old := s.vhost
	serve := func(f func(*schema.Serving)) error {
		next := old
		f(&next.Serving)
		err := n.dial(1).Apply(t.Context(), []planner.Change{{Action: planner.Update, Old: old, New: next}})[0]
		if err == nil {
			old = next
		}
		return err
	}
	check := func(what string, status, want int, body, wantBody string) {
		t.Helper()
		if status != want || !strings.Contains(body, wantBody) {
			t.Errorf("%s: %d %q, want %d with %q", what, status, body, want, wantBody)
		}
	}

	if err := serve(func(s *schema.Serving) {
		s.ErrorPages = map[string]string{"404": "/errors/404.html", "403": "/errors/404.html", "503": "/errors/404.html"}
		s.MaxBody, s.Listing = 10<<10, true
	}); err != nil {
		t.Fatal(err)
	}
	status, _, body := n.request(host, "/nothing", "198.51.100.1", "", "")
	check("page of an error", status, 404, body, "not here")
	status, _, body = n.request(host, "/errors/404.html", "198.51.100.1", "", "")
	check("the page itself", status, 404, body, "not here")
	status, _, body = n.request(host, "/list/", "198.51.100.1", "", "")
	check("a listing", status, 200, body, "a.txt")
	if strings.Contains(body, "hidden") {
		t.Errorf("a listing shows hidden files: %s", body)
	}
	status, _, body = n.request(host, "/", "198.51.100.1", "", strings.Repeat("x", 10<<10+1))
	check("a large body", status, 413, body, "")

	if err := serve(func(s *schema.Serving) {
		s.Listing, s.Allow, s.Deny = false, []string{"198.51.100.0/24", "2001:db8::/32"}, []string{"198.51.100.66/32"}
	}); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]int{"198.51.100.1": 200, "198.51.100.66": 403, "203.0.113.1": 403, "2001:db8::1": 200, "198.51.100.1, 203.0.113.1": 403} {
		status, _, body = n.request(host, "/", from, "", "")
		check("from "+from, status, want, body, "")
	}
	status, _, body = n.request(host, "/list/", "198.51.100.1", "", "")
	check("no listing", status, 403, body, "not here")

	if err := serve(func(s *schema.Serving) {
		s.Auth = &schema.HTTPAuth{Realm: "Staff (of acme), 'all'", Users: map[string]schema.HTTPUser{
			"ann": hashOf("wonder", "$6$abcdefgh$"), "bob@acme.example": hashOf("builder", "$5$rounds=1000$abcdefgh$"),
			"eve": hashOf("secret", "$2y$05$abcdefghijklmnopqrstuu"),
		}}
	}); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{"": 401, "ann:wonder": 200, "ann:wander": 401, "bob@acme.example:builder": 200, "eve:secret": 200, "eve:": 401, "root:x": 401} {
		var h http.Header
		status, h, body = n.request(host, "/", "198.51.100.1", user, "")
		check("as "+user, status, want, body, "")
		if want == 401 && h.Get("WWW-Authenticate") != `Basic realm="Staff (of acme), 'all'"` {
			t.Errorf("asks for a password by %q", h.Get("WWW-Authenticate"))
		}
	}
	if out := n.script("runuser -u t-acme -- ls /etc/nginx/hostctl-users 2>&1 || true; stat -c '%A %U %G' /etc/nginx/hostctl-users/*"); !strings.Contains(out, "Permission denied") || !strings.HasSuffix(out, "-rw-r----- root www-data\n") {
		t.Errorf("the file of users: %s", out)
	}
	users := n.exec("ls", "/etc/nginx/hostctl-users")
	n.script("echo 'mallory:x' >> /etc/nginx/hostctl-users/" + strings.TrimSpace(users))
	if objects, err := n.dial(1).Observe(t.Context()); err != nil || slices.ContainsFunc(objects, func(o planner.Object) bool { return o.Ref() == old.Ref() }) {
		t.Errorf("a vhost whose users were changed by somebody else is observed: %v", err)
	}

	if err := serve(func(s *schema.Serving) {
		s.Auth, s.Allow, s.Deny, s.Rate = nil, nil, nil, &schema.Rate{PerSecond: 1, Burst: 2}
	}); err != nil {
		t.Fatal(err)
	}
	if out := n.exec("ls", "/etc/nginx/hostctl-users"); out != "" {
		t.Errorf("users are left that nobody needs: %s", out)
	}
	count := map[int]int{}
	for range 30 {
		status, _, _ = n.request(host, "/", "198.51.100.9", "", "")
		count[status]++
	}
	if count[200] < 3 || count[429] == 0 {
		t.Errorf("30 requests at once of one address: %v", count)
	}
	status, _, body = n.request(host, "/", "198.51.100.10", "", "")
	check("another address", status, 200, body, "index")

	if err := serve(func(s *schema.Serving) { s.Rate, s.Maintenance = nil, &schema.Maintenance{Page: "/wait.html"} }); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/wait.html", "/list/a.txt"} {
		status, _, body = n.request(host, path, "198.51.100.1", "", "")
		check("in maintenance, "+path, status, 503, body, "back soon")
	}
	if err := serve(func(s *schema.Serving) { s.Maintenance = &schema.Maintenance{} }); err != nil {
		t.Fatal(err)
	}
	status, h, body := n.request(host, "/", "198.51.100.1", "", "")
	check("in maintenance without a page", status, 503, body, "")
	if h.Get("Retry-After") == "" {
		t.Error("maintenance doesn't say when to come again")
	}
	if err := serve(func(s *schema.Serving) { *s = schema.Serving{} }); err != nil {
		t.Fatal(err)
	}
	status, _, body = n.request(host, "/", "198.51.100.1", "", "")
	check("as before", status, 200, body, "index")

	for name, spoil := range map[string]func(*schema.Serving){
		"realm breaks out":  func(s *schema.Serving) { s.Auth = &schema.HTTPAuth{Realm: `a"; return 200; "`} },
		"realm is variable": func(s *schema.Serving) { s.Auth = &schema.HTTPAuth{Realm: "$request_body"} },
		"user with a colon": func(s *schema.Serving) {
			s.Auth = &schema.HTTPAuth{Realm: "a", Users: map[string]schema.HTTPUser{"a:b": {PasswordHash: "x"}}}
		},
		"plain password": func(s *schema.Serving) {
			s.Auth = &schema.HTTPAuth{Realm: "a", Users: map[string]schema.HTTPUser{"a": {PasswordHash: "secret"}}}
		},
		"page elsewhere":    func(s *schema.Serving) { s.ErrorPages = map[string]string{"404": "https://evil.example/"} },
		"status breaks out": func(s *schema.Serving) { s.ErrorPages = map[string]string{"404 500": "/a"} },
		"network":           func(s *schema.Serving) { s.Allow = []string{"all; allow all"} },
		"rate":              func(s *schema.Serving) { s.Rate = &schema.Rate{PerSecond: 0} },
		"page of wait":      func(s *schema.Serving) { s.Maintenance = &schema.Maintenance{Page: "/a b"} },
	} {
		next := old
		spoil(&next.Serving)
		if err := n.tryCreate(next)[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v (%s), want it refused", name, err, executors.KindOf(err))
		}
	}
}
