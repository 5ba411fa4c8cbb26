package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	slugPattern    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)
	relPathPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
	envNamePattern = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)
)

// reservedSlugs are names that the systems below us give a meaning of their own: accounts and groups, devices, databases.
// Names of programs (haproxy, nginx) aren't among them: logins and files are derived, never a raw slug.
var reservedSlugs = wordSet(`
	root daemon bin sys sync man lp uucp www-data irc gnats nobody nogroup adm admin administrator sudo wheel shadow utmp tty disk kmem
	default mysql localhost information-schema performance-schema messagebus polkitd sshd host-gateway
	con prn aux nul com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9`)

// CheckSlug accepts the name of a resource: 2 to 32 of a-z, 0-9 and -, beginning with a letter, not ending with -, and
// not a name that a system account, a device or a program already has.
func CheckSlug(s string) error {
	switch {
	case s == "":
		return errors.New("is empty; write a name")
	case !slugPattern.MatchString(s):
		return fmt.Errorf("%q isn't a valid name; use 2 to 32 of a-z, 0-9 and -, beginning with a letter and not ending with -", shorten(s))
	case reservedSlugs[s] || strings.HasPrefix(s, "systemd-"):
		return fmt.Errorf("%q is a reserved name; choose another, such as %s-1", s, s)
	}
	return nil
}

// CheckRelPath accepts a clean relative path of letters, digits and . _ - / that can't lead out of its folder.
func CheckRelPath(s string) error {
	switch {
	case s == "":
		return errors.New("is empty; write a relative path, or leave the key out")
	case strings.HasPrefix(s, "/"):
		return fmt.Errorf("%q is absolute; write a relative path", shorten(s))
	case len(s) > 1024:
		return errors.New("is longer than 1024 bytes")
	case !relPathPattern.MatchString(s):
		return fmt.Errorf("%q isn't a valid path; use letters, digits and . _ - between single slashes", shorten(s))
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("%q has a part %s; write a path that goes down only", shorten(s), part)
		}
		if len(part) > 255 {
			return fmt.Errorf("%q has a part longer than 255 bytes", shorten(s))
		}
	}
	return nil
}

// reservedEnv are variables that servers and loaders obey (PHP's FastCGI settings, RFC 3875, ld.so(8)).
var reservedEnv = wordSet(`
	PHP_VALUE PHP_ADMIN_VALUE PHP_FLAG PHP_ADMIN_FLAG SCRIPT_FILENAME SCRIPT_NAME DOCUMENT_ROOT DOCUMENT_URI PATH_INFO
	PATH_TRANSLATED REQUEST_METHOD REQUEST_URI QUERY_STRING CONTENT_TYPE CONTENT_LENGTH GATEWAY_INTERFACE AUTH_TYPE
	REDIRECT_STATUS HTTPS PATH HOME TMPDIR LOGNAME PORT USER SHELL PHPRC PHP_INI_SCAN_DIR BASH_ENV ENV IFS`)

var reservedEnvPrefixes = []string{"HTTP_", "SERVER_", "REMOTE_", "LD_", "FCGI_", "LISTEN_"}

// CheckEnvName accepts the name of an environment variable that no server or loader obeys.
func CheckEnvName(s string) error {
	if !envNamePattern.MatchString(s) {
		return fmt.Errorf("%q isn't a valid variable name; use capitals, digits and _, at most 64, not beginning with a digit", shorten(s))
	}
	for _, p := range reservedEnvPrefixes {
		if strings.HasPrefix(s, p) {
			return fmt.Errorf("%s is reserved: variables that begin with %s steer the server; choose another name", s, p)
		}
	}
	if reservedEnv[s] {
		return fmt.Errorf("%s is reserved: it steers the server; choose another name", s)
	}
	return nil
}

// MaxEnvValue is the most bytes an environment variable's value may have.
const MaxEnvValue = 16 << 10

// CheckEnvValue accepts a value that every runtime hands on byte by byte. PHP-FPM refuses empty ones, replaces $pool, and
// takes a value that begins with $ from its own environment (php-src, sapi/fpm: fpm_conf_set_array, fpm_env_conf_wp). The
// value isn't quoted in the error: it may be a secret.
func CheckEnvValue(s string) error {
	if len(s) > MaxEnvValue {
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(s), MaxEnvValue)
	}
	if !isOneLine(s) {
		return errors.New("holds a line break or control character; encode it, for example as base64")
	}
	switch {
	case s == "":
		return errors.New("is empty, which PHP-FPM can't set; leave the variable out")
	case strings.HasPrefix(s, "$"):
		return errors.New("begins with $, which PHP-FPM takes for a variable of its own; encode it, for example as base64")
	case strings.Contains(s, "$pool"):
		return errors.New("holds $pool, which PHP-FPM replaces; encode it, for example as base64")
	}
	return nil
}

// CheckText accepts one line of text of at most limit bytes, without control characters.
func CheckText(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(s), limit)
	}
	if !isOneLine(s) {
		return errors.New("holds a line break, control or invisible character; write one line of text")
	}
	return nil
}

// isOneLine reports whether s is UTF-8 without control and deceptive characters.
func isOneLine(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.ContainsFunc(s, isDeceptive)
}

// CheckMailAddress accepts the plain address of a person: local@domain, unquoted.
func CheckMailAddress(s string) error {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || !mailLocalPattern.MatchString(local) || len(local) > 64 || !isPrintableASCII(domain) {
		return fmt.Errorf("%q isn't a mail address; write one such as hostmaster@example.com", shorten(s))
	}
	if _, err := ParseHostname(domain); err != nil {
		return fmt.Errorf("%q isn't a mail address: the domain %w", shorten(s), err)
	}
	return nil
}

var mailLocalPattern = regexp.MustCompile(`^[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*$`)

// wordSet makes a set of the words of a text.
func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
