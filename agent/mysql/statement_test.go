package mysql

import (
	"regexp"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

const hash = "24412430303524303132333435363738396162636465666768696a6161616161616161616161616161616161616161616161616161616161616161616161616161616161612e"

func aUser() planner.DatabaseUser {
	return planner.DatabaseUser{
		Meta: planner.Meta{Target: "db-1", Name: "acme.app"}, Tenant: "acme", Account: "acme_app", Schema: "acme_shop",
		Privileges: schema.ReadWrite, Hosts: []string{"10.0.0.0/8"}, PasswordHash: hash,
	}
}

// ownSecret is the secret of the user's own field.
var ownSecret = planner.Held{Secret: "acme/databaseuser/app/password", Version: "generation 1"}

// What isn't in the form that the planner gives it is refused, whoever sends it.
func TestCheck(t *testing.T) {
	if err := check(planner.Change{New: aUser()}); err != nil {
		t.Fatal(err)
	}
	held := aUser()
	held.PasswordHash, held.Password = "", ownSecret
	if err := check(planner.Change{New: held}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*planner.DatabaseUser){
		"root":                 func(u *planner.DatabaseUser) { u.Account = "root" },
		"quote in the account": func(u *planner.DatabaseUser) { u.Account = "acme'_app" },
		"another's account":    func(u *planner.DatabaseUser) { u.Account = "other_app" },
		"another's database":   func(u *planner.DatabaseUser) { u.Schema = "other_shop" },
		"wildcard":             func(u *planner.DatabaseUser) { u.Schema = "acme_%" },
		"backquote":            func(u *planner.DatabaseUser) { u.Schema = "acme_sh`op" },
		"all databases":        func(u *planner.DatabaseUser) { u.Schema = "*" },
		"long account":         func(u *planner.DatabaseUser) { u.Account = strings.Repeat("a", 30) + "_app" },
		"any host":             func(u *planner.DatabaseUser) { u.Hosts = []string{"%"} },
		"all of the Internet":  func(u *planner.DatabaseUser) { u.Hosts = []string{"0.0.0.0/0"} },
		"no host":              func(u *planner.DatabaseUser) { u.Hosts = nil },
		"host bits":            func(u *planner.DatabaseUser) { u.Hosts = []string{"10.0.0.1/8"} },
		"no password":          func(u *planner.DatabaseUser) { u.PasswordHash = "" },
		"hash and secret":      func(u *planner.DatabaseUser) { u.Password = ownSecret },
		"another's secret": func(u *planner.DatabaseUser) {
			u.PasswordHash, u.Password = "", planner.Held{Secret: "other/databaseuser/app/password", Version: "generation 1"}
		},
		"plain password":   func(u *planner.DatabaseUser) { u.PasswordHash = "secret" },
		"hash and more":    func(u *planner.DatabaseUser) { u.PasswordHash = hash + " REQUIRE NONE" },
		"all privileges":   func(u *planner.DatabaseUser) { u.Privileges = "ALL" },
		"negative limit":   func(u *planner.DatabaseUser) { u.Limits.Connections = -1 },
		"name of a tenant": func(u *planner.DatabaseUser) { u.Tenant = "other" },
	} {
		u := aUser()
		spoil(&u)
		if err := check(planner.Change{New: u}); err == nil {
			t.Errorf("%s: not refused", name)
		} else if strings.Contains(err.Error(), hash[:20]) {
			t.Errorf("%s: the error quotes the hash: %v", name, err)
		}
	}
	for _, own := range []string{"information", "performance"} {
		d := planner.Database{Meta: planner.Meta{Name: own + ".schema"}, Tenant: own, Schema: own + "_schema", Charset: "ascii", Collation: "ascii_bin"}
		if err := check(planner.Change{New: d}); err == nil {
			t.Errorf("%s: not refused", d.Schema)
		}
	}
}

// A node that a database moves to, or is copied from, ends up in SQL and in a connection.
func TestCheckMove(t *testing.T) {
	of := func(to string, from *planner.CopySource) planner.Database {
		return planner.Database{
			Meta: planner.Meta{Name: "acme.shop"}, Tenant: "acme", Schema: "acme_shop", Charset: "ascii", Collation: "ascii_bin", MovedTo: to, Source: from,
		}
	}
	source := func(node, address string) *planner.CopySource {
		return &planner.CopySource{Node: node, Address: address}
	}
	for _, o := range []planner.Database{of("db-2-0", nil), of("", source("db-2-0", "10.77.0.9:3306")), of("", source("db-2-0", "[2001:db8::1]:3306"))} {
		if err := check(planner.Change{New: o}); err != nil {
			t.Errorf("%v: %v", o, err)
		}
	}
	for _, o := range []planner.Database{
		of("db", nil), of("x' OR '1", nil), of("db-2-0/CN=web-1-0", nil), of("", source("", "10.77.0.9:3306")), of("", source("db-2-0", "")),
		of("", source("db-2-0", "10.77.0.9")), of("", source("db-2-0", "10.77.0.9:0")), of("", source("db-2-0", "/run/x.sock:3306")),
		of("", source("db-2-0", "a)b(c:3306")), of("db-3-0", source("db-2-0", "10.77.0.9:3306")),
	} {
		if err := check(planner.Change{New: o}); err == nil {
			t.Errorf("%s isn't refused", planner.Encode(o))
		}
	}
}

var (
	plainName    = regexp.MustCompile("^[a-z0-9_-]+$")
	plainPattern = regexp.MustCompile("^`[a-z0-9_\\\\-]+`$")
)

// FuzzNames: what passes the check can't end the quotes that it is put in, and as a pattern matches only itself.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"acme_shop", "a-b_c", "abcdef_01234567_wiki", "acme_sh`op", "acme\\_shop", "%", "mysql", "information_schema", "acme_shop\x00"} {
		f.Add(s, "shop")
	}
	f.Fuzz(func(t *testing.T, name, resource string) {
		if checkIdentifier(name, resource, maxSchema) != nil {
			return
		}
		if !plainName.MatchString(name) || len(name) > maxSchema || name == "mysql" || name == "information_schema" {
			t.Errorf("%q passes", name)
		}
		p := grantPattern(name)
		if !plainPattern.MatchString(p) || strings.Count(p, "_") != strings.Count(p, `\_`) {
			t.Errorf("the pattern of %q is %s", name, p)
		}
	})
}
