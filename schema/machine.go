package schema

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// imagePattern is [registry[:port]/]name[/name…][:tag][@sha256:digest] (distribution/reference grammar).
var imagePattern = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?/)?` +
	`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
	`(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@sha256:([0-9a-f]{64}))?$`)

// CheckImage accepts an image reference that names one image for good: with a digest, or with a tag other than latest.
func CheckImage(s string) error {
	m := imagePattern.FindStringSubmatch(s)
	switch {
	case m == nil || len(s) > 512:
		return fmt.Errorf("%q isn't an image reference; write name:tag, such as hostctl/web:v1", shorten(s))
	case m[2] != "":
		return nil
	case m[1] == "":
		return fmt.Errorf("%q has no tag, which means latest; name the version, such as %s:v1", shorten(s), shorten(s))
	case m[1] == "latest":
		return fmt.Errorf("%q has the tag latest, which changes by itself; name the version", shorten(s))
	}
	return nil
}

// ParseAddress reads an IP address and returns it in canonical form.
func ParseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%q isn't an address of a machine; write one such as 192.0.2.1 or 2001:db8::1", shorten(s))
	}
	return a, nil
}

// ParseSubnet reads the IPv4 network of a cluster: CIDR notation, /16 to /28, no host bits.
func ParseSubnet(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is4():
		return netip.Prefix{}, fmt.Errorf("%q isn't an IPv4 network; write one such as 10.77.0.0/24", shorten(s))
	case p.Bits() < 16 || p.Bits() > 28:
		return netip.Prefix{}, fmt.Errorf("%q has the size /%d; allowed: /16 to /28", s, p.Bits())
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Errorf("%q has host bits; write %q", s, p.Masked())
	case p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsUnspecified():
		return netip.Prefix{}, fmt.Errorf("%q isn't a network for machines; use a private one such as 10.77.0.0/24", s)
	}
	return p, nil
}

// CheckDockerEndpoint accepts unix:///path, and tcp://host:port where TLS is configured: a Docker engine without TLS gives
// root to whoever reaches its port.
func CheckDockerEndpoint(s string, tls bool) error {
	if p, ok := strings.CutPrefix(s, "unix://"); ok {
		if tls {
			return errors.New("a unix socket has no TLS; take docker.tls out")
		}
		if !path.IsAbs(p) || checkAbsPath(p) != nil {
			return fmt.Errorf("%q isn't the path of a socket; write such as unix:///var/run/docker.sock", shorten(s))
		}
		return nil
	}
	address, ok := strings.CutPrefix(s, "tcp://")
	if !ok {
		return fmt.Errorf("%q isn't an endpoint that hostctl can use; write unix:///path/of/socket, or tcp://host:port with docker.tls", shorten(s))
	}
	if err := checkHostPort(address); err != nil {
		return fmt.Errorf("%q isn't an endpoint: %w; write such as tcp://docker-1.example.com:2376", shorten(s), err)
	}
	if !tls {
		return fmt.Errorf("%q without TLS gives root on the machine to whoever reaches it; add docker.tls with ca, cert and key", s)
	}
	return nil
}

// checkHostPort accepts host:port with a name or an address, in brackets if IPv6.
func checkHostPort(s string) error {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return errors.New("the port is missing")
	}
	if port, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil || port == 0 {
		return fmt.Errorf("%q isn't a port", s[i+1:])
	}
	if _, err := netip.ParseAddrPort(s); err == nil {
		return nil
	}
	if _, err := normaliseDomain(s[:i]); err != nil && CheckSlug(s[:i]) != nil {
		return fmt.Errorf("%q isn't a host", shorten(s[:i]))
	}
	return nil
}

var absPathPattern = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)

// checkAbsPath accepts a clean absolute path of plain characters.
func checkAbsPath(s string) error {
	if !absPathPattern.MatchString(s) || path.Clean(s) != s || len(s) > 1024 {
		return fmt.Errorf("%q isn't an absolute path; write one such as /etc/hostctl/ca.pem", shorten(s))
	}
	return nil
}

// capabilities are those that a container needs to be a server, and none that lead out of it.
var capabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// CheckCapability accepts a Linux capability (capabilities(7)) that a node may keep.
func CheckCapability(s string) error {
	for _, c := range capabilities {
		if s == c {
			return nil
		}
	}
	return fmt.Errorf("%q isn't a capability that a node may have; allowed: %s", shorten(s), strings.Join(capabilities, ", "))
}
