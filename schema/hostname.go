package schema

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// hostnames are converted as browsers do before a look-up (UTS 46, non-transitional), and checked as a registry would.
var hostnames = idna.New(
	idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.ValidateLabels(true),
	idna.CheckHyphens(true), idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(true),
)

// ParseHostname normalises a host name: lower case, A-labels (RFC 5890), no trailing dot. It must have two labels or
// more and be neither an address, a wildcard, nor a public suffix ("com", "co.uk") itself.
func ParseHostname(s string) (string, error) {
	name, err := normaliseDomain(s)
	if err != nil {
		return "", err
	}
	if suffix, icann := publicsuffix.PublicSuffix(name); icann && suffix == name {
		return "", fmt.Errorf("%q is a public suffix; write a name below it", name)
	}
	return name, nil
}

// ParseZoneDomain normalises the name of a zone. It is a host name, or a reverse zone.
func ParseZoneDomain(s string) (string, error) {
	name, err := normaliseDomain(s)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(name, ".in-addr.arpa") || strings.HasSuffix(name, ".ip6.arpa") {
		return name, nil
	}
	return ParseHostname(name)
}

// normaliseDomain checks and normalises a domain name of two labels or more.
func normaliseDomain(s string) (string, error) {
	if s == "" {
		return "", errors.New("is empty; write a host name")
	}
	if text := foreignToHostnames(s); text != "" {
		return "", errors.New(text)
	}
	name := strings.TrimSuffix(s, ".")
	if !isPlainHostname(name) {
		ascii, err := hostnames.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%q isn't a valid host name: %s", shorten(s), strings.TrimPrefix(err.Error(), "idna: "))
		}
		name = ascii
	}
	return name, checkLabels(s, name)
}

// isPlainHostname tells the common case that normalising leaves as it is.
func isPlainHostname(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' {
			continue
		}
		if c != '-' || i < 1 || s[i-1] == '-' { // "--" may be an A-label, which must be decoded to be checked
			return false
		}
	}
	return true
}

// foreignToHostnames says what a string that is no host name rather seems to be, or "".
func foreignToHostnames(s string) string {
	switch {
	case !isPrintable(s) || strings.ContainsFunc(s, isSpace):
		return fmt.Sprintf("%q holds a space, line break or invisible character; write one host name", shorten(s))
	case strings.Contains(s, "://"):
		return fmt.Sprintf("%q is a URL; write the host name alone", shorten(s))
	case strings.Contains(s, "*"):
		return fmt.Sprintf("%q is a wildcard, which this version of hostctl doesn't serve (it needs a DNS-01 certificate); list the names", shorten(s))
	case isAddress(s):
		return fmt.Sprintf("%q is an address; write a host name", shorten(s))
	case strings.Contains(s, ":"):
		return fmt.Sprintf("%q holds a port; write the host name alone", shorten(s))
	case strings.Contains(s, "/"):
		return fmt.Sprintf("%q holds a path; write the host name alone", shorten(s))
	case strings.Contains(s, "_"):
		return fmt.Sprintf("%q holds an underscore, which host names can't; use -", shorten(s))
	}
	if i := strings.IndexFunc(s, foreignASCII); i >= 0 {
		return fmt.Sprintf("%q holds %q, which host names can't; letters, digits, - and . are allowed", shorten(s), s[i:i+1])
	}
	return ""
}

func isSpace(r rune) bool { return r == ' ' || r == '\u00a0' || r == '\u3000' }

// foreignASCII tells ASCII characters that no host name has.
func foreignASCII(r rune) bool {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
		return false
	}
	return r < utf8.RuneSelf
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}

// checkLabels applies RFC 1123 2.1 and the length limits of RFC 1035 2.3.4 to an ASCII name.
func checkLabels(written, name string) error {
	if len(name) > 253 {
		return fmt.Errorf("%q has %d characters; a host name has at most 253", shorten(written), len(name))
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		switch {
		case l == "":
			return fmt.Errorf("%q has an empty label; take the extra dot out", shorten(written))
		case len(l) > 63:
			return fmt.Errorf("%q has a label of %d characters; a label has at most 63", shorten(written), len(l))
		case l[0] == '-' || l[len(l)-1] == '-':
			return fmt.Errorf("%q has a label that begins or ends with -", shorten(written))
		}
	}
	if len(labels) < 2 {
		return fmt.Errorf("%q has one label; write the full name, such as %s.example.com", shorten(written), name)
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return fmt.Errorf("%q ends in a number, as no domain does; is it an address?", shorten(written))
	}
	return nil
}

// isBelow reports whether name is domain or a name below it; both normalised.
func isBelow(name, domain string) bool {
	return strings.HasSuffix(name, domain) && (len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}

// parentDomain is the name without its first label, or "".
func parentDomain(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}
