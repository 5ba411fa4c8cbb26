package schema_test

import (
	"strings"
	"testing"

	"hostctl/schema"
)

// What leaks is told by its place, and what only speaks of secrets isn't.
func TestLeaks(t *testing.T) {
	const pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n"
	for _, c := range []struct{ name, path, data, want string }{
		{"a key among a site's files", "tenants/acme/shop/key.txt", "x\n" + pem, "tenants/acme/shop/key.txt:2:12: holds a private key in clear"},
		{"a key in a string of code", "tenants/acme/shop/a.js", `k = "` + strings.ReplaceAll(pem, "\n", `\n`) + `"`, "tenants/acme/shop/a.js:1:17: holds a private key in clear"},
		{"a text about keys", "tenants/acme/shop/help.html", "<p>It begins with -----BEGIN PRIVATE KEY----- and goes on", ""},
		{"a text about age", "docs/x.md", "keys look like AGE-SECRET-KEY-1...", ""},
		{"a key in YAML", "tenants/acme/x.yaml", "a: |\n  " + pem, "tenants/acme/x.yaml:2:14: holds a private key in clear"},
		{"a password among variables", "tenants/acme/x.yaml", "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: shop}\nspec: {env: {DB_PASSWORD: xyz}}\n",
			"tenants/acme/x.yaml:4:27: webroot/shop: spec.env.DB_PASSWORD: stands in clear"},
		{"a password where a secret must be", "tenants/acme/x.yaml", "apiVersion: hosting/v1\nkind: DatabaseUser\nmetadata: {name: app}\nspec: {database: shop, privileges: admin, password: xyz}\n",
			"tenants/acme/x.yaml:4:53: databaseuser/app: spec.password: stands in clear"},
		{"a file that isn't encrypted", "tenants/acme/x.sops.yaml", "password: xyz\n", "tenants/acme/x.sops.yaml:1:1: isn't encrypted"},
		{"what configures sops", ".sops.yaml", "creation_rules: [{age: age1}]\n", ""},
		{"other mistakes", "tenants/acme/x.yaml", "apiVersion: hosting/v1\nkind: Webrot\n", ""},
		{"half a file", "tenants/acme/x.yaml", "a: [", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			errs := schema.Leaks(c.path, []byte(c.data))
			got := ""
			if len(errs) > 0 {
				got = errs.Error()
			}
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || strings.Contains(got, "xyz") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
