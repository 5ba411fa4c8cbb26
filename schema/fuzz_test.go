package schema_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"

	"hostctl/schema"
)

// evil are inputs that break out of what they are pasted into.
var evil = []string{
	"", "a.com", "Example.COM.", "a.com\nset map x", "a.com;disable frontend http", "пример.рф", "xn--a", "*.a.com", "1.2.3.4", "[::1]", "../x", "/etc", "a/../../b",
	"public;}", "$(id)", "`id`", "'; id #", "%0a", "{{7*7}}", "PHP_ADMIN_VALUE", "LD_PRELOAD", "128M\nphp_admin_value[x]=", "10Gi", "30s", "1e9", "NaN", "\x00", "\xff",
	`"unbalanced`, `"a" "b"`, `"\065"`, "10 mail.example.com.", "0 .", "//evil", "javascript:alert(1)", "https://a.example/b?c=d", "hostctl/web:latest",
	"unix:///var/run/docker.sock", "tcp://192.0.2.1:2375", "a\u202eb", "\ufeff", strings.Repeat("a", 300), "@", "www", "a\\.b",
}

func seed(f *testing.F) {
	for _, s := range evil {
		f.Add(s)
	}
}

func FuzzParseHostname(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, s string) {
		name, err := schema.ParseHostname(s)
		if err != nil {
			checkMessage(t, err)
			return
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || len(name) > 253 || !strings.Contains(name, ".") {
			t.Fatalf("%q is read as %q", s, name)
		}
		if again, err := schema.ParseHostname(name); err != nil || again != name {
			t.Fatalf("%q is read as %q, and that as %q, %v", s, name, again, err)
		}
	})
}

func FuzzParseRecordName(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, s string) {
		name, err := schema.ParseRecordName(s, "zone.example")
		if err == nil && name != "zone.example" && !strings.HasSuffix(name, ".zone.example") {
			t.Fatalf("%q is read as %q, which isn't in the zone", s, name)
		}
		if err == nil && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._*") != "" {
			t.Fatalf("%q is read as %q", s, name)
		}
	})
}

func FuzzParseRData(f *testing.F) {
	for _, s := range evil {
		for _, recordType := range schema.RecordTypes() {
			f.Add(recordType, s)
		}
	}
	f.Fuzz(func(t *testing.T, recordType, s string) {
		value, err := schema.ParseRData(recordType, s)
		if err != nil {
			checkMessage(t, err)
			return
		}
		if !slices.Contains(schema.RecordTypes(), recordType) {
			t.Fatalf("the type %q is accepted", recordType)
		}
		if again, err := schema.ParseRData(recordType, value); err != nil || again != value {
			t.Fatalf("%s %q is read as %q, and that as %q, %v", recordType, s, value, again, err)
		}
		checkRDataWithDNS(t, recordType, value)
	})
}

// FuzzChecks holds every other value type to its allow-list.
func FuzzChecks(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, s string) {
		allow := func(what string, err error, chars string) {
			if err == nil && strings.Trim(s, chars) != "" {
				t.Fatalf("%q is accepted as %s", s, what)
			}
		}
		const lower, upper, digits = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
		allow("a slug", schema.CheckSlug(s), lower+digits+"-")
		allow("a path", schema.CheckRelPath(s), lower+upper+digits+"._-/")
		allow("a variable name", schema.CheckEnvName(s), upper+digits+"_")
		allow("an image", schema.CheckImage(s), lower+upper+digits+"._-/:@")
		allow("a version", schema.CheckVersion(s), digits+".")
		allow("an endpoint", schema.CheckDockerEndpoint(s, true), lower+upper+digits+"._-/:[]")
		allow("a mail address", schema.CheckMailAddress(s), lower+upper+digits+"._-+@")
		if schema.CheckRelPath(s) == nil && slices.Contains(strings.Split(s, "/"), "..") {
			t.Fatalf("%q is accepted as a path", s)
		}
		for _, key := range []string{"memory_limit", "display_errors", "error_reporting", "date.timezone"} {
			if schema.CheckINI(key, s) == nil && strings.ContainsAny(s, "\"'\n\r;=[]{}()$\\") {
				t.Fatalf("%s = %q is accepted", key, s)
			}
		}
		if schema.CheckINI(s, "1") == nil && strings.Trim(s, lower+"_.") != "" {
			t.Fatalf("the setting %q is accepted", s)
		}
		if to, err := schema.ParseRedirectTo(s); err == nil && (strings.ContainsAny(to, " \t\r\n;{}\"'\\$`<>") || strings.HasPrefix(to, "//")) {
			t.Fatalf("the redirect %q is accepted as %q", s, to)
		}
		if schema.CheckRedirectFrom(s) == nil && strings.ContainsAny(s, " \t\r\n;{}\"'\\$`<>?#%") {
			t.Fatalf("the path %q is accepted", s)
		}
		if n, err := schema.ParseQuantity(s); err == nil && n <= 0 {
			t.Fatalf("%q is %d bytes", s, n)
		}
		if d, err := schema.ParseDuration(s); err == nil && d <= 0 {
			t.Fatalf("%q is %v", s, d)
		}
		if (schema.CheckText(s, 100) == nil || schema.CheckEnvValue(s) == nil) && strings.ContainsFunc(s, unicode.IsControl) {
			t.Fatalf("%q is accepted as text", s)
		}
	})
}

