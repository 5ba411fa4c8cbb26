// Package allow holds the grammars of all that an agent is sent. The controller has checked every value before; the agent
// checks them again, for what it writes into configuration files and runs as root must not depend on who asks.
//
// Each function allows a set of characters and forms; none looks for bad ones.
package allow

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	slugForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)
	loginForm   = regexp.MustCompile(`^t-[a-z0-9][a-z0-9-]{0,29}$`)
	labelForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	digitsForm  = regexp.MustCompile(`^[0-9]+$`)
	relForm     = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)
	versionForm = regexp.MustCompile(`^[1-9][0-9]?\.[0-9]{1,2}$`)
	envForm     = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)
	blobForm    = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Slug allows the name of a tenant or a site.
func Slug(s string) error {
	if !slugForm.MatchString(s) {
		return fmt.Errorf("%q is no name: want a-z, 0-9 and -, 2 to 32 characters", s)
	}
	return nil
}

// Login allows the login of a tenant: the prefix t- keeps it apart from every login of the system.
func Login(s string) error {
	if !loginForm.MatchString(s) {
		return fmt.Errorf("%q is no tenant's login: want t- and then a-z, 0-9 and -", s)
	}
	return nil
}

// UID allows the user ids that tenants may have: none of the system's, nor nobody's.
func UID(uid int) error {
	if uid < 1000 || uid >= 1<<31-1 || uid == 65534 || uid == 65535 {
		return fmt.Errorf("%d is no tenant's user id: want 1000 or more", uid)
	}
	return nil
}

// FQDN allows a normalised host name: lower-case A-labels, two or more, no trailing dot, no address.
func FQDN(s string) error {
	labels := strings.Split(s, ".")
	ok := len(s) <= 253 && len(labels) >= 2 && !digitsForm.MatchString(labels[len(labels)-1])
	for _, l := range labels {
		ok = ok && labelForm.MatchString(l)
	}
	if !ok {
		return fmt.Errorf("%q is no host name", s)
	}
	return nil
}

// RelPath allows a clean path below a folder.
func RelPath(s string) error {
	if len(s) > 4096 || !relForm.MatchString(s) || path.IsAbs(s) || path.Clean(s) != s || s == "." || s == ".." || strings.HasPrefix(s, "../") {
		return fmt.Errorf("%q is no clean relative path of A-Z, a-z, 0-9 and ._-", s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if len(part) > 255 {
			return fmt.Errorf("%q has a part of more than 255 characters", s)
		}
	}
	return nil
}

// Version allows a runtime's version, major.minor.
func Version(s string) error {
	if !versionForm.MatchString(s) {
		return fmt.Errorf("%q is no version: want major.minor", s)
	}
	return nil
}

// Blob allows a git blob id.
func Blob(s string) error {
	if !blobForm.MatchString(s) {
		return fmt.Errorf("%q is no blob id", s)
	}
	return nil
}

// notByTenants are environment variables that steer PHP, the web server or the loader instead of the site.
var notByTenants = regexp.MustCompile(`^(PHP_VALUE|PHP_ADMIN_VALUE|PHP_FLAG|PHP_ADMIN_FLAG|SCRIPT_FILENAME|DOCUMENT_ROOT|PATH_INFO|HTTPS|PATH|HOME|PORT|USER|FPM_SOCKETS|HTTP_.*|SERVER_.*|REMOTE_.*|LD_.*)$`)

// EnvName allows the name of an environment variable that a site may set.
func EnvName(s string) error {
	if !envForm.MatchString(s) || notByTenants.MatchString(s) {
		return fmt.Errorf("%q is no environment variable that a site may set", s)
	}
	return nil
}

// Text allows UTF-8 without control characters.
func Text(s string) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%q holds control characters, or isn't UTF-8", s)
	}
	return nil
}
