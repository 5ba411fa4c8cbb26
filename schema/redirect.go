package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// redirectPath holds the characters of a path with query and fragment (RFC 3986), less those that a server's
// configuration gives a meaning: quotes, semicolons, braces, backslashes and dollar signs.
var redirectPath = regexp.MustCompile(`^/[A-Za-z0-9._~/?&=%+:@!,*()#-]*$`)

// CheckRedirectFrom accepts the path that a redirect answers.
func CheckRedirectFrom(s string) error {
	if !redirectPath.MatchString(s) || strings.ContainsAny(s, "?#%") || len(s) > 1024 {
		return fmt.Errorf("%q isn't a path; write one that begins with / and has letters, digits and ._~/&=+:@!,*()- only (a percent code would never match)", shorten(s))
	}
	return checkPathParts(s)
}

// ParseRedirectTo accepts where a redirect leads: a path of the same site, or an http or https URL. The host name of a
// URL is normalised.
func ParseRedirectTo(s string) (string, error) {
	if len(s) > 2048 {
		return "", errors.New("is longer than 2048 bytes")
	}
	if strings.HasPrefix(s, "//") || strings.HasPrefix(s, `/\`) {
		return "", fmt.Errorf("%q leads to another host without saying so; write https:%s", shorten(s), shorten(s))
	}
	if strings.HasPrefix(s, "/") {
		return s, checkRedirectPath(s)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("%q isn't a path or an http or https URL", shorten(s))
	}
	host, path, _ := strings.Cut(rest, "/")
	name, err := parseRedirectHost(host)
	if err != nil {
		return "", err
	}
	if err := checkRedirectPath("/" + path); err != nil {
		return "", err
	}
	return scheme + "://" + name + "/" + path, nil
}

// parseRedirectHost normalises name[:port].
func parseRedirectHost(host string) (string, error) {
	name, port, hasPort := strings.Cut(host, ":")
	name, err := normaliseDomain(name)
	if err != nil || !hasPort {
		return name, err
	}
	if err := checkHostPort(name + ":" + port); err != nil {
		return "", err
	}
	return name + ":" + port, nil
}

func checkRedirectPath(s string) error {
	if !redirectPath.MatchString(s) {
		return fmt.Errorf("%q holds a character that isn't allowed here; percent-encode it (RFC 3986)", shorten(s))
	}
	path, _, _ := strings.Cut(s, "?")
	return checkPathParts(path)
}

var badPercent = regexp.MustCompile(`%($|[^0-9A-Fa-f]|.$|.[^0-9A-Fa-f]|[01][0-9A-Fa-f]|7[Ff])`)

// checkPathParts refuses ".." and percent codes that are none or stand for control characters.
func checkPathParts(s string) error {
	if badPercent.MatchString(s) {
		return fmt.Errorf("%q holds a percent code that isn't one, or stands for a control character", shorten(s))
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." || part == "." {
			return fmt.Errorf("%q has a part %s; write the path it leads to", shorten(s), part)
		}
	}
	return nil
}