// FuzzLoad reads anything as a tenant's file: it never panics, each error is one line at a place of the file, and nothing
// gets in but what was declared.
func FuzzLoad(f *testing.F) {
	base := treeOf(mustArchive(f, "testdata/base.txtar"))
	for _, data := range base {
		f.Add(data)
	}
	for _, s := range evil {
		f.Add(s)
		f.Add("apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: x1}\nspec:\n  runtime: {type: static}\n  fqdns: [" + s + "]\n")
	}
	f.Add("a: &a [*a]\n")
	f.Add("a: &a {b: &b [*a, *b]}\nc: *a\n")
	f.Add("apiVersion: hosting/v1\nkind: Webroot\nmetadata: &m {name: x, labels: *m}\nspec: *m\n")
	f.Fuzz(func(t *testing.T, data string) {
		base["tenants/acme/fuzz.yaml"] = data
		_, err := schema.Load(base, nil)
		if err == nil {
			return
		}
		var errs schema.Errors
		if !errors.As(err, &errs) {
			t.Fatalf("%T: %v", err, err)
		}
		for _, e := range errs {
			checkMessage(t, e)
			if e.Line < 1 || e.Column < 1 || e.Line > strings.Count(data, "\n")+strings.Count(data, "\r")+2 && e.File == "tenants/acme/fuzz.yaml" {
				t.Fatalf("%v: no such place", e)
			}
		}
	})
}

// checkMessage holds an error to one line that a terminal shows as it is.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), unicode.IsControl) {
		t.Fatalf("%q holds a control character", err.Error())
	}
}

// Addresses hold nothing that a header, a shell or a file system takes for more than text, and are read as themselves again.
func FuzzParseEmailAddress(f *testing.F) {
	seed(f)
	for _, s := range []string{"a@b.example", "\"|/bin/sh\"@b.example", "a@b@c.example", "a+b@c.example", "A.B@C.Example.", "a@b.example\r\nBcc: c@d.example", ".a@b.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for what, parse := range map[string]func(string) (string, error){"address": schema.ParseEmailAddress, "destination": schema.ParseDestination} {
			a, err := parse(s)
			if err != nil {
				checkMessage(t, err)
				continue
			}
			if strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-@") != "" || strings.Count(a, "@") != 1 || len(a) > 64+1+253 {
				t.Fatalf("the %s %q is read as %q", what, s, a)
			}
			if again, err := parse(a); err != nil || again != a {
				t.Fatalf("the %s %q is read as %q, and that as %q, %v", what, s, a, again, err)
			}
		}
	})
}

// A key that is read makes a TXT record of its own, and no more than that.
func FuzzParseDKIMKey(f *testing.F) {
	seed(f)
	f.Add("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	f.Add("-----BEGIN PUBLIC KEY-----\n11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := schema.ParseDKIMKey(s)
		if err != nil {
			if len(s) > 8 && strings.Contains(err.Error(), s) {
				t.Fatalf("the error holds the key: %v", err)
			}
			return
		}
		k.Selector = "s1"
		e := schema.EmailDomain{Domain: "acme.test", Servers: []string{"mx.acme.test"}, DKIM: []schema.DKIMKey{k}}
		for _, r := range e.Records() {
			for _, v := range r.Values {
				if canonical, err := schema.ParseRData(r.Type, v); err != nil || canonical != v {
					t.Fatalf("%s %s %q is read as %q, %v", r.FQDN, r.Type, v, canonical, err)
				}
				checkRDataWithDNS(t, r.Type, v)
			}
		}
	})
}
