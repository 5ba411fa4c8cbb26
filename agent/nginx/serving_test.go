package nginx

import (
	"bytes"
	"slices"
	"testing"

	"hostctl/schema"
)

const hash = "$6$rounds=1000$saltsalt$" + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func full() schema.Serving {
	return schema.Serving{
		Auth: &schema.HTTPAuth{Realm: "Staff", Users: map[string]schema.HTTPUser{"ann": {PasswordHash: hash}}}, MaxBody: 1 << 20, Listing: true,
		ErrorPages: map[string]string{"404": "/404.html", "502": "/5xx.html", "503": "/5xx.html"},
		Allow:      []string{"192.0.2.0/24"}, Deny: []string{"192.0.2.7/32"}, Rate: &schema.Rate{PerSecond: 5, Burst: 10},
	}
}

// Whatever the texts of a site hold, they are refused, or the file has the directives that it should have and no variable.
func FuzzServing(f *testing.F) {
	v := vhost()
	v.Serving = full()
	want, err := shape(v)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Staff", "ann", hash, "/404.html", "192.0.2.0/24")
	for _, bad := range []string{`a"; return 200 "`, "$request_body", "a:b", "a\nb", "a;b", "a b", "a}", "a\x00", "{PLAIN}x", ""} {
		f.Add(bad, "ann", hash, "/404.html", "192.0.2.0/24") // one at a time: another one's refusal would hide it
		f.Add("Staff", bad, hash, "/404.html", "192.0.2.0/24")
		f.Add("Staff", "ann", bad, "/404.html", "192.0.2.0/24")
		f.Add("Staff", "ann", hash, "/"+bad, "192.0.2.0/24")
		f.Add("Staff", "ann", hash, "/404.html", bad)
	}
	f.Fuzz(func(t *testing.T, realm, user, hash, page, network string) {
		v := vhost()
		v.Serving = full()
		v.Serving.Auth = &schema.HTTPAuth{Realm: realm, Users: map[string]schema.HTTPUser{user: {PasswordHash: hash}}}
		v.Serving.ErrorPages = map[string]string{"404": page, "502": "/5xx.html", "503": "/5xx.html"}
		v.Serving.Allow = []string{network}
		if page == "/5xx.html" {
			return // one location less
		}
		got, err := shape(v)
		if err != nil {
			return
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v\nhas the directives %q\nwant %q", v.Serving, got, want)
		}
		if lines := users(v.Serving.Auth); slices.Index(lines, '\n') != len(lines)-1 || bytes.Count(lines, []byte(":")) != 1 {
			t.Errorf("the file of users has more than one user: %q", lines)
		}
	})
}
