package mysql

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"hostctl/agent/allow"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// identifierForm is what a database or a user may be called: a tenant's name, an underscore, the resource's own. So none of
// the server's own schemas and accounts is ever touched, but for the two that have an underscore themselves.
var identifierForm = regexp.MustCompile(`^[a-z][a-z0-9-]*(_[0-9a-f]{8})?_[a-z][a-z0-9]*$`)

// MySQL's limits (reference manual 11.2, identifier length limits).
const (
	maxSchema  = 64
	maxAccount = 32
)

// checkIdentifier allows the name of a tenant's database or user for a resource.
func checkIdentifier(name, resource string, most int) error {
	switch {
	case !identifierForm.MatchString(name) || len(name) > most || !strings.HasSuffix(name, "_"+resource):
		return fmt.Errorf("%q isn't a name in MySQL of %q", name, resource)
	case name == "information_schema", name == "performance_schema":
		return fmt.Errorf("%q is MySQL's own", name)
	}
	return nil
}

// identifier quotes the name of a schema that was checked. Backquotes can't be in it.
func identifier(name string) string { return "`" + name + "`" }

// grantPattern quotes the name of a schema for GRANT and REVOKE, where _ and % stand for anything unless they are escaped
// (reference manual 15.7.1.6, "Database privileges"): acme_shop would open acmexshop too.
func grantPattern(name string) string {
	return "`" + escaped(name) + "`"
}

// escaped is a pattern that matches a name only; mysql.db holds it so.
func escaped(name string) string { return strings.ReplaceAll(name, "_", `\_`) }

// account quotes an account. Both parts were checked, and hold nothing that a quote would have to keep apart.
func account(name, host string) string { return "'" + name + "'@'" + host + "'" }

// hostOf is a network as MySQL writes it in an account: one address stands alone (reference manual 8.2.4).
func hostOf(cidr string) string { return strings.TrimSuffix(cidr, "/32") }

func cidrOf(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host + "/32"
	}
	return host
}

// privileges are those of each preset, as MySQL's mysql.db has columns for them. None can be granted on.
var privileges = map[schema.Privileges][]string{
	schema.ReadOnly:  {"SELECT", "SHOW VIEW"},
	schema.ReadWrite: {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "SHOW VIEW"},
	schema.Admin: {
		"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES",
		"LOCK TABLES", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT", "TRIGGER",
	},
}

// privilegeColumns are the columns of mysql.db, with what GRANT calls them.
var privilegeColumns = [][2]string{
	{"Select_priv", "SELECT"}, {"Insert_priv", "INSERT"}, {"Update_priv", "UPDATE"}, {"Delete_priv", "DELETE"},
	{"Create_priv", "CREATE"}, {"Drop_priv", "DROP"}, {"Grant_priv", "GRANT OPTION"}, {"References_priv", "REFERENCES"},
	{"Index_priv", "INDEX"}, {"Alter_priv", "ALTER"}, {"Create_tmp_table_priv", "CREATE TEMPORARY TABLES"},
	{"Lock_tables_priv", "LOCK TABLES"}, {"Create_view_priv", "CREATE VIEW"}, {"Show_view_priv", "SHOW VIEW"},
	{"Create_routine_priv", "CREATE ROUTINE"}, {"Alter_routine_priv", "ALTER ROUTINE"}, {"Execute_priv", "EXECUTE"},
	{"Event_priv", "EVENT"}, {"Trigger_priv", "TRIGGER"},
}

// presetOf names the preset that is exactly a set of privileges, "" where none is.
func presetOf(have []string) schema.Privileges {
	for preset, of := range privileges {
		if slices.Equal(slices.Sorted(slices.Values(of)), slices.Sorted(slices.Values(have))) {
			return preset
		}
	}
	return ""
}

// check refuses what isn't a database or a user, or not in the form that the planner gives them.
func check(c planner.Change) error {
	var err error
	switch o := either(c).(type) {
	case planner.Database:
		err = checkDatabase(o)
	case planner.DatabaseUser:
		err = checkUser(o)
		if old, ok := c.Old.(planner.DatabaseUser); ok && c.New != nil && old.Account != o.Account {
			err = errors.Join(err, errors.New("the name of an account doesn't change"))
		}
	default:
		err = errors.New("databases and their users are all that is applied here")
	}
	if err != nil {
		return executors.Errorf(executors.Refused, "%s: %w", c.Ref(), err)
	}
	return nil
}

func checkDatabase(o planner.Database) error {
	_, name, _ := strings.Cut(o.Name, ".")
	return errors.Join(allow.Site(o.Name, o.Tenant, name), schema.CheckDatabaseName(name), checkIdentifier(o.Schema, name, maxSchema),
		schema.CheckCollation(o.Charset, o.Collation), allow.Move(o.MovedTo, o.Source))
}

func checkUser(o planner.DatabaseUser) error {
	_, name, _ := strings.Cut(o.Name, ".")
	_, database := cutLast(o.Schema)
	errs := []error{
		allow.Site(o.Name, o.Tenant, name), schema.CheckDatabaseUser(name), checkIdentifier(o.Account, name, maxAccount),
		checkIdentifier(o.Schema, database, maxSchema),
	}
	if prefix(o.Schema) != prefix(o.Account) {
		errs = append(errs, fmt.Errorf("database %q and user %q aren't one tenant's", o.Schema, o.Account))
	}
	if privileges[o.Privileges] == nil {
		errs = append(errs, fmt.Errorf("%q is no preset of privileges", o.Privileges))
	}
	if len(o.Hosts) == 0 || !slices.IsSorted(o.Hosts) {
		errs = append(errs, errors.New("its networks aren't a sorted list"))
	}
	for _, h := range o.Hosts {
		if normal, err := schema.ParseUserHost(h); err != nil || normal != h {
			errs = append(errs, fmt.Errorf("%q isn't a network in CIDR notation", h))
		}
	}
	errs = append(errs, checkCredential(o))
	if l := o.Limits; min(l.Connections, l.QueriesPerHour, l.UpdatesPerHour, l.ConnectionsPerHour) < 0 {
		errs = append(errs, errors.New("a limit is below zero"))
	}
	return errors.Join(errs...)
}

// checkCredential allows exactly one of a hash and a secret of the user's own field.
func checkCredential(o planner.DatabaseUser) error {
	_, name, _ := strings.Cut(o.Name, ".")
	if o.Password != (planner.Held{}) {
		if o.PasswordHash != "" || o.Password.Version == "" || o.Password.Secret != planner.SecretName(o.Tenant, schema.KindDatabaseUser, name, "password") {
			return errors.New("its password isn't a secret of its own, or there is a hash beside it")
		}
		return nil
	}
	if hash, err := schema.ParsePasswordHash(o.PasswordHash); err != nil || hash != o.PasswordHash {
		return errors.New("its password isn't a hash of caching_sha2_password")
	}
	return nil
}

// prefix is the tenant's part of a name in MySQL.
func prefix(name string) string {
	before, _ := cutLast(name)
	return before
}

// cutLast cuts a name at its last underscore, which stands before the resource's own name.
func cutLast(name string) (before, after string) {
	i := strings.LastIndexByte(name, '_')
	return name[:max(i, 0)], name[i+1:]
}
