// Package allow holds the grammars of what an agent is sent and package schema doesn't know: what the planner derives. The
// controller has checked every value before; the agent checks them again, schema's with schema's own functions (so that
// no layer accepts what the next refuses), for what it writes into configuration files and runs as root must not depend on
// who asks.
//
// Each function allows a set of characters and forms; none looks for bad ones.
package allow

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

var (
	loginForm   = regexp.MustCompile(`^t-[a-z][a-z0-9_-]{0,29}$`)
	versionForm = regexp.MustCompile(`^[1-9][0-9]?\.[0-9]{1,2}$`)
	blobForm    = regexp.MustCompile(`^[0-9a-f]{40}$`)
	nodeForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,60}-[0-9]{1,3}$`) // as it stands in its certificate
	endForm     = regexp.MustCompile(`^[0-9A-Za-z:.-]{1,253}$`)           // an address or a host name
)

// Site allows the name of an object that belongs to a site of a tenant: "<tenant>.<site>".
func Site(name, tenant, site string) error {
	if err := schema.CheckSlug(tenant); err != nil {
		return fmt.Errorf("tenant %w", err)
	}
	if err := schema.CheckSlug(site); err != nil {
		return fmt.Errorf("site %w", err)
	}
	if name != tenant+"."+site {
		return fmt.Errorf("%q isn't the name of site %s of tenant %s", name, site, tenant)
	}
	return nil
}

// Login allows the login of a tenant: the prefix t- keeps it apart from every login of the system.
func Login(s string) error {
	if !loginForm.MatchString(s) {
		return fmt.Errorf("%q isn't a tenant's login: want t- and then a-z, 0-9, _ and -, at most 32 in all", s)
	}
	return nil
}

// UID allows the user ids that tenants may have: none of the system's, nor nobody's.
func UID(uid int) error {
	if uid < 1000 || uid >= 1<<31-1 || uid == 65534 || uid == 65535 {
		return fmt.Errorf("%d isn't a tenant's user id: want 1000 or more", uid)
	}
	return nil
}

// Hostname allows a host name that is normalised already.
func Hostname(s string) error {
	name, err := schema.ParseHostname(s)
	if err != nil {
		return err
	}
	if name != s {
		return fmt.Errorf("%q isn't normalised: want %q", s, name)
	}
	return nil
}

// Address allows an IP address in canonical form.
func Address(s string) error {
	if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" || a.String() != s {
		return fmt.Errorf("%q isn't an address", s)
	}
	return nil
}

// Front allows where a load balancer comes from: an address, or ! and a network that it doesn't, in canonical form.
func Front(s string) error {
	network, not := strings.CutPrefix(s, "!")
	if !not {
		return Address(s)
	}
	if p, err := netip.ParsePrefix(network); err != nil || p.String() != network || p != p.Masked() {
		return fmt.Errorf("%q isn't a network", network)
	}
	return nil
}

// Version allows a runtime's version, major.minor.
func Version(s string) error {
	if !versionForm.MatchString(s) {
		return fmt.Errorf("%q isn't a version: want major.minor", s)
	}
	return nil
}

// Blob allows a git blob id.
func Blob(s string) error {
	if !blobForm.MatchString(s) {
		return fmt.Errorf("%q isn't a blob id", s)
	}
	return nil
}

// Move allows a node that data moves to, or one to copy it from with its address; not both.
func Move(to string, from *planner.CopySource) error {
	if to != "" && !nodeForm.MatchString(to) {
		return fmt.Errorf("%q isn't a node that it moves to", to)
	}
	if from == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(from.Address)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || !endForm.MatchString(host) || !nodeForm.MatchString(from.Node) || to != "" {
		return fmt.Errorf("%q at %q isn't a node to copy from", from.Node, from.Address)
	}
	return nil
}
