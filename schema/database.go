package schema

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Database is a MySQL database on a shard of role database. Its name there is derived from the tenant's and its own.
type Database struct {
	Meta
	Shard     string // the tenant's where the resource names none
	Charset   string // of MySQL, such as utf8mb4
	Collation string // of that character set
	Adopt     bool   // one that is there already is taken over
}

// DatabaseUser is a MySQL user with a preset of privileges on one database of its tenant.
type DatabaseUser struct {
	Meta
	Database     string
	Privileges   Privileges
	Hosts        []string // IPv4 networks it may come from, canonical CIDR, sorted; empty: the network of the shard's cluster
	PasswordHash string   // authentication string of caching_sha2_password: lower-case hex of 70 bytes; "": Password is set
	Password     *Secret  // nil: PasswordHash is set
	Limits       UserLimits
	Adopt        bool // one that is there already is taken over; of a short form it is the Database's
}

// Privileges is a preset of what a DatabaseUser may do, in its own database only.
type Privileges string

// The presets.
const (
	ReadOnly  Privileges = "readonly"
	ReadWrite Privileges = "readwrite"
	Admin     Privileges = "admin" // of that database: its tables, views, routines, triggers and events too
)

// UserLimits are MySQL's resource limits of an account; 0 means none. Each network that a user comes from counts for itself.
type UserLimits struct {
	Connections        int `json:"connections,omitempty"` // at a time
	QueriesPerHour     int `json:"queriesPerHour,omitempty"`
	UpdatesPerHour     int `json:"updatesPerHour,omitempty"`
	ConnectionsPerHour int `json:"connectionsPerHour,omitempty"`
}

// The longest names, so that those derived from them fit into what MySQL takes: 64 characters for a database, 32 for a
// user, of which 16 name the tenant.
const (
	maxDatabaseName = 31
	maxDatabaseUser = 16
)

var databaseNamePattern = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// CheckDatabaseName accepts the name of a Database that is a slug: without the - that SQL would want quoted.
func CheckDatabaseName(s string) error { return checkPlainName(s, maxDatabaseName) }

// CheckDatabaseUser accepts the name of a DatabaseUser that is a slug, in the same way.
func CheckDatabaseUser(s string) error { return checkPlainName(s, maxDatabaseUser) }

func checkPlainName(s string, most int) error {
	switch {
	case !databaseNamePattern.MatchString(s):
		return fmt.Errorf("%q can't be a name in SQL; use a-z and 0-9, such as %q", shorten(s), strings.ReplaceAll(s, "-", ""))
	case len(s) > most:
		return fmt.Errorf("%q has %d characters; at most %d are allowed, for the tenant's name is put before it", shorten(s), len(s), most)
	}
	return nil
}

// collations are what a database may be made with, by character set; the first is the default.
var collations = map[string][]string{
	"utf8mb4": {
		"utf8mb4_0900_ai_ci", "utf8mb4_0900_as_ci", "utf8mb4_0900_as_cs", "utf8mb4_0900_bin", "utf8mb4_bin",
		"utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_ci",
		"utf8mb4_cs_0900_ai_ci", "utf8mb4_da_0900_ai_ci", "utf8mb4_de_pb_0900_ai_ci", "utf8mb4_es_0900_ai_ci",
		"utf8mb4_hr_0900_ai_ci", "utf8mb4_hu_0900_ai_ci", "utf8mb4_ja_0900_as_cs", "utf8mb4_lt_0900_ai_ci",
		"utf8mb4_pl_0900_ai_ci", "utf8mb4_ro_0900_ai_ci", "utf8mb4_ru_0900_ai_ci", "utf8mb4_sk_0900_ai_ci",
		"utf8mb4_sl_0900_ai_ci", "utf8mb4_sv_0900_ai_ci", "utf8mb4_tr_0900_ai_ci", "utf8mb4_vi_0900_ai_ci", "utf8mb4_zh_0900_as_cs",
	},
	"latin1": {"latin1_swedish_ci", "latin1_bin", "latin1_general_ci", "latin1_general_cs", "latin1_german1_ci", "latin1_german2_ci"},
	"ascii":  {"ascii_general_ci", "ascii_bin"},
	"binary": {"binary"},
}

// DefaultCharset is that of a Database that names none.
const DefaultCharset = "utf8mb4"

// CheckCollation accepts a character set and one of its collations.
func CheckCollation(charset, collation string) error {
	of, ok := collations[charset]
	switch {
	case !ok:
		return fmt.Errorf("%q isn't a character set that is offered; offered: %s", shorten(charset), strings.Join(sortedKeys(collations), ", "))
	case !slices.Contains(of, collation):
		return fmt.Errorf("%q isn't a collation of %s that is offered; offered: %s", shorten(collation), charset, strings.Join(of, ", "))
	}
	return nil
}

// ParseUserHost reads a network that a database user may come from: IPv4 in CIDR notation, /8 or smaller, or one address. It
// returns the CIDR.
func ParseUserHost(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		s += "/32"
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is4():
		return "", fmt.Errorf("%q isn't an IPv4 network; write one such as 10.77.0.0/24, for MySQL knows networks of no other kind", shorten(s))
	case p.Bits() < 8:
		return "", fmt.Errorf("%q is most of the Internet; name the networks that the user comes from, /8 or smaller", s)
	case p.Masked() != p:
		return "", fmt.Errorf("%q has host bits; write %q", s, p.Masked())
	}
	return p.String(), nil
}

// sha2Length is how many bytes the authentication string of caching_sha2_password has: $A$005$, 20 of salt, 43 of digest.
const sha2Length = 70

var sha2Pattern = regexp.MustCompile(`^\$A\$[0-9A-F]{3}\$[\x01-\x7f]{20}[./0-9A-Za-z]{43}$`)

// ParsePasswordHash reads the hash of a password as MySQL's SHOW CREATE USER prints it with print_identified_with_as_hex: hex,
// with 0x before it or not. It returns the bare hex in lower case. The hash isn't quoted in the error.
func ParsePasswordHash(s string) (string, error) {
	bare := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X"))
	b, err := hex.DecodeString(bare)
	if err != nil || len(b) != sha2Length || !sha2Pattern.Match(b) {
		return "", fmt.Errorf("isn't the hash of a password for caching_sha2_password: %d hex digits that begin with 0x24412430; "+
			"MySQL prints it with: SET print_identified_with_as_hex = ON; SHOW CREATE USER …", 2*sha2Length)
	}
	return bare, nil
}
